"""Groups that teach little: too many queries without one, too many negatives above the positive.

Said where groups are made, with the figures and with what helps; the thresholds stand here alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..groups.format import Groups
from ..store import Artifact

MOST_DROPPED = 0.10
"""Share of the queries without a group from which that is said."""
MOST_ABOVE = 0.25
"""Share of the negatives that score above the positive from which that is said."""
MOST_FILLED = 0.20
"""Share of the negatives that were filled up from the pool from which that is said."""

_STRUCTURE = 1  # level of validation: these groups were made, or found, a moment ago


@dataclass(frozen=True, slots=True)
class Advice:
    """One remark: the figures, and what helps, as options of the command line and as keys of a
    recipe."""

    what: str
    options: str
    keys: str
    share: float

    def said(self, *, recipe: bool = False) -> str:
        """Return the remark as one line."""
        return f"{self.what}; {self.keys if recipe else self.options}"


def advice_of(artifact: Artifact) -> list[Advice]:
    """Return what is to be said of groups, the gravest first; nothing for groups in order."""
    if not artifact.rows:
        return []
    remarks = [*_dropped(artifact), *_above(artifact), *_filled(artifact)]
    return sorted(remarks, key=lambda one: -one.share)


_HELPS = {
    "too_few_candidates": (
        "mine deeper (mine --depth), choose smaller groups (--size), or fill up from the pool "
        "(--when-short fill)",
        "mine deeper (mine.depth), choose smaller groups (groups.size), or fill up from the pool "
        "(groups.when_short = 'fill')",
    ),
    "no_positive": (
        "take lower grades for positive (--min-grade), or pool with --positives",
        "take lower grades for positive (pool.min_grade), or pool.positives = true",
    ),
}
_LOOK = (
    "`rankmill explain QUERY_ID --groups NAME` says why",
    "`rankmill explain QUERY_ID --groups NAME` says why",
)


def _dropped(artifact: Artifact) -> list[Advice]:
    """Say how many queries have no group, and why most of them have none."""
    selected = artifact
    while "groups" in selected.inputs:  # what cuts and targets drop is what they are for
        selected = selected.input("groups")
    dropped = {reason: len(queries) for reason, queries in selected.dropped.items() if queries}
    lost = sum(dropped.values())
    kept = len(_queries(selected))
    share = lost / max(lost + kept, 1)
    if share <= MOST_DROPPED:
        return []
    reason = max(dropped, key=lambda one: dropped[one])
    why = reason.replace("_", " ")
    others = "" if len(dropped) == 1 else f" ({dropped[reason]:,} of them)"
    what = f"{share:.0%} of the queries ({lost:,} of {lost + kept:,}) have no group: {why}{others}"
    return [Advice(what, *_HELPS.get(reason, _LOOK), share)]


def _queries(artifact: Artifact) -> np.ndarray:
    groups = Groups(artifact, _STRUCTURE)
    return np.unique(np.concatenate([part.query for part in groups.parts()] or [np.empty(0)]))


def _above(artifact: Artifact) -> list[Advice]:
    """Say how many negatives the teacher puts above the positive of their group."""
    groups = Groups(artifact, _STRUCTURE)
    above = negatives = 0
    for part in groups.parts():
        negative = ~groups.positive(part)
        negative[:, 0] = False
        above += int((negative & (part.score > part.score[:, :1])).sum())
        negatives += int(negative.sum())
    share = above / max(negatives, 1)
    if share <= MOST_ABOVE:
        return []
    return [
        Advice(
            f"{share:.0%} of the negatives ({above:,} of {negatives:,}) score above the positive: "
            "false negatives, or a teacher that does not fit the collection",
            "--filter 'margin(gap=0)' leaves them out, `rankmill audit --groups NAME` shows some "
            "to read",
            "groups.filters = ['margin(gap=0)'] leaves them out, `rankmill audit --groups NAME` "
            "shows some to read",
            share,
        )
    ]


def _filled(artifact: Artifact) -> list[Advice]:
    """Say how many negatives were filled up, not chosen by the strategy."""
    filled = int(artifact.counts.get("filled", 0))
    negatives = artifact.rows * (int(artifact.parameters["size"]) - 1)
    share = filled / max(negatives, 1)
    if share <= MOST_FILLED:
        return []
    return [
        Advice(
            f"{share:.0%} of the negatives ({filled:,} of {negatives:,}) were filled up from the "
            "pool, not chosen by the strategy",
            "mine deeper (mine --depth), or choose smaller groups (--size)",
            "mine deeper (mine.depth), or choose smaller groups (groups.size)",
            share,
        )
    ]
