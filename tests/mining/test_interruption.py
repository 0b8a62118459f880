"""A signal's `Interrupted` passes every handler that turns errors into something else."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest
import tokenizers
import transformers

from rankmill.mining.errors import BadInput, Explained, Interrupted, RankmillError
from rankmill.mining.models.folder import load_tokenizer


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted(f"stopped by {signal.Signals(number).name}", do="run it again")


def stop_here(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    raise AssertionError("the signal has not come")


@pytest.fixture(autouse=True)
def handled() -> Iterator[None]:
    """Let SIGTERM raise `Interrupted`, as the command line does."""
    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("fast", [True, False])
def test_a_signal_while_a_tokenizer_loads(tmp_path: Path, monkeypatch: Any, fast: bool) -> None:
    monkeypatch.setattr(tokenizers.Tokenizer, "from_file", stop_here, raising=False)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", stop_here)
    if fast:
        (tmp_path / "tokenizer.json").touch()
    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        load_tokenizer(tmp_path)


def test_no_library_can_take_it_for_an_error_of_its_own() -> None:
    """Libraries too have `except Exception`: transformers, where it reads a configuration."""

    def read() -> None:
        try:
            stop_here()
        except Exception as error:
            raise BadInput("a wrong file") from error

    with pytest.raises(Interrupted):
        read()


def test_what_it_says_and_its_status() -> None:
    error = copy.copy(Interrupted("stopped", where="here", do="again"))
    assert str(error) == "stopped\n  where: here\n  do: again"
    assert (error.exit_status, error.where, error.do) == (75, "here", "again")
    assert isinstance(error, Explained)
    assert not isinstance(error, Exception)
    assert issubclass(RankmillError, Explained)
    assert issubclass(RankmillError, Exception)
