"""Errors of a mounted store that pass are tried again, others are not."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from rankmill.mining.errors import BadInput, RankmillError
from rankmill.mining.store.together import patience
from rankmill.mining.store.together.patience import patiently


@pytest.fixture(autouse=True)
def paused(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(patience.time, "sleep", pauses.append)
    return pauses


def failing(times: int, error: Callable[[], Exception]) -> Callable[[], int]:
    """Return work that fails so many times and then returns how often it was called."""
    calls = 0

    def work() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise error()
        return calls

    return work


def explained(number: int) -> RankmillError:
    error = RankmillError("cannot write", where="x", do="y")
    error.__cause__ = OSError(number, os.strerror(number))
    return error


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ETIMEDOUT])
def test_what_passes_is_tried_again(number: int, paused: list[float]) -> None:
    assert patiently(failing(4, lambda: OSError(number, "?"))) == 5
    assert patiently(failing(2, lambda: explained(number))) == 3
    assert paused == [1.0, 2.0, 4.0, 8.0, 1.0, 2.0]


def test_not_for_ever(paused: list[float]) -> None:
    with pytest.raises(OSError, match="stale"):
        patiently(failing(5, lambda: OSError(errno.ESTALE, "stale")))
    assert len(paused) == 4


@pytest.mark.parametrize(
    "error",
    [
        lambda: OSError(errno.ENOSPC, "full"),
        lambda: FileNotFoundError(errno.ENOENT, "gone"),
        lambda: explained(errno.ENOSPC),
        lambda: BadInput("x"),
        lambda: ValueError("x"),
    ],
)
def test_what_does_not_pass_is_raised_at_once(
    error: Callable[[], Exception], paused: list[float]
) -> None:
    with pytest.raises(type(error())):
        patiently(failing(1, error))
    assert paused == []
