"""The contract of teacher scores, checked on arrival: range, saturation, constant lists.

What a teacher declares is its kind and its range; what arrives is surveyed part by part, so that
the counts stand in the manifest. Non-finite scores are no matter of this module: their queries are
quarantined before.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from ..errors import BadInput
from ..score_kinds import RANK
from ..store import Artifact
from ..store.tables import list_values

Range = tuple[float, float]
RANGES: dict[str, Range] = {
    "logit": (-math.inf, math.inf),
    "log-prob": (-math.inf, 0.0),
    "probability": (0.0, 1.0),
    "similarity": (-math.inf, math.inf),
    RANK: (-math.inf, 0.0),  # minus the rank, so that better is larger
}
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

    `scores` float32 [n] finite; `offsets` int64 [lists+1]; `positive` bool [n], the judged
    positives, or None without judgements. Returns `lists` (of two documents or more) and those that
    are `constant_lists`, scores that are `saturated` (at an end of the range), and the pairs of a
    positive and another document of its list that the positive wins or loses.
    """
    ends = [end for end in limits if math.isfinite(end)]
    counts = {"lists": 0, "constant_lists": 0, "saturated": int(np.isin(scores, ends).sum())}
    won = lost = 0
    for low, high in zip(offsets[:-1], offsets[1:], strict=True):
        if high - low < 2:
            continue
        values = scores[low:high]
        counts["lists"] += 1
        counts["constant_lists"] += int(values.min() == values.max())
        if positive is not None and (mine := positive[low:high]).any():
            others = np.sort(values[~mine])
            below = np.searchsorted(others, values[mine], side="left")
            above = len(others) - np.searchsorted(others, values[mine], side="right")
            won, lost = won + int(below.sum()), lost + int(above.sum())
    counts |= {"positives_won": won, "positives_lost": lost}
    return {name: count for name, count in counts.items() if count}


def tell_probabilities(scores: Artifact) -> None:
    """Warn of logits that all lie in [0, 1], as probabilities do; losses would squash them."""
    if scores.metadata["kind"] != "logit":
        return
    pairs, ones, low, high = 0, 0, 1.0, 0.0
    for table in scores.tables():
        values = list_values(table["logit"])[1]
        low, high = min(low, values.min(initial=1)), max(high, values.max(initial=0))
        if not 0 <= low <= high <= 1:
            return
        pairs, ones = pairs + len(values), ones + int((values == 1).sum())
    if pairs >= _PAIRS and low < high:
        saturated = f", {ones:,} of them saturated at exactly 1" if ones else ""
        warnings.warn(
            f"all {pairs:,} scores lie between 0 and 1{saturated}: these look like probabilities, "
            "and are declared as logits; if so, import them with --kind probability",
            RuntimeWarning,
            stacklevel=3,
        )


def check_arrival(scores: Artifact) -> None:
    """Raise BadInput for scores that no teacher in good health gives.

    More than half of the lists constant, or more than half of the scores at an end of their range.
    Which way they run is another question: `direction`.
    """
    counts = scores.counts
    pairs, lists = counts.get("pairs", 0), counts.get("lists", 0)
    constant, saturated = counts.get("constant_lists", 0), counts.get("saturated", 0)
    if lists >= _LISTS and constant > _MOST * lists:
        raise BadInput(
            f"the teacher gives one score to all documents in {constant:,} of {lists:,} lists",
            where=scores.path,
            do="check prompt, words and checkpoint: it does not tell documents apart",
        )
    if pairs >= _PAIRS and saturated > _MOST * pairs:
        raise BadInput(
            f"{saturated:,} of {pairs:,} scores stand at an end of their range "
            f"{scores.metadata['range']}",
            where=scores.path,
            do="store logits in place of rounded probabilities, or check the teacher",
        )
