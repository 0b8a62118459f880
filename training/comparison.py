"""A declared family of pairs of systems, tested: as values, and as an artifact.

A system is one evaluation, or one per training seed. The artifact keeps family, margin and level
in its parameters: they are part of its hash, so what was declared cannot change afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..mining.errors import BadInput, UsageError
from ..mining.store import Artifact, Workspace, files
from .bounded import difference_interval
from .equivalence import METHOD, Equivalence, paired_tost
from .evaluation import Evaluation
from .measures import parse_measures
from .random_effects import Effects, effects
from .significance import (
    Interval,
    checked,
    holm,
    paired_randomisation,
    paired_t,
    t_interval,
)

FILE = "comparisons.arrow"
INTERVAL = "banerjee"  # part of the fingerprint: tables of another method are never taken for ours
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One pair of systems, a − b: difference with its interval, p values raw and by Holm.

    `difference`: with the interval that `p_t` inverts to, over queries, and over seeds where there
    are several. `p_t`: paired t-test, with several seeds of crossed effects. `effects`: variance
    components of the difference, None with one seed. `equivalence`: None without a margin.
    """

    a: str
    b: str
    queries: int
    seeds: int
    difference: Interval
    p_t: float
    p_randomisation: float
    p_adjusted: float
    p_randomisation_adjusted: float
    effects: Effects | None = None
    equivalence: Equivalence | None = None


def compare(
    systems: Mapping[str, np.ndarray],
    pairs: Pairs | None = None,
    *,
    margin: float | None = None,
    alpha: float = 0.05,
    draws: int = 10_000,
    seed: int = 0,
) -> list[Comparison]:
    """Compare systems pair by pair on the same queries; Holm over the declared family `pairs`.

    `systems`: name → per-query values [queries] or [seeds, queries]. Seed i is paired with seed i,
    a system without seeds with every seed. Default family: all pairs. With `margin` each pair is
    tested for equivalence too, and those tests are a family of their own.

    Raises BadInput for systems over different queries or unequal numbers of seeds, UsageError for
    an unknown name.
    """
    tables = {name: checked(values) for name, values in systems.items()}
    family = _family(tables, pairs)
    rows = []
    for a, b in family:
        d = _difference(a, tables[a], b, tables[b])
        p_t, p_random = paired_t(d), paired_randomisation(d, draws=draws, seed=seed)
        rows.append(
            Comparison(
                a,
                b,
                queries=d.shape[1],
                seeds=d.shape[0],
                difference=t_interval(d),
                p_t=p_t,
                p_randomisation=p_random,
                p_adjusted=p_t,
                p_randomisation_adjusted=p_random,
                effects=effects(d) if d.shape[0] > 1 else None,
                equivalence=None if margin is None else paired_tost(d, margin, alpha=alpha),
            )
        )
    return _adjusted(rows)


def _family(tables: Mapping[str, np.ndarray], pairs: Pairs | None) -> list[tuple[str, str]]:
    names = list(tables)
    family = list(pairs) if pairs is not None else []
    if pairs is None:
        family = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    for name in (name for pair in family for name in pair):
        if name not in tables:
            raise UsageError(f"no system is called {name!r}", do=f"there are {', '.join(names)}")
    return family


def _difference(a: str, x: np.ndarray, b: str, y: np.ndarray) -> np.ndarray:
    """Return x − y, float64 [seeds, queries]."""
    if x.shape[1] != y.shape[1]:
        raise BadInput(
            f"{a} has {x.shape[1]} queries, {b} has {y.shape[1]}",
            do="evaluate both on the same queries; a query without answers counts 0",
        )
    if x.shape[0] != y.shape[0] and 1 not in (x.shape[0], y.shape[0]):
        raise BadInput(
            f"{a} has {x.shape[0]} seeds, {b} has {y.shape[0]}",
            do="train both with the same seeds",
        )
    return x - y


def _adjusted(rows: list[Comparison]) -> list[Comparison]:
    """Adjust the three families of p values by Holm: t, randomisation, equivalence."""
    p_t = holm([row.p_t for row in rows])
    p_random = holm([row.p_randomisation for row in rows])
    rows = [
        replace(row, p_adjusted=t, p_randomisation_adjusted=r)
        for row, t, r in zip(rows, p_t, p_random, strict=True)
    ]
    tested = holm([row.equivalence.p for row in rows if row.equivalence is not None])
    if not tested:
        return rows
    return [
        replace(
            row, equivalence=row.equivalence and row.equivalence.within_family(p, row.p_adjusted)
        )
        for row, p in zip(rows, tested, strict=True)
    ]


# ---- as an artifact ----------------------------------------------------------------------------


def compare_evaluations(
    workspace: Workspace,
    systems: Mapping[str, Sequence[Artifact]],
    pairs: Pairs | None = None,
    *,
    measure: str = "nDCG@10",
    margin: float | None = None,
    alpha: float = 0.05,
    draws: int = 10_000,
    seed: int = 0,
) -> Artifact:
    """Compare evaluations of the same queries; returns a "comparison" artifact, one row per pair.

    `systems`: name → its evaluations, one per training seed. Raises BadInput for evaluations by
    other judgements or without the measure.
    """
    read = {name: [Evaluation(artifact) for artifact in made] for name, made in systems.items()}
    _same_judgements([e for made in read.values() for e in made])
    name = str(parse_measures(measure)[0])
    tables = {s: np.stack([e.values(name) for e in made]) for s, made in read.items()}
    tables = _defined(tables, name)
    family = _family(tables, pairs)
    if not family:
        raise UsageError("there is no pair to compare", do="name at least two systems")
    parameters = {
        "measure": name,
        "interval": INTERVAL,
        "family": [list(pair) for pair in family],
        "margin": margin,
        "alpha": alpha,
        "draws": draws,
        "seed": seed,
    } | ({} if margin is None else {"equivalence": METHOD})
    inputs = {f"{s}#{k}": a for s, made in systems.items() for k, a in enumerate(made)}

    def write(folder: Path, scratch: Path) -> None:
        rows = compare(tables, family, margin=margin, alpha=alpha, draws=draws, seed=seed)
        files.write_arrow(folder / FILE, pa.Table.from_pylist([asdict(row) for row in rows]))

    return workspace.build_folder("comparison", parameters, inputs, write)


def read_comparisons(artifact: Artifact) -> list[Comparison]:
    """Return the rows of a "comparison" artifact, with intervals as they are shown: none of too few
    queries, and cut where the measure ends."""
    if artifact.kind != "comparison":
        raise BadInput(f"this {artifact.kind} is not a comparison", where=artifact.path)
    rows = [_deep(row) for row in files.read_arrow(artifact.file(FILE)).to_pylist()]
    return shown(rows, artifact.parameters["measure"])


def shown(rows: Iterable[Comparison], measure: str) -> list[Comparison]:
    """Return comparisons in a measure with the intervals that are shown (`bounded.py`)."""
    return [
        replace(row, difference=difference_interval(row.difference, row.queries, measure))
        for row in rows
    ]


def _same_judgements(evaluations: Iterable[Evaluation]) -> None:
    first: Evaluation | None = None
    for one in evaluations:
        first = first or one
        if one.artifact.inputs["qrels"] != first.artifact.inputs["qrels"]:
            raise BadInput(
                "the evaluations are by different judgements",
                where=one.artifact.path,
                do="compare systems on one split of one collection",
            )


def _defined(tables: Mapping[str, np.ndarray], measure: str) -> dict[str, np.ndarray]:
    """Leave out the queries for which a measure is undefined (NaN): the same for every system.

    Raises BadInput where they are not the same, for then differences would not be paired.
    """
    if not tables:
        return {}
    first = next(iter(tables))
    missing = np.asarray(np.isnan(tables[first]).any(axis=0))
    for name, table in tables.items():
        if (np.isnan(table) != missing).any():
            raise BadInput(
                f"{measure} is undefined for other queries in {name} than in {first}",
                do="compare a measure whose pairs depend on the judgements alone: "
                "PairRisk(mu=judged)",
            )
    if not missing.any():
        return dict(tables)
    return {s: np.ascontiguousarray(table[:, ~missing]) for s, table in tables.items()}


_PARTS: dict[str, Any] = {"difference": Interval, "effects": Effects, "equivalence": Equivalence}


def _deep(row: Mapping[str, Any]) -> Comparison:
    """Build the nested values that `asdict` took apart."""
    values = dict(row)
    for name, kind in _PARTS.items():
        if (given := values[name]) is not None:
            if "interval" in given:
                given = {**given, "interval": Interval(**given["interval"])}
            values[name] = kind(**given)
    return Comparison(**values)
