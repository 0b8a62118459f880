"""What to say where not a single group could be made: how many candidates there were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import NothingMade, UsageError
from .base import Candidates

if TYPE_CHECKING:
    from ..collection.handles import Collection
    from .selector import Chooser, Selector

_LOOKED_AT, _SHOWN = 2_000, 5


def no_group(
    selector: Selector, nothing: NothingMade, held: Collection, request: Mapping[str, Any]
) -> NothingMade:
    """Return the error: that no judgement makes a positive, or the largest size that would do, and
    how many queries had how many candidates; the first thousands of queries are looked at.

    `held`: whose judgements count; `request`: the parameters of the stage. `nothing` itself where
    it is not candidates that are too few.
    """
    if request["positives"] != "best":  # which asks no judgement
        split, least = request["split"], request["min_grade"]
        if none := without_positives(held.qrels(split).grade, least, split, nothing.where):
            return none
    largest: list[int] = []  # per query, the largest group around one of its positives
    dropped: Counter[str] = Counter()
    rows = min(_LOOKED_AT, selector.reader.pool.pool.artifact.rows)
    for asked in selector.reader.rows(0, rows):
        sizes = [_largest(selector.chooser, candidates) for candidates in asked.around]
        if sizes:
            largest.append(max(sizes))
        else:
            dropped[str(asked.reason)] += 1
    if not largest:
        return nothing
    most = max(largest)
    told = [
        f"{number:,} with {size - 1}" for size, number in sorted(Counter(largest).items())[::-1]
    ]
    more = ", …" if len(told) > _SHOWN else ""
    others = "".join(f", {number:,} {reason}" for reason, number in sorted(dropped.items()))
    first = "first " if rows < selector.reader.pool.pool.artifact.rows else ""
    return NothingMade(
        f"no query has candidates enough for a group of {selector.size}: of the {first}{rows:,} "
        f"queries, by documents beside the positive, {', '.join(told[:_SHOWN])}{more}{others}",
        where=f"{selector.chooser.strategy}, {selector.reader.pool.pool.artifact.path}",
        do=(f"choose a size of at most {most}, or " if most >= 2 else "")
        + "mine deeper, or filter less"
        + (
            ""
            if selector.chooser.when_short.startswith("fill")
            else ", or fill up (when_short=fill)"
        ),
    )


def without_positives(
    grades: np.ndarray, min_grade: int, split: str, where: str | Path | None
) -> NothingMade | None:
    """Return the error for judgements of a split of which none makes a positive; None where one
    does. `grades`: int [judgements]."""
    if (grades >= min_grade).any():
        return None
    highest = f"the highest is {int(grades.max())}" if len(grades) else "there are none"
    return NothingMade(
        f"no judgement of the split {split!r} has a grade of at least {min_grade} (min_grade), so "
        f"no query has a positive: {highest}",
        where=where,
        do="choose a lower min_grade, or another split; without positives, "
        "docs/howto/unlabelled.md takes a teacher's best document",
    )


def _largest(chooser: Chooser, candidates: Candidates) -> int:
    """Return the largest size of a group around the positive that the strategy can make."""
    chooser.narrow(candidates)
    fixed = 1 + len(candidates.also)
    wanted = min(chooser.negatives(candidates), int(candidates.allowed.sum()))
    if chooser.when_short.startswith("fill"):  # up from the pool, whatever the strategy reaches
        return fixed + wanted
    for negatives in range(wanted, 0, -1):
        try:
            reach = len(chooser.strategy.reach(candidates, negatives))
        except UsageError:  # a strategy for one size only
            continue
        if reach >= negatives:
            return fixed + negatives
        if reach:
            return fixed + reach
    return fixed
