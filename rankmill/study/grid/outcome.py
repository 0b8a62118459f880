"""What came out of a study: one row per cell, domain and measure; cost against gain; effects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from rankmill.study.costs.gains import Spent, spent_along
from rankmill.study.costs.lineage import seconds_of
from rankmill.study.grid.answer.answer import Answer
from rankmill.study.grid.answer.cell_gain import CellGain
from rankmill.study.grid.answer.frames import (
    AGAINST,
    charged_columns,
    charges_frame,
    designs_frame,
    order_frame,
    partial_frame,
    steps_frame,
    worth_frame,
)
from rankmill.study.grid.answer.partial import Correlated, correlated_of
from rankmill.study.grid.answer.theory import Predicted, predicted_of
from rankmill.study.grid.answer.told import lines_of, notes_of, plain_of, why_stopped
from rankmill.study.grid.claims.verdicts import Claims
from rankmill.study.grid.declared import COUNTED
from rankmill.study.grid.design import LOSS, SAMPLER, Cell
from rankmill.study.grid.effects import Effects, effects_of
from rankmill.study.grid.engine import Engine
from rankmill.study.grid.panels import Panel, mean_or_none, panels_of
from rankmill.study.results import START, TEACHER
from rankmill.training.bounded import mean_interval
from rankmill.training.evaluation import Evaluation
from rankmill.training.significance import Interval

if TYPE_CHECKING:
    import polars as pl

    from rankmill.mining.store import Artifact

PHASES = ("mining", "teacher", "groups", "training")
UNITS = ("cpu_s", "gpu_s", "wall_s")


class StudyOutcome:
    """The results of a study with their statistics; nothing here computes a stage, but for the
    statistics of groups that claims ask for."""

    def __init__(self, engine: Engine):
        self.engine, self.study = engine, engine.study

    def __repr__(self) -> str:
        return f"<StudyOutcome {self.study.name}: {len(self.study.cells):,} cells>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(chr(10).join(self.lines()))}</pre>"

    @cached_property
    def panels(self) -> list[Panel]:
        """The cells beside one another, by domain and judgements."""
        return list(panels_of(self.engine))

    @property
    def artifacts(self) -> list[Artifact]:
        """Every artifact behind the study, each once."""
        return list(self.answer.costs.pieces.values())

    # ---- tables ----------------------------------------------------------------------------------

    @cached_property
    def cells(self) -> pl.DataFrame:
        """One row per cell, domain and measure; lists hold a value per trained seed.

        Levels of the axes; the mean with its interval; against the untrained start and BM25 (first
        measure); what students saw; root hashes; seconds of processor, accelerator and wall clock,
        alone and by phase; whether the cell was stopped.
        """
        import polars as pl

        rows = [
            self._row(panel, cell, measure)
            for panel in self.panels
            for cell in panel.cells
            for measure in self.study.measures
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    @cached_property
    def queries(self) -> pl.DataFrame:
        """One row per query, system, domain and measure.

        `training_seed` is that of students. What no student is stands once for every level of the
        axes, without sampler and loss: the start of a cell is the row with its other levels.
        """
        import polars as pl

        return pl.concat(list(self._per_query()))

    def _row(self, panel: Panel, cell: Cell, measure: str) -> dict[str, Any]:
        values = panel.values(cell, measure)
        undefined = bool(np.isnan(values).any())
        interval = None if undefined else mean_interval(values, measure)
        judged = panel.judged(cell)
        stopped = self.engine.stopped.get(cell.number)
        seeds = [int(one.seed) for one in judged if one.seed is not None]
        row: dict[str, Any] = {"study": self.study.name, "cell": cell.name, **cell.levels}
        row |= {"domain": panel.domain, "kind": panel.kind, "measure": measure}
        row |= {
            "mean": mean_or_none(values),
            "low": interval and interval.low,
            "high": interval and interval.high,
            "over": _over(interval),
            "n_queries": values.shape[1],
            "seeds": seeds,
            "by_seed": [mean_or_none(one) for one in values],
        }
        row |= self._against(panel, cell) if measure == self.study.measures[0] else _NOT_COMPARED
        for name in COUNTED:
            row[f"{name}_seen"] = [s[name] for s in self.engine.seen[cell.number][: len(seeds)]]
        row |= self.costs[cell.number]
        row["stopped"] = stopped is not None
        row["stopped_after_seeds"] = None if stopped is None else stopped.after
        row["stopped_because"] = None if stopped is None else self.why(cell)
        row |= self._roots(panel, cell, len(seeds))
        return row

    def _against(self, panel: Panel, cell: Cell) -> dict[str, Any]:
        row = dict(_NOT_COMPARED)
        teacher = panel.against_teacher.get(cell.number, {})
        for role, compared in (panel.against[cell.number] | teacher).items():
            name = f"against_{_COMPARED[role]}"
            d = compared.difference
            row |= {name: d.mean, f"{name}_low": d.low, f"{name}_high": d.high}
            row[f"{name}_p_holm"] = compared.p_adjusted
        return row

    def _roots(self, panel: Panel, cell: Cell, seeds: int) -> dict[str, list[str]]:
        track, places = self.engine.tracks[cell.variant], range(seeds)
        return {
            "groups_root": [
                "+".join(one.root_hash for one in track.groups_of(cell, p)) for p in places
            ],
            "student_root": [track.students[cell.number, p].root_hash for p in places],
            "evaluation_root": [one.evaluation.root_hash for one in panel.judged(cell)],
        }

    def _per_query(self) -> Iterator[pl.DataFrame]:
        done: set[tuple[int, str]] = set()
        for panel in self.panels:
            for cell in panel.cells:
                track = self.engine.tracks[cell.variant]
                held = track.pipeline.judging.held(track.results, panel.domain)
                for place in range(self.engine.trained[cell.number]):
                    for one in self.engine.judged(cell, place, panel.domain):
                        system = "student, full retrieval" if one.system.searches else "student"
                        told = {**cell.levels, "training_seed": one.seed, "system": system}
                        yield self._values(one.evaluation, held, panel.domain, told)
                if (cell.variant, panel.domain) in done:
                    continue
                done.add((cell.variant, panel.domain))
                levels = {**cell.levels, SAMPLER: None, LOSS: None}  # whatever the sampler
                for one in track.references[panel.domain]:
                    told = {**levels, "training_seed": None, "system": one.system.name}
                    yield self._values(one.evaluation, held, panel.domain, told)

    def _values(
        self, made: Artifact, held: Any, domain: str, told: Mapping[str, Any]
    ) -> pl.DataFrame:
        """Return the values of one evaluation in long form."""
        import polars as pl

        read = Evaluation(made)
        wide = pl.DataFrame(
            {"query_id": held.queries.query_ids(read.query)}
            | {measure: read.values(measure) for measure in self.study.measures}
        )
        long = wide.unpivot(index="query_id", variable_name="measure", value_name="value")
        types = {"training_seed": pl.UInt64}
        named = [
            pl.lit(value, dtype=types.get(name, pl.String)).alias(name)
            for name, value in {**told, "domain": domain}.items()
        ]
        return long.select(*named, "measure", "query_id", "value")

    # ---- cost ------------------------------------------------------------------------------------

    @cached_property
    def answer(self) -> Answer:
        """Which cell to take, and the costs and gains that it rests on."""
        return Answer(self.engine, self.panels)

    @cached_property
    def costs(self) -> dict[int, dict[str, Any]]:
        """By cell the seconds of every phase and unit (its students alone, training per seed), then
        what one student would have cost alone and what the cell is charged (docs/studies.md)."""
        made, costs = {}, self.answer.costs
        for cell in self.study.cells:
            by_phase = {unit: self.spent(cell, unit) for unit in UNITS}
            row = {f"{p}_{unit}": getattr(by_phase[unit], p) for p in PHASES for unit in UNITS}
            row |= costs.alone[cell.number].columns("alone")
            charged = charged_columns(costs.charged[cell.number], self.study.prices.currency)
            made[cell.number] = row | charged
        return made

    def spent(self, cell: Cell, unit: str | None = None) -> Spent:
        """Return what one student of a cell would have cost alone, by phase: seconds of processor
        and accelerator, or of one line of the ledgers."""

        def of(artifact: Artifact) -> float:
            return float(artifact.cost()[unit] or 0.0) if unit else seconds_of(artifact)

        return spent_along(self.answer.costs.way(cell), of)

    @cached_property
    def gains(self) -> list[CellGain]:
        """Every cell on every domain, cheapest first within a domain's judgements."""
        rows = []
        for panel in self.panels:
            shown = {one.cell.number: one for one in self.answer.shown(panel)}
            cells = [one.cell for one in shown.values()] or panel.cells
            for cell in cells:
                gained, below = panel.against[cell.number][START], panel.below_best.get(cell.number)
                front = cell.number in shown and shown[cell.number].front
                told = (cell, panel.domain, self.spent(cell), gained, below)
                rows.append(CellGain(*told, front=front))
        return rows

    @cached_property
    def worth(self) -> pl.DataFrame:
        """One row per cell, domain, baseline and unit of cost: gain, cost, gain per unit."""
        return worth_frame(self.answer)

    @cached_property
    def steps(self) -> pl.DataFrame:
        """One row per step along each frontier."""
        return steps_frame(self.answer)

    @cached_property
    def charges(self) -> pl.DataFrame:
        """What the study cost: one row per level of every axis, and one for all of it."""
        return charges_frame(self.answer)

    @cached_property
    def predicted(self) -> list[Predicted]:
        """The order of the designs by Theorem 2.1's terms beside the order observed, where Δ and H
        were measured."""
        return list(predicted_of(self.engine, self.panels))

    @cached_property
    def order(self) -> pl.DataFrame:
        """One row per design, domain, measure and prediction; no columns where none is ordered."""
        return order_frame(self.predicted)

    @cached_property
    def correlated(self) -> list[Correlated]:
        """Partial correlations of gains with H, Δ and κ, where sets' queries have groups."""
        return list(correlated_of(self.engine, self.panels))

    @cached_property
    def partial(self) -> pl.DataFrame:
        """One row per set, way and statistic; no columns where none is correlated."""
        return partial_frame(self.study.name, self.correlated)

    @cached_property
    def designs(self) -> pl.DataFrame:
        """One row per design on a set of its own collection, as evidence for other collections."""
        return designs_frame(self.answer)

    @cached_property
    def claims(self) -> Claims:
        """The verdicts on what the recipe declares."""
        return Claims(self.engine, self.panels)

    @property
    def hypotheses(self) -> pl.DataFrame:
        """One row per declared claim and choice of analysis; no columns where none is declared."""
        return self.claims.frame()

    # ---- words -----------------------------------------------------------------------------------

    @cached_property
    def effects(self) -> list[Effects]:
        """Main effects and interaction of the declared factors."""
        return list(effects_of(self.study, self.panels))

    def why(self, cell: Cell) -> str:
        """Say on what evidence a cell was stopped."""
        return why_stopped(self.engine, cell)

    @cached_property
    def notes(self) -> list[str]:
        """What a reader must know of the numbers."""
        return list(notes_of(self))

    def lines(self) -> Iterator[str]:
        """Yield what the command prints: the answer, cells by domain, cheapest first, the notes."""
        return lines_of(self)

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as plain values."""
        return plain_of(self)


def _over(interval: Interval | None) -> str:
    """Say what an interval is over, or why there is none, or that it is cut."""
    if interval is None:
        return "no interval: undefined for some queries"
    if interval.reason is None:
        return interval.over
    cut = interval.low is not None
    return f"{interval.over}, {interval.reason}" if cut else f"no interval: {interval.reason}"


_COMPARED = {**AGAINST, TEACHER: "teacher"}
_NOT_COMPARED: dict[str, float | None] = {
    f"against_{name}{end}": None
    for name in _COMPARED.values()
    for end in ("", "_low", "_high", "_p_holm")
}
