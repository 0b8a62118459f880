"""The answer as polars frames: gain per cost, the frontier's steps, who pays, predicted order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rankmill.study.grid.answer.answer import Answer
from rankmill.study.grid.answer.evidence import evidence_rows
from rankmill.study.results import BM25, START

if TYPE_CHECKING:
    import polars as pl

    from rankmill.study.grid.answer.amounts import Amount
    from rankmill.study.grid.answer.partial import Correlated
    from rankmill.study.grid.answer.theory import Predicted
    from rankmill.study.grid.panels import Panel
    from rankmill.training.significance import Interval

AGAINST = {START: "start", BM25: "bm25"}


def worth_frame(answer: Answer) -> pl.DataFrame:
    """Return a row per cell, domain, baseline and unit of cost: gain, cost, gain per unit."""
    return _frame(
        {
            "study": answer.study.name,
            "cell": one.cell.name,
            **one.cell.levels,
            **_of_panel(answer, answer.panels[place]),
            "against": AGAINST[role],
            **_tested(one.gained.difference, one.gained.p_adjusted),
            "unit": one.unit.name,
            "cost": one.cost,
            **_rated(one.rate),
            "front": one.front,
            "verdict": one.verdict,
        }
        for (place, role, _), worths in answer.worths.items()
        for one in worths
    )


def steps_frame(answer: Answer) -> pl.DataFrame:
    """Return a row per step along each frontier, from one cell (null: from doing without) to the
    next dearer one."""
    return _frame(
        {
            "study": answer.study.name,
            **_of_panel(answer, answer.panels[place]),
            "against": AGAINST[role],
            "before": one.before and one.before.name,
            "after": one.after.name,
            **_tested(one.gained, one.p_adjusted),
            "unit": one.unit.name,
            "cost": one.cost,
            **_rated(one.rate),
            "verdict": one.verdict,
        }
        for (place, role, _), steps in answer.steps.items()
        for one in steps
    )


def charges_frame(answer: Answer) -> pl.DataFrame:
    """Return a row per level of every axis, the parts of its cells together, and one for all that
    the study cost; the levels of one axis add up to it."""
    costs, study = answer.costs, answer.study
    every = [
        (axis, level, amount)
        for axis in study.levels
        for level, amount in costs.charged_to(axis).items()
    ]
    every.append(("study", study.name, costs.whole))
    return _frame(
        {"study": study.name, "axis": axis, "level": level}
        | charged_columns(amount, study.prices.currency)
        for axis, level, amount in every
    )


def order_frame(predicted: Sequence[Predicted]) -> pl.DataFrame:
    """Return a row per design, domain, measure and prediction: its term, how its students did, how
    far the two orders agree; no columns where nothing could be ordered."""
    return _frame(row for one in predicted for row in one.rows())


def partial_frame(study: str, correlated: Sequence[Correlated]) -> pl.DataFrame:
    """Return a row per set, way and statistic; no columns where nothing could be correlated."""
    return _frame(row for one in correlated for row in one.frame_rows(study))


def designs_frame(answer: Answer) -> pl.DataFrame:
    """Return a row per design and set of its own collection: gain, cost and the means of its
    statistics, null where one was not measured or is infinite; what `rankmill advise` reads."""
    return _frame(evidence_rows(answer))


def charged_columns(amount: Amount, currency: str) -> dict[str, Any]:
    """Return what is charged as columns: compiling and importing, overhead and what was found are
    parts of it, what was saved is not."""
    row = amount.columns("charged")
    for line in ("first_s", "overhead_s", "found_s", "saved_s"):
        row[f"charged_{line}"] = amount.lines.get(line, 0.0)
    return row | {"currency": currency or None}


def _of_panel(answer: Answer, panel: Panel) -> dict[str, str]:
    return {"domain": panel.domain, "kind": panel.kind, "measure": answer.measure}


def _tested(gained: Interval, p_adjusted: float) -> dict[str, float | None]:
    return {
        "gain": gained.mean,
        "gain_low": gained.low,
        "gain_high": gained.high,
        "gain_p_holm": p_adjusted,
    }


def _rated(rate: Interval) -> dict[str, Any]:
    return {
        "per_unit": rate.mean,
        "per_unit_low": rate.low,
        "per_unit_high": rate.high,
        "no_interval_because": rate.reason,
    }


def _frame(rows: Iterator[dict[str, Any]]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(list(rows), infer_schema_length=None)
