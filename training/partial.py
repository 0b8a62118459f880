"""Partial correlations of a gain with statistics, each given the others, queries drawn anew.

Rows are (cell, query) pairs: what a cell's student gains on a query, and the statistics of the
group that the cell's sampler draws for that query. Two questions, two centrings:

- *between queries*: every cell's means are taken out. On which queries is more gained?
- *within queries*: every query's means are taken out. On one query, do cells gain more whose group
  has more of a statistic? Whatever makes a query easy is out of it.

The partial correlation of a and b given c is r_ab·c = (r_ab − r_ac·r_bc)/√((1 − r_ac²)(1 − r_bc²)),
and so on for further ones: the correlation of the residuals of a and b after regression on the
others (and on what was taken out). Intervals are percentiles of a bootstrap over queries: a query
brings all its rows, so rows of one query need not be independent, and a cell's means are those of
the resample. Ranks are those of the whole table, as in `mining/statistics/summaries/summary.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..mining.draws import key_of
from ..mining.statistics.summaries.resampling import weighted_sums

RESAMPLES = 1000
BETWEEN, WITHIN = "between queries", "within queries"
LEAST_QUERIES = 10
_FLAT = 1e-9  # of a column's variance before its means were taken out: below, it does not vary


@dataclass(frozen=True, slots=True)
class Partial:
    """The partial correlation of the gain with `name` given all others of its table, of values and
    of ranks, with the ends of 95 % intervals over queries; None, with the `reason`, where it is not
    defined."""

    name: str
    given: tuple[str, ...]
    pearson: float | None = None
    pearson_low: float | None = None
    pearson_high: float | None = None
    spearman: float | None = None
    spearman_low: float | None = None
    spearman_high: float | None = None
    reason: str | None = None


def partial_correlations(
    gain: np.ndarray,
    statistics: Mapping[str, np.ndarray],
    query: np.ndarray,
    cell: np.ndarray,
    *,
    block: np.ndarray | None = None,
    way: str = BETWEEN,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[Partial]:
    """Return one row for every statistic, given the others.

    gain and statistics float64 [rows], finite; `query` int64 [rows] says whose a row is (queries of
    two sets must differ), `cell` int64 [rows] whose means are taken out between queries. Within
    queries it is the means of a query in every `block` (int64 [rows], None: all are one): cells are
    compared within a block only.
    """
    from scipy.stats import rankdata  # slow to import

    names = tuple(statistics)
    _, owner = np.unique(query, return_inverse=True)
    _, place = np.unique(cell, return_inverse=True)
    if way == WITHIN:
        both = np.column_stack([owner, np.zeros(len(owner), int) if block is None else block])
        place = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
    table = np.column_stack([gain, *statistics.values()])
    reason = _unfit(table, owner, place, way)
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    if reason is None:
        for kind, values in (("pearson", table), ("spearman", rankdata(table, axis=0))):
            moments, width = _moments(_scaled(values), owner, place, way)
            key = key_of(seed, "partial.bootstrap")
            drawn = [
                _partials(_covariance(sums, width, way))
                for _, sums in weighted_sums(moments, key, resamples)
            ]
            point = _partials(_covariance(moments.sum(axis=0)[None], width, way))[0]
            found[kind] = point, np.concatenate(drawn)
    rows = []
    for k, name in enumerate(names):
        given = tuple(other for other in names if other != name)
        ends: dict[str, float | None] = {}
        for kind, (point, draws) in found.items():
            value, low, high = _interval(float(point[k]), draws[:, k])
            ends |= {kind: value, f"{kind}_low": low, f"{kind}_high": high}
        rows.append(Partial(name, given, reason=reason, **ends))  # type: ignore[arg-type]
    return rows


def _unfit(table: np.ndarray, owner: np.ndarray, place: np.ndarray, way: str) -> str | None:
    """Say why there is no correlation; None where there is one."""
    queries = int(owner.max()) + 1 if len(owner) else 0
    if queries < LEAST_QUERIES:
        return f"{queries} queries, {LEAST_QUERIES} at least"
    rest = _apart(table, place)
    variance = table.var(axis=0)
    if not (rest[:, 0].var() > _FLAT * variance[0]):
        return f"the gain does not vary {_where(way)}"
    if not (rest[:, 1:].var(axis=0) > _FLAT * variance[1:]).all():
        return f"a statistic does not vary {_where(way)}"
    spread = np.linalg.svd(rest / rest.std(axis=0), compute_uv=False)
    if spread[-1] < 1e-6 * spread[0]:
        return "the statistics are not independent of each other"
    return None


def _where(way: str) -> str:
    return "between the queries of a cell" if way == BETWEEN else "between the cells of a query"


def _scaled(table: np.ndarray) -> np.ndarray:
    """Return columns of mean 0 and variance 1, so that sums of products lose no digits."""
    scaled: np.ndarray = (table - table.mean(axis=0)) / table.std(axis=0)
    return scaled


def _apart(table: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return a table without the means of the rows that have the same place."""
    sums = np.column_stack([np.bincount(place, column) for column in table.T])
    apart: np.ndarray = table - (sums / np.bincount(place)[:, None])[place]
    return apart


def _moments(
    table: np.ndarray, owner: np.ndarray, place: np.ndarray, way: str
) -> tuple[np.ndarray, int]:
    """Return what a resample sums, float64 [queries, m], and the number of columns of the table:
    products of columns, and between queries every cell's sums and rows."""
    width, queries = table.shape[1], int(owner.max()) + 1
    if way == WITHIN:  # a query brings all its rows, so its means are the same in every resample
        table = _apart(table, place)
    i, j = np.triu_indices(width)
    products = (table[:, i] * table[:, j]).T
    parts: list[np.ndarray] = [np.bincount(owner, one, queries) for one in products]
    if way == BETWEEN:
        for cell in range(int(place.max()) + 1):
            mine = place == cell
            parts += [np.bincount(owner[mine], c, queries) for c in table[mine].T]
            parts.append(np.bincount(owner[mine], minlength=queries))
    return np.ascontiguousarray(np.column_stack(parts)), width


def _covariance(sums: np.ndarray, width: int, way: str) -> np.ndarray:
    """Return the matrices of products around what is taken out, float64 [resamples, c, c]."""
    i, j = np.triu_indices(width)
    matrix = np.empty((len(sums), width, width))
    matrix[:, i, j] = matrix[:, j, i] = sums[:, : len(i)]
    if way == BETWEEN:
        cells = sums[:, len(i) :].reshape(len(sums), -1, width + 1)
        count = np.maximum(cells[:, :, width], 1.0)
        of = cells[:, :, :width]
        for k in range(of.shape[1]):  # in order, so that the sums are the same anywhere
            matrix -= of[:, k, :, None] * of[:, k, None, :] / count[:, k, None, None]
    return matrix


def _partials(matrix: np.ndarray) -> np.ndarray:
    """Return the correlation of column 0 with each other given the rest, [resamples, c − 1]; NaN
    where a column does not vary or is given by the others."""
    spread = np.sqrt(np.maximum(np.diagonal(matrix, axis1=1, axis2=2), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        r = matrix / (spread[:, :, None] * spread[:, None, :])
        others = range(1, matrix.shape[1])
        return np.column_stack(
            [_partial(r, 0, k, tuple(o for o in others if o != k)) for k in others]
        )


def _partial(r: np.ndarray, a: int, b: int, given: Sequence[int]) -> np.ndarray:
    """Return r_ab·given by recursion, float64 [resamples]."""
    if not given:
        one: np.ndarray = r[:, a, b]
        return one
    c, rest = given[0], given[1:]
    ab, ac, bc = (_partial(r, x, y, rest) for x, y in ((a, b), (a, c), (b, c)))
    return np.clip((ab - ac * bc) / np.sqrt((1 - ac * ac) * (1 - bc * bc)), -1.0, 1.0)


def _interval(value: float, drawn: np.ndarray) -> tuple[float | None, ...]:
    known = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not known.size:
        return None, None, None
    low, high = np.quantile(known, [0.025, 0.975])
    return value, float(low), float(high)
