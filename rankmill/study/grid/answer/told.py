"""What a study has found, in words for the terminal and the report, and as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rankmill.study import words
from rankmill.study.grid.answer.answer import ROLES
from rankmill.study.grid.budgets import met, remarks_on, unequal
from rankmill.training.bounded import mean_interval

if TYPE_CHECKING:
    from rankmill.study.grid.design import Cell
    from rankmill.study.grid.engine import Engine
    from rankmill.study.grid.outcome import StudyOutcome


def lines_of(outcome: StudyOutcome) -> Iterator[str]:
    """Yield what the command prints: the answer, cells by domain, cheapest first, the notes."""
    yield from outcome.answer.sentences()
    for panel in outcome.panels:
        yield f"{panel.title} ({panel.kind}), {outcome.study.measures[0]}, cheapest first:"
        mine = [g for g in outcome.gains if g.domain == panel.domain and g.cell in panel.cells]
        wide = max(len(g.cell.name) for g in mine)
        for gain in mine:
            first = outcome.study.measures[0]
            values = panel.values(gain.cell, first)
            interval, front = (
                mean_interval(values, first),
                ", on the frontier" if gain.front else "",
            )
            yield (
                f"  {gain.cell.name:<{wide}}  {interval.mean:.4f} ({words.between(interval)})  "
                f"gain {words.signed(gain.gained)}  "
                f"{words.duration(gain.spent.seconds)}  {gain.verdict}{front}"
            )
    for one in outcome.effects:
        others = ", ".join(f"{k} {v}" for k, v in one.others.items())
        at = f"{one.domain} ({others})" if others else one.domain
        for effect in one.effects:
            d = effect.difference
            yield (
                f"{at}: {effect.factor}, {effect.step}: {d.mean:+.4f} "
                f"({words.scoped(d)}, p {words.p_value(effect.p_adjusted)})"
            )
    for told in outcome.correlated:
        yield from told.lines()
    yield from outcome.claims.lines()
    for number, stopped in outcome.engine.stopped.items():
        cell = outcome.study.cells[number]
        yield f"stopped after {stopped.after} seeds: {cell.name}; {outcome.why(cell)}"
    yield from _rates(outcome)
    for note in [*outcome.answer.caveats, *outcome.notes]:
        yield f"note: {note}"


def _rates(outcome: StudyOutcome) -> Iterator[str]:
    """Yield gain per unit of cost, the cells of the frontier that decides."""
    for panel in outcome.panels:
        for one in (one for one in outcome.answer.shown(panel) if one.front):
            yield (
                f"{panel.title}, frontier: {one.cell.name}, {one.unit.said(one.cost)}: "
                f"{one.rate.mean:+.4g} {outcome.study.measures[0]} per {one.unit.name} over "
                f"{ROLES[one.role]} ({words.between(one.rate, '+', '.4g')}), {one.verdict}"
            )


def why_stopped(engine: Engine, cell: Cell) -> str:
    """Say on what evidence a cell was stopped."""
    one = engine.stopped[cell.number]
    d = one.difference
    return (
        f"{one.measure} on {one.domain} {d.mean:+.4f} ({words.scoped(d)}) "
        f"against {engine.study.cells[one.best].name}: below {0 - one.margin:g}"
    )


def notes_of(outcome: StudyOutcome) -> Iterator[str]:
    """Yield what a reader must know of the numbers."""
    if len(outcome.study.seeds) < 2:
        yield f"Intervals are over queries only; {words.ONE_SEED}."
    seen = outcome.engine.seen
    for line in (*unequal(outcome.study.cells, seen), *met(outcome.study, seen)):
        yield line[0].upper() + line[1:] + "."
    yield from remarks_on(outcome.study, outcome.engine.tracks)
    if outcome.engine.stopped:
        stopped = len(outcome.engine.stopped)
        was, rows = ("was", "Its row rests") if stopped == 1 else ("were", "Their rows rest")
        yield (
            f"{stopped} of {len(outcome.study.cells)} cells {was} stopped early on a development "
            f"split. {rows} on fewer seeds, and the intervals on that split do not account for its "
            "having decided that."
        )
    for panel in (one for one in outcome.panels if one.trained):
        held, split = panel.judged_by
        yield (
            f"Students are trained on {panel.trained:,} of the "
            f"{len(held.qrels(split).queries):,} queries of {panel.title}, so it judges nothing."
        )
    for one in outcome.effects:
        if one.reason is not None:
            yield f"No effects of factors are given for {one.domain}: {one.reason}."
    if any(len(panel.cells) > 1 for panel in outcome.panels):
        yield (
            "The best cell of a set is chosen by the queries that judge it, so its own mean "
            "flatters it. p-values against it are adjusted (Holm) over all pairs of cells on that "
            "set, those against the untrained student and BM25 over all cells."
        )
    yield from _limits(outcome)


def _limits(outcome: StudyOutcome) -> Iterator[str]:
    """Say what nothing of this study shows."""
    if len(outcome.panels) > 1:
        yield f"Nothing is adjusted for there being {len(outcome.panels)} evaluation sets."
    recipes = [track.recipe for track in outcome.engine.tracks]
    fixed = {
        "teacher": {recipe.teacher for recipe in recipes},
        "training collection": {recipe.collection for recipe in recipes},
    }
    single = [f"one {what}" for what, values in fixed.items() if len(values) == 1]
    if single:
        yield f"All cells share {' and '.join(single)}, so nothing is shown about others."


def plain_of(outcome: StudyOutcome) -> dict[str, Any]:
    """Return the outcome as plain values."""
    return {
        "study": outcome.study.name,
        "seeds": list(outcome.study.seeds),
        "answer": outcome.answer.as_json(),
        "worth": outcome.worth.to_dicts(),
        "steps": outcome.steps.to_dicts(),
        "charges": outcome.charges.to_dicts(),
        "predicted": [one.as_json() for one in outcome.predicted],
        "hypotheses": outcome.hypotheses.to_dicts(),
        "cells": outcome.cells.to_dicts(),
        "gains": [one.as_json() for one in outcome.gains],
        "effects": [one.as_json() for one in outcome.effects],
        "partial": [one.as_json() for one in outcome.correlated],
        "stopped": [_stopped(outcome.engine, number) for number in outcome.engine.stopped],
        "notes": outcome.notes,
    }


def _stopped(engine: Engine, number: int) -> dict[str, Any]:
    """Return what stopped a cell, as plain values."""
    one = engine.stopped[number]
    return {
        "cell": engine.study.cells[number].name,
        "after_seeds": one.after,
        "best": engine.study.cells[one.best].name,
        "domain": one.domain,
        "measure": one.measure,
        "difference": one.difference.mean,
        **words.bounds(one.difference),
        "margin": one.margin,
    }
