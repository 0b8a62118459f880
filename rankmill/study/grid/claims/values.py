"""What the two sides of a claim are compared by: measures, statistics of groups, training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa

from rankmill import stages
from rankmill.mining.runs.run import Run
from rankmill.mining.statistics import STATISTICS
from rankmill.mining.statistics.compat import SWITCH
from rankmill.mining.store import files
from rankmill.study.grid.design import Cell
from rankmill.study.grid.engine import Engine
from rankmill.study.grid.hypotheses import SPREAD, statistic_of
from rankmill.study.grid.panels import Panel
from rankmill.study.grid.steps import patiently
from rankmill.study.recipe import with_labels
from rankmill.study.results import Role
from rankmill.training.evaluation import Evaluation

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact

_COMPAT = "_compat"  # how the names of the reference's statistics end
_EQUAL = 1e-12
_LAST = 0.1  # share of the steps that a figure of training is the mean of


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides on one set: `a`, `b` [seeds, queries], each the mean over its cells; of training
    [seeds, 1]. `left_out`: queries without a value on one side."""

    set: str
    a: np.ndarray
    b: np.ndarray
    left_out: int = 0


def by_measure(
    panels: Sequence[Panel], a: Sequence[Cell], b: Sequence[Cell], measure: str
) -> Iterator[Sides]:
    """Yield both sides on every panel that has cells of both, in a measure."""
    for panel in panels:
        sides = [[cell for cell in side if cell in panel.cells] for side in (a, b)]
        if not all(sides):
            continue
        seeds = min(panel.engine.trained[cell.number] for side in sides for cell in side)
        means = [
            np.mean([panel.values(cell, measure)[:seeds] for cell in side], axis=0)
            for side in sides
        ]
        yield _both(panel.title, *means)


def by_reference(
    panels: Sequence[Panel], a: Sequence[Cell], role: Role, measure: str
) -> Iterator[Sides]:
    """Yield cells, and on the other side what stands beside each of them, on every panel that has
    it, in a measure."""
    for panel in panels:
        beside = {cell.number: panel.reference(cell, role) for cell in a if cell in panel.cells}
        references = {number: one for number, one in beside.items() if one is not None}
        cells = [cell for cell in a if cell.number in references]
        if not cells:
            continue
        seeds = min(panel.engine.trained[cell.number] for cell in cells)
        mine = np.mean([panel.values(cell, measure)[:seeds] for cell in cells], axis=0)
        theirs = [Evaluation(one.evaluation).values(measure) for one in references.values()]
        yield _both(panel.title, mine, np.broadcast_to(np.mean(theirs, axis=0), mine.shape))


def by_statistic(
    engine: Engine, a: Sequence[Cell], b: Sequence[Cell], text: str
) -> Iterator[Sides]:
    """Yield both sides on every training split, in a statistic of the groups: a query's is the mean
    over its groups; queries that a cell lacks, or has no finite value for, are left out."""
    splits: dict[str, tuple[list[Cell], list[Cell]]] = {}
    for place, side in enumerate((a, b)):
        for cell in side:
            held, split = engine.tracks[cell.variant].trained_on
            judged = held.qrels_artifact(split).fingerprint
            splits.setdefault(judged, ([], []))[place].append(cell)
    for sides in splits.values():
        if not all(sides):
            continue
        columns = [_per_query(engine, cell, text) for side in sides for cell in side]
        named = [one.rename({"value": f"{n}"}) for n, one in enumerate(columns)]
        whole = named[0]
        for other in named[1:]:
            whole = whole.join(other, on="query", how="full", coalesce=True)
        values = whole.sort("query").drop("query").cast(pl.Float64).to_numpy()
        known = np.isfinite(values).all(axis=1)
        count, track = len(sides[0]), engine.tracks[sides[0][0].variant]
        means = [one.mean(axis=1)[None] for one in (values[known, :count], values[known, count:])]
        name = f"{track.recipe.collection.rpartition('/')[2]}, {track.trained_on[1]}"
        yield Sides(name, means[0], means[1], int((~known).sum()))


def _per_query(engine: Engine, cell: Cell, text: str) -> pl.DataFrame:
    """Return a statistic of a cell's groups of the first seed by query: its mean, NaN where it is
    undefined for a group."""
    track, frames = engine.tracks[cell.variant], []
    encoder = track.pipeline.recipe.option("statistics", "encoder")
    labels = {name: Run(run).label for name, run in track.results.runs.items()}
    if not text.partition("(")[0].endswith(_COMPAT):
        text = with_labels(text, STATISTICS, labels)
    for groups in track.groups_of(cell, 0):
        table = pl.from_arrow(pa.concat_tables(_measured(encoder, groups, text).tables()))
        assert isinstance(table, pl.DataFrame)
        (name,) = (one for one in table.columns if one != "query")
        value = pl.col(name).cast(pl.Float64).fill_null(float("nan")).alias("value")
        frames.append(table.select("query", value))
    return pl.concat(frames).group_by("query").agg(pl.col("value").mean())


def _measured(encoder: str | None, groups: Artifact, text: str) -> Artifact:
    compat = SWITCH if text.partition("(")[0].endswith(_COMPAT) else None
    needs = statistic_of(text).needs & {"vectors", "query_vectors"}
    used = encoder if needs else None
    return patiently(stages.Stats(groups, statistics=[text], encoder=used, compat=compat).make)


def by_training(engine: Engine, a: Sequence[Cell], b: Sequence[Cell], what: str) -> Sides:
    """Return both sides in a column of the students' telemetry, by seed: the mean over the last
    tenth of the steps."""
    seeds = min(engine.trained[cell.number] for side in (a, b) for cell in side)
    means = [
        np.mean([[_last(engine, cell, s, what) for s in range(seeds)] for cell in side], axis=0)
        for side in (a, b)
    ]
    return Sides("training", means[0][:, None], means[1][:, None])


def _last(engine: Engine, cell: Cell, place: int, what: str) -> float:
    student = engine.tracks[cell.variant].students[cell.number, place]
    table = files.read_arrow(student.file("telemetry.arrow"))
    tenth = max(1, round(_LAST * len(table)))
    if what == SPREAD:
        return _spread(table["score_variance"].to_numpy(), table["groups"].to_numpy(), tenth)
    return float(np.nanmean(table[what].to_numpy()[-tenth:]))


def _spread(variance: np.ndarray, groups: np.ndarray, tenth: int) -> float:
    """Return log10 of the variance of the student's scores within groups in the last tenth of the
    steps over that in the first; below −3 its card says collapsed (training/telemetry.py)."""
    first, last = (
        float(np.average(variance[part], weights=groups[part]))
        for part in (slice(tenth), slice(-tenth, None))
    )
    # a millionth of the first deviation: what float32 can hardly tell from equal scores
    return math.log10(max(last / first, _EQUAL)) if first > 0 else math.nan


def _both(name: str, a: np.ndarray, b: np.ndarray) -> Sides:
    known = np.isfinite(a).all(axis=0) & np.isfinite(b).all(axis=0)
    return Sides(name, a[:, known], b[:, known], int((~known).sum()))
