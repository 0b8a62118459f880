"""Where a group's documents come from: overlap of sources, ranks of the negatives, what filters
took; what a source's scores say (docs/quantities.md §6, 15 and 16).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from ...native import origins as native
from ...native import scales
from ..errors import UsageError
from ..options import Option
from ..parts.parameters import LAST, ONE_SOURCE
from ..processors import in_threads
from ..store import split_by_work
from .base import NOT_FOUND, STATISTICS, Column, Rows

if TYPE_CHECKING:
    from ..selection.kernels.columns import PoolColumns

TEACHER = "teacher"
_PROFILES = {"min": native.MIN, "mean": native.MEAN, "median": native.MEDIAN, "max": native.MAX}
_MOST_RANK = 65535
_BLOCK_PAIRS = 4_000_000


def _label(source: str, labels: Iterable[str], what: str) -> str:
    from ..selection.base import label_of

    return label_of(source, list(labels), what)


class _OnSelection:
    """Groups that rankmill selected, so that their pool is known."""

    __slots__ = ()

    @property
    def needs(self) -> frozenset[str]:
        """The selection."""
        return frozenset({"selection"})


@dataclass(frozen=True, slots=True)
class _Asked:
    """Rows of the pool in columns, and which of them each group asks: `at` int64 [rows], −1 for a
    group whose query stands elsewhere."""

    columns: PoolColumns
    at: np.ndarray


def _asked(rows: Rows) -> Iterator[_Asked]:
    """Yield the pool of all groups, some millions of pairs at once."""
    from ..selection.kernels.columns import PoolColumns

    reader = rows.selection.reader
    at = rows.once("pool rows", lambda: reader.pool.rows_of(rows.query))
    assert (at >= 0).all(), "groups are made of queries of their pool"
    if not len(at):
        return
    start, stop = int(at.min()), int(at.max()) + 1
    for cut in split_by_work(reader.pool.lengths(start, stop) + 1, _BLOCK_PAIRS):
        first, last = start + cut.start, start + cut.stop
        inside = (first <= at) & (at < last)
        if inside.any():
            columns = PoolColumns(reader, first, last)
            yield _Asked(columns, np.where(inside, at - first, -1))


def _negatives(rows: Rows, asked: _Asked) -> np.ndarray:
    """Return where the negatives of the groups stand in the columns, −1 for all else."""
    pool, doc = asked.columns.rows, _read_only(rows.doc)
    place = np.full(len(doc), -1, np.int64)
    given = (doc, rows.positive, rows.offsets, asked.at, pool.offsets, pool.doc)
    in_threads(lambda a, b: native.places_of_negatives(*given, a, b, place), rows.offsets)
    return place


def _read_only(values: np.ndarray) -> np.ndarray:
    view = values.view()
    view.flags.writeable = False  # one compiled form for mapped files and arrays in memory
    return view


@STATISTICS.register("overlap")
@dataclass(frozen=True, slots=True)
class Overlap(_OnSelection):
    """Jaccard overlap of the first `last` ranks of two sources, for the group's query.

    Null where neither found anything.
    """

    a: Annotated[str, Option("One source of the pool.", example="bm25")]
    b: Annotated[str, Option("The other source.", example="random")]
    last: Annotated[int | None, LAST] = None

    def __post_init__(self) -> None:
        if self.last is not None and self.last < 1:
            raise UsageError(f"last={self.last} is not a rank", do="ranks start at 1")

    @property
    def unit(self) -> str:
        """A share."""
        return "share"

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """Return the columns of a pool that are needed; raises BadInput for a source it lacks."""
        return frozenset(_label(source, labels, "overlap") for source in (self.a, self.b))

    def measure(self, rows: Rows) -> Column:
        """Return |A ∩ B| / |A ∪ B| of every row."""
        out = np.full(len(rows), np.nan)
        labels = rows.selection.reader.pool.labels
        a, b = (_label(source, labels, "overlap") for source in (self.a, self.b))
        for one in _asked(rows):
            pool = one.columns
            given = (pool.rank(a), pool.rank(b), one.at, pool.rows.offsets, self.last or _MOST_RANK)
            _run(rows, native.overlap, given, out)
        return out, _null_where(np.isnan(out))


@STATISTICS.register("found_by")
@dataclass(frozen=True, slots=True)
class FoundBy(_OnSelection):
    """The share of the group's negatives that a source had found."""

    source: Annotated[str, ONE_SOURCE]

    @property
    def unit(self) -> str:
        """A share."""
        return "share"

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """Return the columns of a pool that are needed; raises BadInput for a source it lacks."""
        return frozenset({_label(self.source, labels, "found_by")})

    def measure(self, rows: Rows) -> Column:
        """Return the share of every row."""
        out = np.full(len(rows), np.nan)
        label = _label(self.source, rows.selection.reader.pool.labels, "found_by")
        for one in _asked(rows):
            place = _negatives(rows, one)
            given = (one.columns.rank(label), rows.positive, place, rows.offsets, one.at)
            _run(rows, native.found_share, given, out)
        return out, _null_where(np.isnan(out))


@STATISTICS.register("negative_rank")
@dataclass(frozen=True, slots=True)
class NegativeRank(_OnSelection):
    """Profile of the negatives' ranks in a source's list, or under the teacher (`teacher`).

    `of`: min, mean, median or max over the negatives that the source found; the teacher ranks all
    candidates of the pool, ties by document. Null where the source found none of them.
    """

    source: Annotated[str, Option("Whose ranks: a source of the pool, or the teacher.")] = TEACHER
    of: Annotated[str, Option("min, mean, median or max over the negatives.")] = "mean"

    def __post_init__(self) -> None:
        if self.of not in _PROFILES:
            raise UsageError(f"of={self.of} is unknown", do=f"one of {', '.join(_PROFILES)}")

    @property
    def unit(self) -> str:
        """A rank, 1 is best."""
        return "rank"

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """Return the columns of a pool that are needed; raises BadInput for a source it lacks."""
        if self.source == TEACHER:
            return frozenset()
        return frozenset({_label(self.source, labels, "negative_rank")})

    def measure(self, rows: Rows) -> Column:
        """Return the profile of every row."""
        out = np.full(len(rows), np.nan)
        of = _PROFILES[self.of]
        for one in _asked(rows):
            place = _negatives(rows, one)
            if self.source == TEACHER:
                score = _scores(rows, one.columns)
                given = (score, place, rows.offsets, one.at, one.columns.rows.offsets, of)
                _run(rows, native.score_profile, given, out)
            else:
                labels = rows.selection.reader.pool.labels
                rank = one.columns.rank(_label(self.source, labels, "negative_rank"))
                _run(rows, native.rank_profile, (rank, place, rows.offsets, one.at, of), out)
        return out, _null_where(np.isnan(out))


def _run(rows: Rows, kernel: Callable[..., None], given: tuple[Any, ...], out: np.ndarray) -> None:
    in_threads(lambda start, stop: kernel(*given, start, stop, out), rows.offsets)


def _scores(rows: Rows, columns: PoolColumns) -> np.ndarray:
    """Return the teacher's score of every pair; raises BadInput for one that is not finite."""
    score, status = columns.joined_scores()
    for row in np.flatnonzero(status)[:1].tolist():
        at = rows.selection.reader.pool.row_of(int(columns.rows.query[row]))
        for _ in rows.selection.reader.rows(at, at + 1):
            pass  # it raises, and names query and document
    return score


@STATISTICS.register("source_entropy")
@dataclass(frozen=True, slots=True)
class SourceEntropy(_OnSelection):
    """−Σ w log₂ w with w = s/Σs over a source's list for the query, as deep as it was pooled, bits.

    The authors' code cuts by it, of BM25: nobody's belief, and not the teacher's entropy. Null
    where a score is negative or all are 0.
    """

    source: Annotated[str, ONE_SOURCE]

    @property
    def unit(self) -> str:
        """Bits."""
        return "bits"

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """Return the columns of a pool that are needed; raises BadInput for a source it lacks."""
        return frozenset({_label(self.source, labels, "source_entropy")})

    def measure(self, rows: Rows) -> Column:
        """Return the entropy of every row's query."""
        out = np.full(len(rows), np.nan)
        label = _label(self.source, rows.selection.reader.pool.labels, "source_entropy")
        for one in _asked(rows):
            pool, here = one.columns, one.at >= 0
            listed = np.flatnonzero(pool.rank(label))
            score = pool.source_score(label)[listed].astype(np.float64)
            owner = np.searchsorted(pool.rows.offsets, listed, side="right") - 1
            out[here] = _sum_entropy(score, owner, len(pool))[one.at[here]]
        return out, _null_where(np.isnan(out))


def _sum_entropy(score: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """Return log₂ Σs − Σ s·log₂ s / Σs of the scores of every owner 0 … count − 1, float64; NaN
    for one with a negative or unknown score, or none above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        total = np.bincount(owner, score, count)
        own = np.where(score == 0, 0.0, score * np.log2(score))  # NaN below 0
        bits = np.log2(total) - np.bincount(owner, own, count) / total
    return np.where(total > 0, np.maximum(bits, 0.0), np.nan)


@STATISTICS.register("removed")
@dataclass(frozen=True, slots=True)
class Removed(_OnSelection):
    """How many candidates the filters of the selection removed for this group.

    `filter`: the canonical text of one of them, by default all together. A candidate counts for the
    first filter that removed it.
    """

    filter: Annotated[
        str | None, Option("One filter of the selection, as written there; default: all together.")
    ] = None

    def __post_init__(self) -> None:
        if self.filter is not None:
            from ..selection import FILTERS

            object.__setattr__(self, "filter", FILTERS.text(FILTERS.parse(self.filter)))

    @property
    def unit(self) -> str:
        """Documents."""
        return "count"

    def measure(self, rows: Rows) -> Column:
        """Return the number of every row."""
        known = list(rows.selection.chooser.filters)
        if self.filter is not None and self.filter not in known:
            raise UsageError(
                f"filter={self.filter!r} was not used when these groups were selected",
                do=f"one of {', '.join(known)}" if known else "there were no filters",
            )
        asked = known if self.filter is None else [self.filter]
        selected = rows.once("selected", lambda: list(rows.selection.of(rows)))
        gone = [sum(candidates.removed[text] for text in asked) for candidates, _, _, _ in selected]
        return np.array(gone, np.float64), np.zeros(len(rows), np.uint8) + scales.DEFINED


def _null_where(undefined: np.ndarray) -> np.ndarray:
    return np.where(undefined, NOT_FOUND, scales.DEFINED).astype(np.uint8)
