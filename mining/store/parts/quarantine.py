"""Quarantine: queries that a stage could not answer, against the number that is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import Incomplete, NothingMade
from ..execution import Report
from ..plan import Stage

_SHOWN = 5
_MADE_FOR_USE = {"run", "pool", "scores", "groups"}


def quarantined(stage: Stage, report: Report) -> int:
    """Return how many queries of a finished shard are dropped for a reason that needs leave."""
    return sum(len(report.dropped.get(reason, ())) for reason in stage.quarantine)


def check_allowance(stage: Stage, held: Sequence[Report], folder: Path) -> None:
    """Raise Incomplete when more queries are quarantined than the stage allows.

    The other parts are committed by then; those of `held` stay open, so the next start tries them
    again (docs/faults.md §4).
    """
    total = sum(quarantined(stage, report) for report in held)
    if total <= stage.allow:
        return
    notes = [note for report in held for note in report.notes]
    more = "" if len(notes) <= _SHOWN else f" and {len(notes) - _SHOWN} more"
    dropped = {r for report in held for r, queries in report.dropped.items() if len(queries)}
    reasons = sorted(dropped & stage.quarantine)
    raise Incomplete(
        f"{total} queries of {stage.kind} are quarantined ({', '.join(reasons)}), "
        f"{stage.allow} are allowed: {'; '.join(notes[:_SHOWN])}{more}",
        where=folder,
        do=f"look at these texts; to go on without these queries allow {total} (--allow {total})",
    )


def check_something_made(manifest: Mapping[str, Any], folder: Path) -> None:
    """Raise NothingMade where every query was dropped: such an artifact is no success.

    A stage that was asked for no query, and so dropped none, may well have made nothing. A design
    without a block is one, and so are its cells: it says which levels could not be reached.
    """
    kind, made_of = manifest["kind"], manifest["inputs"]
    rows = sum(part["rows"] for part in manifest["parts"])
    reasons = {reason: len(queries) for reason, queries in manifest["dropped"].items() if queries}
    if rows or not reasons or kind not in _MADE_FOR_USE or "design" in made_of:
        return
    told = ", ".join(f"{number:,} {reason}" for reason, number in sorted(reasons.items()))
    raise NothingMade(
        f"every query was dropped, so these {kind} would be empty: {told}",
        where=folder,
        do="look at the reasons: the split, the grade of positives, missing scores, the depth",
    )
