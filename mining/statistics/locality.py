"""How close together the documents of a group lie, in the vectors of a declared encoder
(quantities.md §6, 8–10).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...native import geometry as native
from ...native import scales
from ..errors import BadInput, UsageError
from ..names import nearest
from ..store import Artifact
from ..vectors import Vectors
from .base import STATISTICS, Column, Rows, in_threads

_METRICS = ("euclidean", "cosine")
_QUANTILES = (1.0, 0.99, 0.95)  # measured together: they share the distances
_BLOCK = 1 << 20  # vector components gathered at once per thread: they stay in the cache


@dataclass(frozen=True, slots=True)
class _OnVectors:
    """The metric: `euclidean` between unit vectors or `cosine` distance 1 − cos, both in [0, 2]."""

    metric: str = "euclidean"

    def __post_init__(self) -> None:
        if self.metric not in _METRICS:
            raise UsageError(f"metric={self.metric} is unknown", do=nearest(self.metric, _METRICS))

    @property
    def unit(self) -> str:
        """Return the metric: both have no other unit."""
        return f"{self.metric} distance of unit vectors"

    @property
    def needs(self) -> frozenset[str]:
        """Return what must be declared: an encoder's document vectors."""
        return frozenset({"vectors"})


@STATISTICS.register("diameter")
@dataclass(frozen=True, slots=True)
class Diameter(_OnVectors):
    """Essential diameter Δ: the q-quantile (numpy's linear rule) of the distances of all pairs.

    q = 1 is the maximum. A single document has diameter 0; a zero vector has no direction and gives
    null.
    """

    q: float = 1.0

    def __post_init__(self) -> None:
        _OnVectors.__post_init__(self)
        if not 0.0 <= self.q <= 1.0:
            raise UsageError(f"q={self.q} is not a quantile", do="give a number from 0 to 1")

    def measure(self, rows: Rows) -> Column:
        """Return Δ of every row."""
        quantiles = _QUANTILES if self.q in _QUANTILES else (self.q,)
        out, status = _geometry(rows, quantiles, self.metric)
        at = quantiles.index(self.q)
        return out[:, at], status[:, at]


@STATISTICS.register("radius")
@dataclass(frozen=True, slots=True)
class Radius(_OnVectors):
    """Distance of the other documents from the group's positive, or of all documents from the
    query.

    `of`: mean or max; `to`: positive or query (mean only; the encoder must embed queries). Null
    where the group has no positive, or no other document.
    """

    of: str = "mean"
    to: str = "positive"

    def __post_init__(self) -> None:
        _OnVectors.__post_init__(self)
        if self.to not in ("positive", "query"):
            raise UsageError(f"to={self.to} is unknown", do="write to=positive or to=query")
        if self.of not in ("mean", "max") or (self.to == "query" and self.of == "max"):
            raise UsageError(f"of={self.of},to={self.to} is unknown", do="write of=mean or of=max")

    @property
    def needs(self) -> frozenset[str]:
        """Return what must be declared: vectors, and labels or the queries' vectors."""
        return frozenset({"vectors", "labels" if self.to == "positive" else "query_vectors"})

    def measure(self, rows: Rows) -> Column:
        """Return the radius of every row."""
        out, status = _geometry(rows, _QUANTILES, self.metric)
        name = "query" if self.to == "query" else self.of
        at = len(_QUANTILES) + native.RADIUS_COLUMNS.index(name)
        values, reasons = out[:, at].copy(), status[:, at].copy()
        if self.to == "positive":
            first = rows.offsets[:-1]
            lone = first[first < rows.offsets[1:]]
            without = np.ones(len(rows), bool)
            without[first < rows.offsets[1:]] = rows.positive[lone] == 0
            reasons[without & (reasons == scales.DEFINED)] = scales.NO_POSITIVE
        return values, reasons


class VectorRows:
    """Rows of an encoder's vectors, gathered from the memory-mapped parts of a vectors artifact."""

    def __init__(self, artifact: Artifact):
        self.artifact, self.vectors = artifact, Vectors(artifact)
        self.starts = np.array([p.start for p in artifact.parts], dtype=np.int64)
        self.width = self.vectors.width

    def into(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Write the vectors of `rows` (ordinals) to out float32 [len(rows), width].

        Raises BadInput where an ordinal has no vector or a vector is not finite.
        """
        if len(rows) and int(rows.max()) >= self.artifact.rows:
            raise BadInput(
                f"ordinal {int(rows.max())} has no vector, there are {self.artifact.rows}",
                where=self.artifact.path,
                do="encode the collection that these groups were made from",
            )
        owner = np.searchsorted(self.starts, rows, side="right") - 1
        for number in np.unique(owner):
            mine = slice(None) if len(self.starts) == 1 else np.flatnonzero(owner == number)
            found = self.vectors.part(int(number))[rows[mine] - self.starts[number]]
            out[mine] = self._single(found)

    def _single(self, found: np.ndarray) -> np.ndarray:
        if found.dtype == np.float32:
            finite, single = bool(np.isfinite(found).all()), found
        else:
            bits = np.empty(found.shape, np.uint32)
            finite = native.widen(found.view(np.uint16).reshape(-1), bits.reshape(-1))
            single = bits.view(np.float32)
            single *= np.float32(2.0**112)
        if not finite:
            raise BadInput("a vector holds NaN or infinity", where=self.artifact.path)
        return single


def _geometry(
    rows: Rows, quantiles: tuple[float, ...], metric: str
) -> tuple[np.ndarray, np.ndarray]:
    return rows.once(("geometry", quantiles, metric), lambda: _measure(rows, quantiles, metric))


def _measure(
    rows: Rows, quantiles: tuple[float, ...], metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Gather the vectors of a few rows at a time and run the kernel on them."""
    width = len(quantiles) + len(native.RADIUS_COLUMNS)
    out = np.full((len(rows), width), np.nan)
    status = np.full((len(rows), width), scales.TOO_SHORT, dtype=np.uint8)
    wanted = np.array(quantiles)
    vectors: VectorRows = rows.vectors
    dim = vectors.width

    def work(start: int, stop: int) -> None:
        step = max(1, _BLOCK // max(1, dim * _mean_length(rows)))
        for low in range(start, stop, step):
            high = min(low + step, stop)
            begin, end = int(rows.offsets[low]), int(rows.offsets[high])
            found = np.empty((end - begin, dim), np.float32)
            vectors.into(rows.doc[begin:end].astype(np.int64), found)
            queries = np.empty((high - low if rows.query_vectors else 0, dim), np.float32)
            if rows.query_vectors is not None:
                rows.query_vectors.into(rows.query[low:high].astype(np.int64), queries)
            bounds = rows.offsets[low : high + 1] - begin
            native.geometry_columns(
                found, queries, bounds, wanted, metric == "cosine", out[low:high], status[low:high]
            )

    in_threads(work, rows.offsets)
    return out, status


def _mean_length(rows: Rows) -> int:
    return max(1, int(rows.offsets[-1] - rows.offsets[0]) // max(1, len(rows)))
