"""The contract of teacher scores, checked on arrival: range, saturation, constant lists.

What a teacher declares is its kind and its range; what arrives, computed here or handed in, is
surveyed part by part, so that the counts stand in the manifest. `told` says them in words, for the
import that made them and for those who look at them later. Non-finite scores are no matter of this
module: their queries are quarantined before.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import numpy as np

from ...native.agreement import positives_won
from ..errors import BadInput, worded
from ..score_kinds import RANK
from ..store import Artifact

Range = tuple[float, float]
RANGES: dict[str, Range] = {
    "logit": (-math.inf, math.inf),
    "log-prob": (-math.inf, 0.0),
    "probability": (0.0, 1.0),
    "similarity": (-math.inf, math.inf),
    RANK: (-math.inf, 0.0),  # minus the rank, so that better is larger
}
CONSTANT, SATURATED, IN_UNIT = "constant_lists", "saturated", "between_0_and_1"
_LISTS, _PAIRS = 10, 100  # fewer lists, fewer scores prove nothing
_MOST = 0.5  # of lists that are constant, of scores that stand at an end of their range


def range_text(limits: Range) -> str:
    """Return a range as manifests print it: `0..1`, `-inf..0`."""
    return f"{limits[0]:g}..{limits[1]:g}"


def outside(scores: np.ndarray, limits: Range) -> np.ndarray:
    """Return the places of finite scores outside the range: int [m]. Half a ulp of float16 is
    forgiven."""
    slack = 2.0**-11 * max((abs(end) for end in limits if math.isfinite(end)), default=0.0)
    low, high = limits[0] - slack, limits[1] + slack
    return np.flatnonzero(np.isfinite(scores) & ~((scores >= low) & (scores <= high)))


def survey(
    scores: np.ndarray, offsets: np.ndarray, positive: np.ndarray | None, limits: Range
) -> dict[str, int]:
    """Count what tells a broken teacher: a pure function of the scores.

    `scores` float32 [n] finite; `offsets` int64 [lists+1], from 0 to n; `positive` bool [n], the
    judged positives, or None without judgements. Returns `lists` (of two documents or more) and
    those that are `constant_lists`, scores that are `saturated` (at an end of the range), and the
    pairs of a positive and another document of its list that the positive wins or loses.
    """
    ends = [end for end in limits if math.isfinite(end)]
    lengths = np.diff(offsets)
    starts, several = np.asarray(offsets)[:-1][lengths > 0], lengths[lengths > 0] > 1
    counts = {"lists": int(several.sum()), SATURATED: int(np.isin(scores, ends).sum())}
    if len(starts):
        least, most = (of.reduceat(scores, starts) for of in (np.minimum, np.maximum))
        counts[CONSTANT] = int(((least == most) & several).sum())
    if positive is not None:
        pairs = np.zeros(2, np.int64)
        positives_won(scores, np.asarray(offsets, np.int64), positive, pairs)
        counts |= {"positives_won": int(pairs[0]), "positives_lost": int(pairs[1])}
    return {name: count for name, count in counts.items() if count}


def survey_given(scores: np.ndarray, offsets: np.ndarray, kind: str) -> dict[str, int]:
    """Count the same of scores that were handed in, of which nobody knows who made them.

    Of logits that all lie in [0, 1], as probabilities do, also how many (`between_0_and_1`), and
    as `saturated` those of exactly 0 or 1. `scores`, `offsets`: see `survey`.
    """
    return survey(scores, offsets, None, RANGES[kind]) | like_probabilities(scores, kind)


def like_probabilities(scores: np.ndarray, kind: str) -> dict[str, int]:
    """Count logits (float32 [n] finite) that all lie in [0, 1], and those of exactly 0 or 1."""
    if kind != "logit" or not len(scores) or scores.min() < 0 or scores.max() > 1:
        return {}
    ends = int(np.isin(scores, (0.0, 1.0)).sum())
    return {IN_UNIT: len(scores)} | ({SATURATED: ends} if ends else {})


def told(scores: Artifact) -> dict[str, str]:
    """Return what a survey counted of scores, or of groups with scores, as a sentence by count."""
    counts, (pairs, lists) = scores.counts, amounts(scores)
    saturated, constant = counts.get(SATURATED, 0), counts.get(CONSTANT, 0)
    said: dict[str, str] = {}
    if pairs and counts.get(IN_UNIT, 0) == pairs:
        ends = f", {saturated:,} of them saturated at exactly 0 or 1" if saturated else ""
        said[IN_UNIT] = (
            f"all {pairs:,} scores lie between 0 and 1{ends}: these look like probabilities, and "
            "are declared as logits; if so, import them with --kind probability"
        )
    elif saturated and IN_UNIT not in counts:
        kind = scores.metadata["kind"]
        said[SATURATED] = (
            f"{saturated:,} of {pairs:,} scores are saturated at an end of the range of a {kind}, "
            f"{range_text(RANGES[kind])}: they have no finite logit"
        )
    if constant:
        said[CONSTANT] = (
            f"{constant:,} of {lists:,} lists have one score for all their documents: a student "
            "learns no order from them"
        )
    return said


def told_of_all(scores: Artifact) -> Iterator[tuple[Artifact, dict[str, str]]]:
    """Yield scores, or groups with scores, and those that they were taken from, each with what is
    `told` of it."""
    yield scores, told(scores)
    for role in scores.inputs:
        if (one := scores.input(role)).kind in ("scores", "groups"):
            yield from told_of_all(one)


def tell_arrival(scores: Artifact) -> None:
    """Warn of what is odd about scores that were handed in; few lists, few scores prove nothing."""
    pairs, lists = amounts(scores)
    for counted, said in told(scores).items():
        if lists >= _LISTS if counted == CONSTANT else pairs >= _PAIRS:
            warnings.warn(worded(said), RuntimeWarning, stacklevel=3)


def amounts(scores: Artifact) -> tuple[int, int]:
    """Return how many scores there are, and how many lists of two documents or more."""
    if scores.kind == "groups":
        return scores.rows * int(scores.parameters["size"]), scores.rows
    return scores.counts.get("pairs", 0), scores.counts.get("lists", 0)


def check_arrival(scores: Artifact) -> None:
    """Raise BadInput for scores that no teacher in good health gives.

    More than half of the lists constant, or more than half of the scores at an end of their range.
    Which way they run is another question: `direction`.
    """
    counts = scores.counts
    pairs, lists = amounts(scores)
    constant, saturated = counts.get(CONSTANT, 0), counts.get(SATURATED, 0)
    if lists >= _LISTS and constant > _MOST * lists:
        raise BadInput(
            f"the teacher gives one score to all documents in {constant:,} of {lists:,} lists",
            where=scores.path,
            do="check prompt, words and checkpoint: it does not tell documents apart",
        )
    if IN_UNIT in counts:  # 0 and 1 are no end of the range of a logit: see `told`
        return
    if pairs >= _PAIRS and saturated > _MOST * pairs:
        raise BadInput(
            f"{saturated:,} of {pairs:,} scores stand at an end of their range "
            f"{scores.metadata['range']}",
            where=scores.path,
            do="store logits in place of rounded probabilities, or check the teacher",
        )
