"""A study as evidence for other collections: what every design gained, cost, and looked like.

A design is what is decided before any training: a sampler, and levels of axes that set keys of
`[groups]`. What else is varied (student, loss, teacher) stands in `at`: designs are compared within
one level of it. `rankmill advise --evidence` reads the table (docs/advise.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankmill.mining import names
from rankmill.mining.selection import STRATEGIES
from rankmill.study.costs.gains import sources_of
from rankmill.study.grid.design import SAMPLER, Cell, Study
from rankmill.study.results import START

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.study.grid.answer.answer import Answer
    from rankmill.study.grid.panels import Panel
    from rankmill.study.recipe import Recipe

ABOUT = (
    *("study", "collection", "corpus", "domain", "kind", "at", "measure"),
    *("design", "family", "sampler", "size", "queries", "documents", "seeds", "judged_queries"),
    *("gain", "gain_low", "gain_high", "cost_s", "training_s"),
)
"""The columns beside those of statistics."""
MEASURED = ("pair_entropy", "diameter", "radius", "density_ratio")
_OF_ONE_SOURCE = ("uniform", "top", "random")
_LEARNED_FROM = ("in-domain", "development")


def evidence_rows(answer: Answer) -> Iterator[dict[str, Any]]:
    """Yield a row per cell and set of its own collection: gains over the untrained student; blends
    have no statistics of their own and are left out."""
    for panel in answer.panels:
        if panel.kind not in _LEARNED_FROM:
            continue
        for cell in panel.cells:
            recipe = answer.engine.tracks[cell.variant].recipe
            if cell.sampler in recipe.strategies:
                yield _row(answer, panel, cell, recipe)


def _row(answer: Answer, panel: Panel, cell: Cell, recipe: Recipe) -> dict[str, Any]:
    track = answer.engine.tracks[cell.variant]
    measured, held = track.results.statistics[cell.sampler], track.results.collection
    axes, gained = design_axes(answer.study), panel.against[cell.number][START].difference
    design = [level for axis, level in cell.levels.items() if axis in axes]
    others = [f"{axis} {level}" for axis, level in cell.levels.items() if axis not in axes]
    alone, way = answer.costs.alone[cell.number], answer.costs.way(cell)
    costs = [one.cost() for one in way.students]
    trained = sum(float(cost["cpu_s"]) + float(cost["gpu_s"] or 0.0) for cost in costs)
    row = {
        "study": answer.study.name,
        "collection": recipe.collection.rstrip("/").rpartition("/")[2].rpartition(":")[2],
        "corpus": held.corpus.artifact.root_hash,
        "domain": panel.domain,
        "kind": panel.kind,
        "at": ", ".join(others),
        "measure": answer.measure,
        "design": ", ".join(design),
        "family": family_of(recipe.strategies[cell.sampler], recipe.sources),
        "sampler": recipe.strategies[cell.sampler],
        "size": recipe.option("groups", "size"),
        "queries": queries_of(measured),
        "documents": answer.engine.seen[cell.number][0]["documents"],
        "seeds": answer.engine.trained[cell.number],
        "judged_queries": panel.values(cell, answer.measure).shape[1],
        "gain": gained.mean,
        "gain_low": gained.low,
        "gain_high": gained.high,
        "cost_s": alone.cpu_s + alone.gpu_s,
        "training_s": trained / len(costs),
    }
    assert tuple(row) == ABOUT
    return row | means_of(measured)


def design_axes(study: Study) -> set[str]:
    """Return the axes of a study that are decided before training: the sampler, and those whose
    levels set keys of `[groups]` alone."""
    made = {SAMPLER}
    for axis in study.axes:
        keys = {key for level in axis.levels.values() for key in level}
        if keys and all(key.startswith("groups.") for key in keys):
            made.add(axis.name)
    return made


def queries_of(statistics: Artifact) -> int:
    """Return how many different queries the measured groups are of: n of Theorem 2.1."""
    count: int = pc.count_distinct(pa.concat_tables(statistics.tables())["query"]).as_py()
    return count


def means_of(statistics: Artifact) -> dict[str, float]:
    """Return the mean over groups of every entropy, distance and density ratio that was measured.

    Of κ it is the mean of ln κ, under a name that says so; no value where one is infinite, or none
    is defined.
    """
    table = pa.concat_tables(statistics.tables())
    made: dict[str, float] = {}
    for name in table.column_names:
        kind = name.partition("(")[0]
        if kind not in MEASURED:
            continue
        values = table[name].to_numpy().astype(np.float64)
        values = values[~np.isnan(values)]
        if not len(values) or not np.isfinite(values).all():
            continue
        if kind == "density_ratio":
            made[f"log {name}"] = float(np.log(values).mean()) if (values > 0).all() else math.nan
        else:
            made[name] = float(values.mean())
    return {name: value for name, value in made.items() if math.isfinite(value)}


def family_of(strategy: str, sources: Mapping[str, str]) -> str:
    """Return what kind of design a strategy is: the kind of the one source that it takes ranks of
    (bm25, random, dense), else the strategy's own name (anchors, stratified).

    `sources`: texts of sources by the names that the strategy has for them.
    """
    name: str = STRATEGIES.parse(strategy).canonical_name
    drawn = sources_of(strategy)
    if name not in _OF_ONE_SOURCE or len(drawn) != 1:
        return name
    (named,) = drawn
    source = names.parse(sources.get(named, named))
    return source.name if isinstance(source, names.Call) else str(source)
