"""Which measures a re-ranker has of its own: not those that only count what its list holds."""

from __future__ import annotations

import re
from collections.abc import Iterable

_OF_A_SET = re.compile(r"(?:R|P|Success)(?:\([^)]*\))?@(\d+)")  # the order within k does not count


def counts_the_list(measure: str, depth: int) -> bool:
    """Say whether a measure sees no more of a list of `depth` documents than which they are.

    R@100 of a student that re-ranks the first 40 documents of a run is the recall of that run, cut
    at 40, and the same for every student; so is R@40.
    """
    matched = _OF_A_SET.fullmatch(measure)
    return matched is not None and int(matched[1]) >= depth


def reaches_beyond(measure: str, depth: int) -> bool:
    """Say whether such a measure asks for more documents than a list has: nobody's then."""
    return counts_the_list(measure, depth) and not measure.endswith(f"@{depth}")


def said_of(measures: Iterable[str], depth: int) -> str:
    """Say which measures are left out, and why; nothing where none is."""
    left = [measure for measure in measures if counts_the_list(measure, depth)]
    if not left:
        return ""
    verb = "is" if len(left) == 1 else "are"
    return (
        f"{', '.join(left)} {verb} not shown for systems that re-rank the first {depth} documents "
        f"of a run: their order cannot change {'it' if len(left) == 1 else 'them'}."
    )
