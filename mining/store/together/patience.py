"""Errors of a mounted store that pass: a server that restarts, a handle that went stale."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import TypeVar

from ...errors import RankmillError

T = TypeVar("T")
PASSING = {errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EREMOTEIO, errno.ECONNRESET}
PAUSES_S = (1.0, 2.0, 4.0, 8.0)


def patiently(work: Callable[[], T]) -> T:
    """Return what `work` returns; where it ends by a passing error, try again, four times at most.

    Reading and writing are tried again from the start, on files opened anew: a descriptor whose
    fsync has failed says nothing true any more.
    """
    for seconds in PAUSES_S:
        try:
            return work()
        except (OSError, RankmillError) as error:
            if not passes(error):
                raise
        time.sleep(seconds)
    return work()


def passes(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, is one of those that pass."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in PASSING:
            return True
        cause = cause.__cause__
    return False
