"""What a statistics artifact says about a whole data set: moments, deciles, histograms,
correlation.

Histogram edges are fixed per statistic, so that two data sets can be laid over each other
(docs/quantities.md §7): entropies and probabilities on [0, 1], distances on [0, 2], τ on [−1, 1],
divergences of teachers on [0, ln 2], each in 50 bins; ratios in powers of two with a bin for
infinity; everything else in 50 bins over its own range, and said so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ....native import resampled as native
from ...draws import key_of
from ...errors import BadInput
from ...ordered import product
from ...store import Artifact
from .resampling import weighted_sums

BINS = 50
RESAMPLES = 1000
_FLAT = 1e-9  # of a column's largest value: below, it hardly varies
_SURE = 1e-3  # of a column's variance: below, a resample lost its varying rows
_RANGES = {  # by the name before the bracket
    "pair_entropy": (0.0, 1.0),
    "misorder": (0.0, 0.5),
    "diameter": (0.0, 2.0),
    "radius": (0.0, 2.0),
    "student_tau": (-1.0, 1.0),
    "kendall_tau": (-1.0, 1.0),
    "jensen_shannon": (0.0, math.log(2.0)),
    "inverted_pairs": (0.0, 1.0),
}
_ELSE = (
    "`rankmill list statistics` shows those that are there; scores and vectors can be summarised"
)
_INSTEAD = {
    "groups": "measure them: rankmill stats --groups GROUPS --name STATISTICS, and summarise those",
    "pool": "score it: rankmill score TEACHER --pool POOL --name SCORES, and summarise those",
    "run": "evaluate it: rankmill eval --run RUN; `rankmill list statistics` shows statistics",
    "collection": "look at it: rankmill survey COLLECTION",
    "evaluation": "look at it: rankmill show EVALUATION, or rankmill compare",
    "student": "diagnose it: rankmill diagnose --student STUDENT --groups GROUPS",
}
"""By the kind of what is no statistics: what to do with it."""
_MEASURED = ("groups", "scores")  # the roles of what statistics are of
_CORRELATED = {
    *("pair_entropy", "diameter", "radius", "density_ratio"),
    *("student_kl", "student_tau", "student_variance"),
    *("kendall_tau", "jensen_shannon", "inverted_pairs"),
}


def summarise(
    artifact: Artifact,
    *,
    correlate: Sequence[str] | None = None,
    beside: Sequence[Artifact] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Return {"rows", "columns": {name: …}, "correlation": {…}} as plain JSON values.

    Per column: n, nulls (by reason), mean, variance (population), deciles (minimum, 10 %, …,
    maximum: 11 numbers), min, max, unit and a histogram {edges, counts, infinite}. `correlate`:
    names of columns for `correlation`, by default the entropies, diameters, radii, density ratios,
    a student's diagnostics and how far teachers are apart; see there. `beside`: other statistics of
    the same groups, whose columns are taken in.

    Raises BadInput for an artifact of another kind or other groups, and for unknown columns.
    """
    values: dict[str, np.ndarray] = {}
    columns: dict[str, dict[str, Any]] = {}
    for one in (artifact, *beside):
        _same_rows(artifact, one)
    query = pa.concat_tables(artifact.tables())["query"].to_numpy()
    for one in (artifact, *beside):
        table = pa.concat_tables(one.tables())
        for name in table.column_names:
            if name != "query" and name not in values:
                values[name] = _floats(table[name])
                columns[name] = _described(one, name, values[name])
    names = list(values)
    chosen = list(correlate) if correlate is not None else _by_default(values)
    unknown = [name for name in chosen if name not in values]
    if unknown:
        raise BadInput(
            f"there is no column {unknown[0]!r}",
            where=artifact.path,
            do=f"known: {', '.join(names)}",
        )
    return {
        "rows": len(query),
        "columns": columns,
        "correlation": correlation(
            dict(_to_correlate(name, values[name]) for name in chosen), query, seed=seed
        ),
    }


def _same_rows(artifact: Artifact, other: Artifact) -> None:
    """Refuse what is not statistics, and statistics whose rows are other rows."""
    if other.kind != "statistics":
        noun = other.kind if other.kind.endswith("s") else f"a {other.kind}"
        what = f"{noun} are" if other.kind.endswith("s") else f"{noun} is"
        raise BadInput(
            f"{what} not statistics", where=other.path, do=_INSTEAD.get(other.kind, _ELSE)
        )
    of = [{k: v for k, v in a.inputs.items() if k in _MEASURED} for a in (artifact, other)]
    if of[0] != of[1] or artifact.rows != other.rows:
        raise BadInput(
            "the statistics are of other groups, so their rows cannot be joined",
            where=other.path,
            do="measure the same groups, or the same scores",
        )


def _described(artifact: Artifact, name: str, values: np.ndarray) -> dict[str, Any]:
    """Summarise one column with its unit and its nulls by reason."""
    start = f"null[{name}]:"
    nulls = {
        key.removeprefix(start): count
        for key, count in artifact.counts.items()
        if key.startswith(start)
    }
    unit = artifact.metadata.get(f"unit[{name}]", "")
    return {**describe(name, values), "unit": unit, "nulls": nulls}


def describe(name: str, values: np.ndarray) -> dict[str, Any]:
    """Summarise one column: float64 [rows], NaN for null. Nothing defined → only n = 0."""
    known = values[~np.isnan(values)]
    if not len(known):
        return {"n": 0}
    finite = known[np.isfinite(known)]
    deciles = np.quantile(known, np.linspace(0, 1, 11), method="nearest").tolist()
    summary = {"n": len(known), "deciles": _plain(deciles)}
    summary |= {"min": _plain([known.min()])[0], "max": _plain([known.max()])[0]}
    if len(finite):
        summary |= {"mean": float(finite.mean()), "variance": float(finite.var())}
    return {**summary, "histogram": histogram(name, known)}


def histogram(name: str, known: np.ndarray) -> dict[str, Any]:
    """Count values in the declared bins of a statistic; `infinite` counts the bin beyond the last
    edge.
    """
    finite = known[np.isfinite(known)]
    kind, declared = name.partition("(")[0], True
    if kind == "density_ratio":
        top = int(np.ceil(np.log2(max(1.0, finite.max())))) if len(finite) else 0
        edges = 2.0 ** np.arange(-10, max(1, top) + 1)
        finite = np.maximum(finite, edges[0])
    elif kind in _RANGES:
        edges = np.linspace(*_RANGES[kind], BINS + 1)
        finite = np.clip(finite, edges[0], edges[-1])  # rounding can leave the range by one bit
    else:
        declared = False
        low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
        edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    counts, _ = np.histogram(finite, edges)
    return {
        "edges": edges.tolist(),
        "counts": counts.tolist(),
        "infinite": len(known) - len(finite),
        "declared": declared,
    }


def correlation(
    columns: dict[str, np.ndarray],
    query: np.ndarray,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Correlate columns over the rows in which all of them are defined and finite.

    Returns {"names", "rows", "pearson", "spearman": matrices, "pearson_low", "pearson_high",
    "spearman_low", "spearman_high": the same at 2.5 % and 97.5 % of a bootstrap over queries}. A
    column that does not vary correlates with nothing: null. corr(pair_entropy, diameter) is the
    paper's claim that entropy and locality are orthogonal, put to the test.
    """
    names = list(columns)
    if len(names) < 2:
        return {"names": names, "rows": 0}
    data = np.stack([columns[name] for name in names], axis=1)
    kept = np.isfinite(data).all(axis=1)
    data, query = data[kept], query[kept]
    if len(data) < 3:
        return {"names": names, "rows": len(data)}
    from scipy.stats import rankdata  # slow to import

    ranks = rankdata(data, axis=0)
    summary: dict[str, Any] = {"names": names, "rows": len(data)}
    for kind, table in (("pearson", data), ("spearman", ranks)):
        summary[kind] = _matrix(_pearson(table))
    groups, owner = np.unique(query, return_inverse=True)
    tables = {"pearson": data, "spearman": ranks}
    for kind, matrices in _resampled(tables, owner, len(groups), seed, resamples).items():
        for word, share in (("low", 2.5), ("high", 97.5)):
            summary[f"{kind}_{word}"] = _matrix(_percentile(matrices, share))
    return summary


def _resampled(
    tables: dict[str, np.ndarray], owner: np.ndarray, groups: int, seed: int, resamples: int
) -> dict[str, np.ndarray]:
    """Return the correlation matrices, float64 [resamples, c, c], of tables over draws of groups.

    `_pearson` with the weights of each resample is the oracle, and is asked where a column hardly
    varies in one: sums over standardised columns differ from it by rounding, below 1e-9.
    """
    key = key_of(seed, "summary.bootstrap")
    width = next(iter(tables.values())).shape[1]
    each = width + width * (width + 1) // 2
    moments = np.zeros((groups, len(tables) * each + 1))
    moments[:, -1] = np.bincount(owner, minlength=groups)
    for place, table in enumerate(tables.values()):
        own = moments[:, place * each : (place + 1) * each]
        native.products(_standardised(table), owner, own)
    drawn = {kind: np.empty((resamples, width, width)) for kind in tables}
    start = 0
    for weight, sums in weighted_sums(moments, key, resamples):
        means = sums[:, :-1] / sums[:, -1:]
        for place, (kind, table) in enumerate(tables.items()):
            constant = table.min(axis=0) == table.max(axis=0)
            own = means[:, place * each : (place + 1) * each]
            matrices, sure = _correlations(own, constant)
            for unsure in np.flatnonzero(~sure).tolist():
                matrices[unsure] = _pearson(table, weight[unsure][owner])
            drawn[kind][start : start + len(weight)] = matrices
        start += len(weight)
    return drawn


def _standardised(table: np.ndarray) -> np.ndarray:
    """Return columns of mean 0 and variance 1; zeros for one that hardly varies, whose resamples
    the oracle is asked for."""
    centre, spread = table.mean(axis=0), table.std(axis=0)
    usable = spread > _FLAT * np.maximum(1.0, np.abs(table).max(axis=0))
    z = (table - centre) / np.where(usable, spread, 1.0)
    z[:, ~usable] = 0.0
    return np.ascontiguousarray(z)


def _correlations(means: np.ndarray, constant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return correlation matrices of resamples, and which are sure: columns vary in them but those
    that are `constant`, which correlate with nothing."""
    width = len(constant)
    first, second = means[:, :width], np.empty((len(means), width, width))
    i, j = np.triu_indices(width)
    second[:, i, j] = second[:, j, i] = means[:, width:]
    covariance = second - first[:, :, None] * first[:, None, :]
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    sure: np.ndarray = np.asarray((variance[:, ~constant] > _SURE).all(axis=1))
    spread = np.sqrt(np.where(variance > 0, variance, 1.0))
    matrices = covariance / (spread[:, :, None] * spread[:, None, :])
    matrices[:, constant, :] = matrices[:, :, constant] = np.nan
    matrices[:, np.arange(width), np.arange(width)] = 1.0
    return matrices, sure


def _pearson(data: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Weighted correlation matrix; NaN in rows and columns without variance, 1 on the diagonal.

    Resamples keep the ranks of the whole sample, which differs from ranking anew by O(1/n).
    """
    weight = np.ones(len(data)) if weight is None else weight.astype(np.float64)
    share = weight / weight.sum()
    centred = data - product(share, data)
    covariance = product((centred * share[:, None]).T, centred)
    spread = np.sqrt(np.diag(covariance))
    flat = ~(spread > 1e-12 * np.maximum(1.0, np.abs(data).max(axis=0)))
    spread[flat] = 1.0
    matrix = covariance / np.outer(spread, spread)
    matrix[flat, :] = matrix[:, flat] = np.nan
    np.fill_diagonal(matrix, 1.0)
    return matrix


def _percentile(matrices: np.ndarray, share: float) -> np.ndarray:
    """Percentile over resamples; NaN where no resample has a value."""
    never = np.isnan(matrices).all(axis=0)
    percentile = np.nanpercentile(np.where(never, 0.0, matrices), share, axis=0)
    return np.where(never, np.nan, percentile)


def _by_default(values: dict[str, np.ndarray]) -> list[str]:
    """Return the columns that are correlated unasked: one without a finite value, such as κ = ∞ for
    every group, would leave no row for the others.
    """
    kinds = {name: name.partition("(")[0] for name in values}
    return [n for n, kind in kinds.items() if kind in _CORRELATED and np.isfinite(values[n]).any()]


def _to_correlate(name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """A ratio enters by its logarithm, under a name that says so; an infinite one stays out."""
    if name.partition("(")[0] != "density_ratio":
        return name, values
    with np.errstate(divide="ignore"):
        return f"log {name}", np.log(values)


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy().astype(np.float64)


def _matrix(matrix: np.ndarray) -> list[list[float | None]]:
    return [_plain(row) for row in matrix]


def _plain(values: Any) -> list[Any]:
    """JSON has neither NaN nor infinity: null and the string inf."""
    return [
        None if np.isnan(v) else float(v) if np.isfinite(v) else "inf" if v > 0 else "-inf"
        for v in values
    ]
