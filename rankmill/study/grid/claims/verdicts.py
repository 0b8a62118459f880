"""The verdict on every declared claim: holds, fails or undecided, with effect, interval and power;
beside it what other choices would have said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rankmill.study.grid.claims.ranks import by_ranks
from rankmill.study.grid.claims.values import (
    Sides,
    by_measure,
    by_reference,
    by_statistic,
    by_training,
)
from rankmill.study.grid.design import Cell
from rankmill.study.grid.hypotheses import (
    OF_RANKS,
    OF_TRAINING,
    ZERO,
    Contrast,
    Hypothesis,
    members,
)
from rankmill.training.significance import Interval, holm
from rankmill.training.strata import (
    FAILS,
    HOLDS,
    Effect,
    Judgement,
    judged,
    over_seeds,
    over_sets,
    reversed_equivalence,
)

if TYPE_CHECKING:
    import polars as pl

    from rankmill.study.grid.engine import Engine
    from rankmill.study.grid.panels import Panel

OURS, MICRO, REVERSED = "", "micro mean", "reversed test"
NO_SET = "no evaluation set has cells of both sides"
ONE_SEED = "one seed: a figure of training has no spread over queries"
_JUDGING = ("in-domain", "out-of-domain")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim, by one choice: `choice` is "" for the declared one, else what was done instead.

    `effect` is a − b; None, with the `reason`, where there is none. `judgement`: after Holm over
    the declared choices of all claims; other choices are not adjusted. `interval`: of level 1 − α.
    `unseeded`: compared is what no training seed changes, a statistic of groups or the teacher.
    """

    hypothesis: Hypothesis
    choice: str
    verdict: str
    effect: Effect | None = None
    interval: Interval | None = None
    judgement: Judgement | None = None
    sets: Sequence[str] = ()
    left_out: int = 0
    cells: tuple[int, int] = (0, 0)
    students: int = 0
    reason: str | None = None
    unseeded: bool = False


class Claims:
    """The verdicts of a study that was carried out."""

    def __init__(self, engine: Engine, panels: Sequence[Panel]):
        self.engine, self.study = engine, engine.study
        self.panels = [panel for panel in panels if panel.kind in _JUDGING]
        self.levels = [{k: [v] for k, v in cell.levels.items()} for cell in self.study.cells]

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """Every claim by every choice, the declared one first."""
        alpha = self.alpha
        raw = [self._verdict(one, OURS, one.contrast) for one in self.study.hypotheses]
        tested = [one.judgement for one in raw if one.judgement is not None]
        # those of other parts as if their p were 1: no p of theirs can ask for more than that
        others = [1.0] * len(self.study.elsewhere)
        holds, fails = (
            holm([*(getattr(t, name) for t in tested), *others])[: len(tested)]
            for name in ("p_holds", "p_fails")
        )
        adjusted = iter(
            [replace(t, p_holds=h, p_fails=f) for t, h, f in zip(tested, holds, fails, strict=True)]
        )
        made = []
        for one in raw:
            if one.judgement is not None:
                judgement = next(adjusted)
                one = replace(one, judgement=judgement, verdict=judgement.verdict(alpha))
            made += [one, *self._others(one.hypothesis)]
        return made

    @property
    def alpha(self) -> float:
        """The level of the tests: evaluate.alpha."""
        return float(self.study.variants[0].recipe.option("evaluate", "alpha"))

    def _sides(self, one: Hypothesis, contrast: Contrast) -> list[Sides]:
        a, b = self._cells(contrast)
        if contrast.of in OF_TRAINING:
            return [by_training(self.engine, a, b, contrast.of)]
        measure = contrast.of or self.study.measures[0]
        panels = [p for p in self.panels if not one.domains or p.domain in one.domains]
        if contrast.of in OF_RANKS:
            return list(by_ranks(panels, a, b, contrast))
        if measure in self.study.measures:
            if contrast.against is not None and contrast.against != ZERO:
                return list(by_reference(panels, a, contrast.against, measure))
            return list(by_measure(panels, a, b, measure))
        return list(by_statistic(self.engine, a, b, contrast.of))

    def _cells(self, contrast: Contrast) -> tuple[list[Cell], list[Cell]]:
        a, b = members(contrast, self.levels)
        return [self.study.cells[n] for n in a], [self.study.cells[n] for n in b]

    def _verdict(self, one: Hypothesis, choice: str, contrast: Contrast) -> Verdict:
        sides = self._sides(one, contrast)
        a, b = self._cells(contrast)
        counts = len(a), len(b)
        told: dict[str, Any] = {
            "cells": counts,
            "students": sum(self.engine.trained[cell.number] for cell in (*a, *b)),
            "sets": [side.set for side in sides],
            "left_out": sum(side.left_out for side in sides),
            "unseeded": contrast.system is not None
            or contrast.of not in (*self.study.measures, *OF_TRAINING, *OF_RANKS, ""),
        }
        effect, reason = self._effect(sides, contrast)
        if effect is None:
            return Verdict(one, choice, "undecided", reason=reason, **told)
        judgement = judged(effect, one.expect, one.margin, self.alpha)
        interval = effect.interval(1 - self.alpha)
        verdict = judgement.verdict(self.alpha)
        return Verdict(one, choice, verdict, effect, interval, judgement, **told)

    def _effect(
        self, sides: Sequence[Sides], contrast: Contrast
    ) -> tuple[Effect | None, str | None]:
        """Return a − b over the sets, or why there is none."""
        if not sides:
            return None, NO_SET
        if contrast.of in OF_TRAINING:
            (side,) = sides
            if len(side.a) < 2:
                return None, ONE_SEED
            differences = (side.a - side.b)[:, 0]
            if not np.isfinite(differences).all():
                return None, f"not every student has a figure of {contrast.of}"
            return over_seeds(differences), None
        if short := next((side for side in sides if side.a.shape[1] < 2), None):
            return None, _few(short.set, short.a.shape[1])
        seeds = min(len(side.a) for side in sides)
        return over_sets([(side.a - side.b)[:seeds] for side in sides]), None

    def _others(self, one: Hypothesis) -> Iterator[Verdict]:
        """Yield what other choices say: declared ones, then those of the reference's analysis."""
        for choice, contrast in one.instead.items():
            yield self._verdict(one, choice, contrast)
        if one.contrast.of in self.study.measures or not one.contrast.of:
            sides = self._sides(one, one.contrast)
            pooled = sum(side.a.shape[1] for side in sides)
            if sides and pooled < 2:  # no spread, so no test of either kind
                sets = [side.set for side in sides]
                for choice in (MICRO, REVERSED):
                    reason = _few("all sets", pooled)
                    yield Verdict(one, choice, "undecided", sets=sets, reason=reason)
            elif sides:
                a, b = self._cells(one.contrast)
                cells = (*a, *b)
                trained = [self.engine.trained[cell.number] for cell in cells]
                counts = len(a), len(b)
                yield replace(self._micro(one, sides), cells=counts, students=sum(trained))
                yield replace(self._reversed(one, sides), cells=counts, students=len(cells))

    def _micro(self, one: Hypothesis, sides: Sequence[Sides]) -> Verdict:
        """Judge the mean over all queries of all sets, as the reference aggregates."""
        seeds = min(len(side.a) for side in sides)
        pooled = np.concatenate([(side.a - side.b)[:seeds] for side in sides], axis=1)
        effect = over_sets([pooled])
        judgement = judged(effect, one.expect, one.margin, self.alpha)
        interval = effect.interval(1 - self.alpha)
        verdict = judgement.verdict(self.alpha)
        return Verdict(one, MICRO, verdict, effect, interval, judgement, [s.set for s in sides])

    def _reversed(self, one: Hypothesis, sides: Sequence[Sides]) -> Verdict:
        """Say what the reference's test of equivalence concludes: of one seed, unpaired, pooled; it
        knows no undecided."""
        a, b = (np.concatenate([getattr(s, name)[0] for s in sides]) for name in ("a", "b"))
        same, difference = reversed_equivalence(a, b), float(a.mean() - b.mean())
        holds = {
            "equivalent": same,
            "more": not same and difference > 0,
            "less": not same and difference < 0,
            "not_less": same or difference > 0,
        }[one.expect]
        verdict = HOLDS if holds else FAILS
        return Verdict(one, REVERSED, verdict, sets=[s.set for s in sides])

    def frame(self) -> pl.DataFrame:
        """Return one row per claim and choice; no columns where nothing was declared."""
        import polars as pl

        return pl.DataFrame([_row(self.study.name, one) for one in self.verdicts])

    def lines(self) -> Iterator[str]:
        """Yield what the command prints of the claims."""
        for one in self.verdicts:
            if one.choice == OURS:
                yield f"claim {one.hypothesis.name}: {one.verdict}; {said(one)}"


def _few(where: str, count: int) -> str:
    return f"{where}: {count} queries have a value on both sides"


def said(one: Verdict) -> str:
    """Say on what evidence a verdict rests."""
    if one.effect is None or one.interval is None or one.judgement is None:
        return one.reason or "the reference's own test"
    i = one.interval
    return (
        f"{one.effect.mean:+.4f} ({i.low:+.4f} to {i.high:+.4f} {_scope(one, i)}), expected "
        f"{one.hypothesis.expect.replace('_', ' ')}, margin {one.hypothesis.margin:g}, power "
        f"{one.judgement.power:.2f}"
    )


def _scope(one: Verdict, interval: Interval) -> str:
    """Say what an interval is about; groups and the teacher have no training seeds to lack."""
    return "over queries" if one.unseeded else interval.scope


def _row(study: str, one: Verdict) -> Mapping[str, Any]:
    h, effect, interval, tested = one.hypothesis, one.effect, one.interval, one.judgement
    return {
        "study": study,
        "hypothesis": h.name,
        "claim": h.claim,
        "source": h.source,
        "choice": one.choice,
        "of": h.contrast.of,
        "against": h.contrast.against,
        "system": h.contrast.system,
        "expect": h.expect,
        "margin": h.margin,
        "sets": ", ".join(one.sets),
        "effect": None if effect is None else effect.mean,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "level": None if interval is None else interval.level,
        "over": None if interval is None else _scope(one, interval),
        "p_holds": None if tested is None else tested.p_holds,
        "p_fails": None if tested is None else tested.p_fails,
        "power": None if tested is None else tested.power,
        "verdict": one.verdict,
        "reason": one.reason,
        "queries": None if effect is None else effect.queries,
        "left_out": one.left_out,
        "seeds": None if effect is None else effect.seeds,
        "cells_a": one.cells[0],
        "cells_b": one.cells[1],
        "students": one.students,
    }
