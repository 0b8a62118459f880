"""A test leaves nothing behind that another one sees: files are dealt out in no fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from rankmill import plugins
from rankmill.mining.names.family import foreigners
from rankmill.training.losses import LOSSES


def _registered(name: str) -> bool:
    return any(name == known for _, known, _ in foreigners())


@pytest.fixture(scope="module")
def loss_of_module() -> None:
    _register("seen_in_this_module")


def _register(name: str) -> None:
    @plugins.loss(name)
    @dataclass(frozen=True)
    class Nothing(plugins.Loss):
        version: ClassVar[str] = "1"

        def _values(self, f: Any, g: Any) -> Any:
            return f.sum(dim=1) * 0


def test_what_a_test_registers_is_there_in_that_test(loss_of_module: None) -> None:
    _register("seen_in_one_test")
    assert {"seen_in_one_test", "seen_in_this_module"} <= set(LOSSES.names())


@pytest.mark.usefixtures("loss_of_module")
def test_it_is_gone_in_the_next_one() -> None:
    assert "seen_in_one_test" not in LOSSES.names()
    assert not _registered("seen_in_one_test")
    assert _registered("seen_in_this_module")
