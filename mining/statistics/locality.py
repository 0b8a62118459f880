"""How close together the documents of a group lie, in the vectors of a declared encoder
(docs/quantities.md §6, 8–10).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np

from ...native import geometry as native
from ...native import scales
from ..errors import BadInput, BadPair, UsageError
from ..models.vectors import Vectors
from ..names import nearest
from ..options import Option
from ..parts.costs import PAIRS
from ..processors import in_threads
from ..store import Artifact
from .base import STATISTICS, Column, Rows

_METRICS = ("euclidean", "cosine")
_QUANTILES = (1.0, 0.99, 0.95)  # measured together: they share the distances
_BLOCK = 1 << 14  # rows whose vectors are looked up at once


@dataclass(frozen=True, slots=True)
class _OnVectors:
    """The metric: `euclidean` between unit vectors or `cosine` distance 1 − cos, both in [0, 2]."""

    metric: Annotated[str, Option("euclidean or cosine distance of unit vectors.")] = "euclidean"

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


@STATISTICS.register("diameter", PAIRS)
@dataclass(frozen=True, slots=True)
class Diameter(_OnVectors):
    """Essential diameter Δ: the q-quantile (numpy's linear rule) of the distances of all pairs.

    q = 1 is the maximum. A single document has diameter 0; a zero vector has no direction and gives
    null.
    """

    q: Annotated[
        float, Option("Quantile of the distances; 1 is the largest.", unit="share of the pairs")
    ] = 1.0

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

    of: Annotated[str, Option("mean or max of the distances.")] = "mean"
    to: Annotated[str, Option("Distance from the positive, or from the query.")] = "positive"

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
            without = rows.own_positive() < 0
            reasons[without & (reasons == scales.DEFINED)] = rows.without_positive
        return values, reasons


class VectorRows:
    """An encoder's vectors as the kernel reads them: in place where they are one part."""

    def __init__(self, artifact: Artifact):
        self.artifact, self.vectors = artifact, Vectors(artifact)
        self.width = self.vectors.width

    def view(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (half, single, index) such that index[i] is the place of the vector of rows[i].

        `half` is uint16 bits of float16 [n, width], `single` float32 [n, width]; the one that is
        not stored is [0, 0]. Vectors in several parts are gathered, a copy of those rows. Raises
        BadInput where an ordinal has no vector.
        """
        if len(rows) and int(rows.max()) >= len(self.vectors):
            raise BadInput(
                f"ordinal {int(rows.max())} has no vector, there are {len(self.vectors)}",
                where=self.artifact.path,
                do="encode the collection that these groups were made from",
            )
        index = rows.astype(np.int64)
        if len(self.artifact.parts) == 1:
            stored = self.vectors.part(0)
        else:
            distinct, index = np.unique(index, return_inverse=True)
            stored = self.vectors.rows(distinct)
        half, single = np.empty((0, 0), np.uint16), np.empty((0, 0), np.float32)
        if stored.dtype == np.float16:
            half = stored.view(np.uint16)
        else:
            single = stored
        for array in (half, single, index):
            array.flags.writeable = False
        return half, single, index


def _between(fixed: tuple[Any, ...], into: tuple[Any, ...], start: int, stop: int) -> None:
    arguments = (*fixed, start, stop, *into)
    native.geometry_columns(*arguments)


def _geometry(
    rows: Rows, quantiles: tuple[float, ...], metric: str
) -> tuple[np.ndarray, np.ndarray]:
    return rows.once(("geometry", quantiles, metric), lambda: _measure(rows, quantiles, metric))


def _measure(
    rows: Rows, quantiles: tuple[float, ...], metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Run the kernel on a few thousand rows at a time, so that gathered vectors stay few."""
    width = len(quantiles) + len(native.RADIUS_COLUMNS)
    docs = _positives_first(rows)
    out = np.empty((len(rows), width))
    status = np.empty((len(rows), width), dtype=np.uint8)
    wanted = np.array(quantiles)
    for start in range(0, len(rows), _BLOCK):
        stop = min(start + _BLOCK, len(rows))
        begin, end = int(rows.offsets[start]), int(rows.offsets[stop])
        half, single, index = rows.vectors.view(docs[begin:end])
        queries = np.empty((0, rows.vectors.width), np.float32)
        if rows.query_vectors is not None:
            queries = rows.query_vectors.vectors.rows(rows.query[start:stop])
        bounds = rows.offsets[start : stop + 1] - begin
        bounds.flags.writeable = False
        into = out[start:stop], status[start:stop]
        fixed = (half, single, index, queries, bounds, wanted, metric == "cosine")
        in_threads(partial(_between, fixed, into), bounds)
    for row in np.flatnonzero(status[:, 0] == scales.NOT_FINITE)[:1]:
        raise BadPair(
            "a vector holds NaN, infinity or components too large to square: that of a document of "
            "the query",
            query=rows.query[row],
            within=rows.vectors.artifact.path,
            do="encode again, or leave that document out",
        )
    return out, status


def _positives_first(rows: Rows) -> np.ndarray:
    """Return the documents with every row's own positive in the place of its first one."""
    place = rows.own_positive()
    moved = place >= 0
    first, place = rows.offsets[:-1][moved], place[moved]
    docs = rows.doc.copy()
    docs[place], docs[first] = rows.doc[first], rows.doc[place]
    return docs
