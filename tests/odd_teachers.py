"""Teachers that misbehave, in a module so that actors can import them."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest

from rankmill.mining.teachers.base import PREPARERS, Prepared, Scored
from rankmill.mining.teachers.cross_encoder import CrossEncoder


class Odd:
    """A score is the document's ordinal; `sick` documents score NaN, asked once more they score
    `again`; `deadly` ones kill."""

    def __init__(self, sick: int = -1, again: float = float("nan"), deadly: int = -1):
        self.sick, self.again, self.deadly = sick, again, deadly

    def score(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Answer, or die."""
        if (doc == self.deadly).any():
            os.kill(os.getpid(), signal.SIGKILL)
        scores = doc.astype(np.float32)
        scores[doc == self.sick] = np.nan
        return Scored(scores, {"tokens": 1})

    def score_again(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Answer what is said."""
        return Scored(np.full(len(doc), self.again, np.float32), {"tokens": 1})

    def truncated(self, query: np.ndarray, doc: np.ndarray) -> int:
        """Nothing is cut."""
        return 0


def odd_teacher(monkeypatch: pytest.MonkeyPatch, **options: Any) -> CrossEncoder:
    """Return a teacher that is `Odd` in the way of the options."""

    def prepare(*_: Any) -> Prepared:
        return Prepared(
            label=f"odd{sorted(options.items())}",
            kind="logit",
            parameters={"model": "0"},
            make=Odd,
            options=options,
            pair_work=lambda query, doc: np.ones(len(query), dtype=np.int64),
        )

    monkeypatch.setitem(PREPARERS, CrossEncoder, prepare)
    return CrossEncoder("odd")
