"""Where the sequences of a batch lie: one behind the other, or behind beginnings they share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from ...devices import to_device


@dataclass(frozen=True, slots=True)
class Run:
    """`count` neighbours of `length` tokens from `start` on, each behind the same `before` tokens
    that lie at `at`."""

    start: int
    count: int
    length: int
    at: int
    before: int


@dataclass(frozen=True, slots=True)
class Ends:
    """What one call for all sequences takes, on its device.

    `asked`, `seen`: int32 [n + 1] sums of the tokens that ask and of those that are seen. `own`:
    int64 [tokens], the places of those that ask, None where they are the first `tokens` places in
    order. `places`: int64, those of the tokens that are seen, None where each sequence sees its own
    alone. `most`, `most_seen`: of the longest sequence.
    """

    asked: Any
    seen: Any
    own: Any
    places: Any
    tokens: int
    most: int
    most_seen: int


@dataclass
class Layout:
    """Where the sequences of a batch lie: int64 [n] each, in the order of their places.

    `at`, `before`: tokens that a sequence sees besides its own, as if they stood before it; 0 of
    them without shared beginnings. `causal`: no token sees one behind it.
    """

    start: np.ndarray
    length: np.ndarray
    at: np.ndarray
    before: np.ndarray
    causal: bool
    _masks: dict[tuple[int, int, int | None, Any], Any] = field(default_factory=dict)
    _ends: dict[Any, Ends] = field(default_factory=dict)

    @cached_property
    def runs(self) -> list[Run]:
        """Neighbours of equal shape together; sequences without tokens are none."""
        some = np.flatnonzero(self.length)
        each = np.stack([self.length, self.at, self.before], axis=1)[some]
        new = np.append((each[1:] != each[:-1]).any(axis=1), True)
        edges = np.append(0, np.flatnonzero(new) + 1)[: len(some) + 1]
        return [
            Run(int(self.start[some[a]]), b - a, *map(int, each[a]))
            for a, b in pairwise(edges.tolist())
        ]

    def mask(self, run: Run, reach: int | None, like: Any, *, written: bool = False) -> Any:
        """Return what is added to the products of a run, [length, before + length]; None where
        every token sees all of them, or, unless `written` out, all that stand before it."""
        import torch

        whole = run.before + run.length
        if reach is not None and reach >= whole - 1:
            reach = None  # the window holds all there is
        if reach is None and not (self.causal and (run.before or written)):
            return None
        key = (run.length, run.before, reach, like.dtype)
        if key not in self._masks:
            asks = torch.arange(run.before, whole, device=like.device)[:, None]
            ahead = torch.arange(whole, device=like.device) - asks
            hidden = ahead > 0 if self.causal else torch.zeros_like(ahead, dtype=torch.bool)
            if reach is not None:
                hidden |= ahead.abs() > reach
            mask = torch.zeros(hidden.shape, dtype=like.dtype, device=like.device)
            self._masks[key] = mask.masked_fill_(hidden, -torch.inf)
        return self._masks[key]

    def ends(self, device: Any) -> Ends:
        """Return what one call for all sequences takes; copied to the device once, for all layers
        of a model ask for the same."""
        if device not in self._ends:
            self._ends[device] = self._ends_on(device)
        return self._ends[device]

    def _ends_on(self, device: Any) -> Ends:
        some = np.flatnonzero(self.length)
        start, length, at, before = (
            x[some] for x in (self.start, self.length, self.at, self.before)
        )
        seen = before + length
        asked, summed = (np.concatenate([[0], np.cumsum(n)]) for n in (length, seen))
        own, places = None, None
        if (start != asked[:-1]).any():
            own = np.repeat(start - asked[:-1], length) + np.arange(asked[-1])
        if before.any():
            inside = np.arange(summed[-1]) - np.repeat(summed[:-1], seen)
            shared, head, first = (np.repeat(x, seen) for x in (before, at, start))
            places = np.where(inside < shared, head + inside, first + inside - shared)
        return Ends(
            to_device(asked.astype(np.int32), device),
            to_device(summed.astype(np.int32), device),
            None if own is None else to_device(own, device),
            None if places is None else to_device(places, device),
            tokens=int(asked[-1]),
            most=int(length.max(initial=0)),
            most_seen=int(seen.max(initial=0)),
        )
