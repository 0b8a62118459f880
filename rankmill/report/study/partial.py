"""Partial correlations of gains with H, Δ and κ as a table of a study's report."""

from __future__ import annotations

from collections.abc import Iterator

from rankmill.report.page.words import signed
from rankmill.report.study.tables import Shown, Table
from rankmill.study.grid.answer.partial import Correlated
from rankmill.study.grid.outcome import StudyOutcome
from rankmill.training.partial import Partial

TITLE = "Gains with H, Δ and κ"


def partial_tables(outcome: StudyOutcome) -> Iterator[Table]:
    """Yield one table of all sets; none where no set's queries have groups."""
    correlated = outcome.correlated
    rows = [_row(one, partial) for one in correlated for partial in one.partials]
    if not rows:
        return
    columns = ["set", "means removed", "gain with", "given", "Pearson", "Spearman"]
    columns += ["queries", "cells", "rows"]
    yield Table(TITLE, columns, rows, 4, _say(outcome))


def _row(one: Correlated, partial: Partial) -> list[str]:
    taken = "of cells" if one.way.startswith("between") else "of queries"
    said = f"{one.domain} ({one.kind})"
    row = [said, taken, partial.name, ", ".join(partial.given) or "–"]
    for kind in ("pearson", "spearman"):
        value, low, high = (getattr(partial, f"{kind}{end}") for end in ("", "_low", "_high"))
        row.append(_interval(value, low, high, partial.reason))
    counts = (one.queries, one.cells, one.rows)
    return [*row, *(Shown(f"{count:,}", count) for count in counts)]


def _interval(
    value: float | None, low: float | None, high: float | None, reason: str | None
) -> str:
    if value is None or low is None or high is None:
        return f"– ({reason or 'not defined'})"
    return Shown(f"{signed(value, 2)} ({signed(low, 2)} … {signed(high, 2)})", value)


def _say(outcome: StudyOutcome) -> str:
    measured = dict(item for one in outcome.correlated for item in one.columns.items())
    named = "; ".join(f"{symbol} is {column}" for symbol, column in measured.items())
    named += "; of κ its logarithm" if "κ" in measured else ""
    left = sum(one.left_out for one in outcome.correlated) // 2  # both ways have the same rows
    said = dict.fromkeys(one.said for one in outcome.correlated if one.said)
    more = "".join(f" {text}." for text in said)
    lack = "row lacks a value and is" if left == 1 else "rows lack a value and are"
    more += f" {left:,} {lack} left out." if left else ""
    return (
        f"Partial correlations between the gain in {outcome.answer.measure} over the untrained "
        "student (one row per query and cell, averaged over seeds) and the statistics of the group "
        f"that the cell’s sampler draws for that query: {named}. Removing the means of cells asks "
        "on which queries more is gained; removing the means of queries asks whether, on the same "
        "query, cells gain more if their group has more of it. 95 % intervals over queries, each "
        "with all its rows. Nothing is adjusted over the table, and no row shows cause and effect."
        + more
    )
