"""Groups that teach little: too many queries without one, too many negatives above the positive,
negatives of a source that found hardly a positive.

Said where groups are made, with the figures and with what helps; the thresholds stand here alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..groups.format import Groups
from ..pair_keys import distinct, pair_keys
from ..runs.pool import Pool
from ..store import Artifact
from .members import found_in

MOST_DROPPED = 0.10
"""Share of the queries without a group from which that is said."""
MOST_ABOVE = 0.25
"""Share of the negatives that score above the positive from which that is said."""
MOST_FILLED = 0.20
"""Share of the negatives that were filled up from the pool from which that is said."""
FEWEST_FOUND, MOST_FOUND = 0.25, 0.75
"""Said where a source found less than the first share of positives, more than the second of
negatives."""

_LOOKED_AT = 20_000  # groups; of the first part, and as far as the first part of the pool goes
_STRUCTURE = 1  # level of validation: these groups were made, or found, a moment ago


@dataclass(frozen=True, slots=True)
class Advice:
    """One remark: of what kind, the figures, and what helps, as options of the command line and as
    keys of a recipe."""

    kind: str
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
    remarks = [*_dropped(artifact), *_above(artifact), *_filled(artifact), *_apart(artifact)]
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
    selected = _selected(artifact)  # what cuts and targets drop is what they are for
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
    return [Advice("dropped", what, *_HELPS.get(reason, _LOOK), share)]


def _selected(artifact: Artifact) -> Artifact:
    """Return the groups as they were chosen, before cuts and targets."""
    while "groups" in artifact.inputs:
        artifact = artifact.input("groups")
    return artifact


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
            "above",
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
            "filled",
            f"{share:.0%} of the negatives ({filled:,} of {negatives:,}) were filled up from the "
            "pool, not chosen by the strategy",
            "mine deeper (mine --depth), or choose smaller groups (--size)",
            "mine deeper (mine.depth), or choose smaller groups (groups.size)",
            share,
        )
    ]


def _apart(artifact: Artifact) -> list[Advice]:
    """Say where a source that ranks found the negatives and hardly a positive: then what makes it
    find a text, such as words of the query, tells negatives from positives."""
    selected = _selected(artifact)
    if "pool" not in selected.inputs or not len(selected.input("pool").parts):
        return []
    pool, groups = Pool(selected.input("pool")), Groups(artifact, _STRUCTURE)
    listed, part = pool.part(0), groups.part(0)
    within = np.searchsorted(part.query, listed.query[-1], "right") if len(listed.query) else 0
    rows = slice(0, min(int(within), _LOOKED_AT))
    keys = pair_keys(part.query[rows, None], part.doc[rows])
    positive = groups.positive(part)[rows]
    positive[:, 0] = True
    pairs = distinct(keys[positive]), distinct(keys[~positive])
    if not all(len(one) for one in pairs):
        return []
    positives, negatives = (found_in(listed, one) for one in pairs)
    shares = {
        label: (positives[label] / len(pairs[0]), negatives[label] / len(pairs[1]))
        for label in pool.labels
        if label not in pool.drawn
    }
    label = max(shares, key=lambda one: shares[one][1] - shares[one][0], default=None)
    if label is None or shares[label][0] >= FEWEST_FOUND or shares[label][1] <= MOST_FOUND:
        return []
    of_positives, of_negatives = shares[label]
    return [
        Advice(
            "apart",
            f"{label} found {of_positives:.0%} of the positives and {of_negatives:.0%} of the "
            f"negatives (of {len(pairs[0]):,} and {len(pairs[1]):,}): students can learn that what "
            "it finds is not relevant",
            "keep positives that a source found (no-positives of pool, --missing drop_doc of "
            "select), or pool negatives of other sources too",
            "keep positives that a source found (pool.positives = false, groups.missing = "
            "'drop_doc'), or add negatives of other sources",
            of_negatives - of_positives,
        )
    ]
