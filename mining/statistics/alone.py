"""Statistics of score lists that a user has, without collection, pool or workspace.

    import rankmill as rm
    table = pl.read_parquet("scores.parquet")        # query_id, doc_id, score
    rm.pair_entropy(table, T=2)                      # query_id, pair_entropy(T=2)

The same kernels measure them as measure groups; scores are read as float32, as stored ones are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..collection.readers.arrow_tables import arrow_table
from ..collection.readers.parquet_rows import ids_of
from ..errors import BadInput, UsageError
from ..inputs.bounds.guards import brief
from ..inputs.column_names import CORPUS_ID, DOC_ID, QUERY_ID, TOPIC_ID, named, names_of_kind
from ..names import nearest
from ..score_kinds import RANK, SCORE_KINDS
from ..teachers.contract import RANGES, outside, range_text
from .base import STATISTICS, Rows
from .measure import measure

if TYPE_CHECKING:
    import polars

SCORE = ("score", "scores", "logit", "logits", "similarity", "probability")
POSITIVE = ("positive", "grade", "label", "relevance")


def measure_scores(
    scores: Any, statistics: Sequence[str], *, kind: str = "logit"
) -> polars.DataFrame:
    """Return a row per query with a column per statistic; null where one is not defined.

    `scores`: a table (any that `collect` takes) of `query_id` and `score`, a row per document
    (`doc_id` tells copies apart) or a list per query; or plain lists of numbers, one per query.
    A column `positive` (true, or a grade of 1 or more; of lists, lists of them) marks positives for
    statistics of labels.
    Queries stand in the order in which they first appear. `kind`: of the scores, logit, log-prob,
    probability, similarity or rank.

    Raises UsageError for an unknown statistic and for one that needs more than scores; BadInput
    for what is no finite number.
    """
    import polars

    if not statistics:
        raise UsageError("statistics=[] names no statistic", do='write ["pair_entropy(T=2)"]')
    if kind not in SCORE_KINDS:
        raise UsageError(f"kind={kind!r} is not known", do=nearest(kind, SCORE_KINDS))
    chosen = [STATISTICS.parse(text) for text in statistics]
    ids, rows, labelled = _rows_of(scores, kind)
    for one in chosen:
        more = one.needs - ({"labels"} if labelled else set())
        if more:
            raise UsageError(
                f"{one} needs {', '.join(sorted(more))} beside scores",
                do="a column 'positive' gives labels; else measure groups: rm.stats(groups)",
            )
    made = measure(rows, chosen).table.drop_columns("query")
    frame = polars.from_arrow(made)
    assert isinstance(frame, polars.DataFrame)
    if ids is not None:
        frame.insert_column(0, polars.Series("query_id", ids))
    return frame


def _rows_of(scores: Any, kind: str) -> tuple[list[str] | None, Rows, bool]:
    """Return the ids of queries (None: lists without), the rows, and whether there are labels."""
    if isinstance(scores, np.ndarray) or _is_lists(scores):
        lists = _lists_of(scores)
        return None, _built(*_flat(lists), kind), False
    table = arrow_table(scores, "scores")
    names = table.column_names
    query = _named(names, (*QUERY_ID, *TOPIC_ID), "query_id")
    score = _score_of(names, kind)
    doc = next((n for n in named(names, (*DOC_ID, *CORPUS_ID)) if n != query), None)
    mark = next(iter(named(names, POSITIVE)), None)
    asked = _ids(table, query)
    values = table[score].combine_chunks()
    if pa.types.is_fixed_size_list(values.type):
        values = values.cast(pa.large_list(values.type.value_type))
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        if len(asked.unique()) < len(asked):
            raise BadInput("a query has two lists", where="scores", do="give one list per query")
        flat, offsets = _flat(values)
        marks = None if mark is None else _list_marks(table[mark], mark, offsets)
        return asked.to_pylist(), _built(flat, offsets, kind, None, marks), mark is not None
    order, offsets, ids = _grouped(asked)
    docs = None if doc is None else _ordinals(_ids(table, doc))[order]
    marks = None if mark is None else _marks(table[mark].combine_chunks(), mark)[order]
    return ids, _built(_numbers(values)[order], offsets, kind, docs, marks), mark is not None


def _is_lists(scores: Any) -> bool:
    if not isinstance(scores, list | tuple) or not scores:
        return False
    return any(isinstance(one, list | tuple | np.ndarray) for one in scores)


def _lists_of(scores: Any) -> pa.Array:
    """Return lists of numbers as a column; raises BadInput with the first that is none."""
    lists = []
    for number, one in enumerate(scores, 1):
        values = np.asarray(one, dtype=object).tolist() if one is not None else None
        try:
            lists.append(pa.array([values], pa.list_(pa.float64())))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise BadInput(
                f"this is no list of numbers: {brief(one)}",
                where=f"scores, list {number}",
                do="give [[2.0, 0.5], …], a list of numbers for each query",
            ) from error
    return pa.concat_arrays(lists) if lists else pa.array([], pa.list_(pa.float64()))


def _named(names: list[str], known: Sequence[str], wanted: str) -> str:
    matching = named(names, known)
    if not matching:
        raise BadInput(
            f"there is no column {wanted!r}; the table has {', '.join(map(repr, names)) or 'none'}",
            where="scores",
            do=f"call it one of: {', '.join(dict.fromkeys(known))}",
        )
    _refuse_doubled(names, matching[0])
    return matching[0]


def _refuse_doubled(names: list[str], name: str) -> None:
    if names.count(name) > 1:
        raise BadInput(f"the column {name!r} stands twice", where="scores", do="keep one of them")


def _score_of(names: list[str], kind: str) -> str:
    """Return the column of scores; of several the one that is called by their kind."""
    own = named(names, names_of_kind(kind))
    columns = named(names, (*SCORE, *names_of_kind(kind)))
    if len(set(columns)) > 1 and len(set(own)) != 1:
        raise BadInput(
            f"several columns may be the scores: {', '.join(map(repr, dict.fromkeys(columns)))}",
            where="scores",
            do=f"leave one, or call the one to read {names_of_kind(kind)[0]!r}",
        )
    return _named(names, names_of_kind(kind) if own else SCORE, "score")


def _ids(table: pa.Table, name: str) -> pa.Array:
    """Return a column of ids as texts."""
    batches = table.select([name]).combine_chunks().to_batches()
    return ids_of("scores", batches[0], name, 0) if batches else pa.array([], pa.string())


def _marks(column: pa.Array, name: str) -> np.ndarray:
    """Return which documents are positives: those true, or of a grade of 1 or more."""
    if column.null_count:
        raise BadInput(
            f"{name!r} is null ({column.null_count:,} times)",
            where="scores",
            do="say true or false, or a grade, of every document",
        )
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return _numbers(column) >= 1


def _list_marks(column: pa.ChunkedArray, name: str, offsets: np.ndarray) -> np.ndarray:
    """Return which documents of the lists are positives, from lists as long as theirs."""
    lists = column.combine_chunks()
    if pa.types.is_fixed_size_list(lists.type):
        lists = lists.cast(pa.large_list(lists.type.value_type))
    if not (pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type)):
        raise BadInput(
            f"{name!r} holds no lists, and the scores do",
            where="scores",
            do="give a list of true and false, or of grades, for every list of scores",
        )
    lengths = lists.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
    other = np.flatnonzero(lengths != np.diff(offsets))
    if len(other):
        raise BadInput(
            f"{offsets[other[0] + 1] - offsets[other[0]]} scores and {max(lengths[other[0]], 0)} "
            f"in {name!r}",
            where=f"scores, list {other[0] + 1}",
            do="give one for each score",
        )
    return _marks(lists.flatten(), name)


def _grouped(asked: pa.Array) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the order of rows by query (first appearance, stable), offsets, and the ids."""
    encoded = asked.dictionary_encode()
    number = encoded.indices.to_numpy(zero_copy_only=False)
    ids = encoded.dictionary.to_pylist()
    counts = np.bincount(number, minlength=len(ids))
    return np.argsort(number, kind="stable"), np.concatenate([[0], np.cumsum(counts)]), ids


def _ordinals(ids: pa.Array) -> np.ndarray:
    encoded = ids.dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.uint32)


def _flat(lists: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of a column of lists, and where each list begins."""
    if not (pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type)):
        raise BadInput("these are no lists of numbers", where="scores", do="give [[2.0, 0.5], …]")
    if lists.null_count:
        at = int(np.flatnonzero(lists.is_null().to_numpy(zero_copy_only=False))[0])
        raise BadInput(
            "a list is null", where=f"scores, list {at + 1}", do="leave it out, or give []"
        )
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    return _numbers(lists.flatten()), np.concatenate([[0], np.cumsum(lengths)])


def _numbers(column: pa.Array) -> np.ndarray:
    """Return numbers as float64; a null is NaN, and refused where it is a score."""
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise BadInput(
            f"a column of type {kind} holds no numbers", where="scores", do="cast it to float"
        )
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False))


def _built(
    scores: np.ndarray,
    offsets: np.ndarray,
    kind: str,
    docs: np.ndarray | None = None,
    positive: np.ndarray | None = None,
) -> Rows:
    with np.errstate(over="ignore"):  # told just below
        small = scores.astype(np.float32)
    if not np.isfinite(small).all():
        at = int(np.flatnonzero(~np.isfinite(small))[0])
        raise BadInput(
            f"a score is {'missing or ' if np.isnan(scores[at]) else ''}{scores[at]}, not a finite "
            "number of float32",
            where=f"scores, list {int(np.searchsorted(offsets, at, side='right'))}",
            do="leave the document out, or score it again",
        )
    wrong = np.empty(0, np.int64) if kind == RANK else outside(small, RANGES[kind])
    if len(wrong):
        raise BadInput(
            f"the score {small[wrong[0]]:g} is no {kind}, whose range is "
            f"{range_text(RANGES[kind])} ({len(wrong):,} such scores)",
            where=f"scores, list {int(np.searchsorted(offsets, wrong[0], side='right'))}",
            do="declare the kind that these scores are; logit and similarity have no bounds",
        )
    return Rows(
        query=np.arange(len(offsets) - 1, dtype=np.uint32),
        offsets=offsets.astype(np.int64),
        doc=np.arange(len(small), dtype=np.uint32) if docs is None else docs,
        scores=small,
        positive=np.zeros(len(small), np.uint8) if positive is None else positive.astype(np.uint8),
        kind=kind,
        pooled=True,
    )
