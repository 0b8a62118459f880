"""Triples in memory as groups: texts of one's own, a query, its positive and negatives in a row.

A collection is made of the texts, each once, with the positives as judgements of the split `train`;
the groups are then read as those of a file are.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..actors import INLINE, Execution
from ..collection import Collection, Tables, collect
from ..collection.readers.arrow_tables import arrow_table
from ..errors import BadInput, RankmillError, UsageError
from ..inputs.column_names import NEGATIVES, POSITIVE, QUERY, SCORES, first_named, named
from ..inputs.row_shapes import Place, numbers, one_text, shown, texts
from ..store import Artifact, Workspace, files
from ..store.scratch import own_folder
from .imported import import_groups
from .rows import called, numbered_negatives

TRAIN, TEST = "train", "test"
LABELS = "probability"
"""The kind of scores of triples without scores: 1 for the positive, 0 for a negative."""

_DO = "write (query, positive, negative), or a row with columns query, positive and negative"


@dataclass(frozen=True, slots=True)
class Triple:
    """One row: a query, its documents, the positive first, and their scores, if any."""

    place: Place
    query: str
    docs: list[str]
    scores: list[float] | None


def groups_of_triples(
    workspace: Workspace,
    triples: Any,
    *,
    test: Any = None,
    kind: str | None = None,
    size: int | None = None,
    on: Sequence[str] = ("duplicate_document=drop",),
    executor: Execution = INLINE,
) -> Artifact:
    """Return groups, one for each row, over a collection made of the rows' texts.

    `triples`: rows as tuples (query, positive, negative, …), or dictionaries, or a table; with
    scores, `kind` says what they are. `test`: pairs of query and positive that are held out, as
    tuples, as a table or as {query: positive}; they are the split `test` of the collection. `size`
    and `on`: as for groups of a file; by default a row whose negative is its positive, text for
    text, is left out and counted.

    Raises BadInput with the row for what is no triple, UsageError for scores without a kind.
    """
    rows = [_triple(row, place) for place, row in _rows(triples, "triples")]
    if not rows:
        raise BadInput("there are no triples", do=_DO)
    scored = [row for row in rows if row.scores is not None]
    if scored and len(scored) < len(rows):
        bare = next(row for row in rows if row.scores is None)
        raise BadInput("other rows have scores, this one has none", where=str(bare.place))
    if scored and kind is None:
        raise UsageError(
            "these triples have scores, of which kind?", do='say kind="logit", or what they are'
        )
    if kind is not None and not scored:
        raise UsageError(f"kind={kind!r} of triples without scores", do="leave it out")
    _check_sizes(rows, size)
    held = _collection(workspace, rows, list(_pairs(test)), executor)
    with own_folder(workspace.root / "tmp", "triples") as folder:
        path = folder / "triples.jsonl"
        with files.replacing(path) as stream:
            stream.writelines(map(_line, rows))
        with _as_triples(path):
            return import_groups(
                workspace,
                path,
                held,
                form="rows",
                kind=kind or LABELS,
                size=size,
                on=on,
                split=TRAIN,
                executor=executor,
            )


@contextlib.contextmanager
def _as_triples(path: Path) -> Iterator[None]:
    """Let an error about a line of our own file be one about a row of what was given."""
    try:
        yield
    except RankmillError as error:
        if error.where is not None and error.where.startswith(str(path)):
            error.where = error.where.replace(str(path), "triples").replace(", line ", ", row ")
            error.do = None if error.do is None else error.do.replace(_OF_A_FILE, _OF_TRIPLES)
        raise


_OF_A_FILE = "is this the right file, and the right collection?"
_OF_TRIPLES = 'look at the triples; on=["duplicate_document=keep_first"], say, keeps odd rows'


def _line(row: Triple) -> str:
    """Return a row as a file of groups has it."""
    scores = row.scores or [1.0] + [0.0] * (len(row.docs) - 1)
    told = {"query": row.query, "documents": row.docs, "scores": scores}
    return json.dumps(told, ensure_ascii=False) + "\n"


def _check_sizes(rows: Sequence[Triple], size: int | None) -> None:
    lengths = [len(row.docs) for row in rows]
    if size is None and min(lengths) < max(lengths):
        raise BadInput(
            f"rows of {min(lengths)} to {max(lengths)} documents; groups have one size",
            do=f"say size={min(lengths)}: longer rows are cut; those shorter than it are left out",
        )


def _collection(
    workspace: Workspace,
    rows: Sequence[Triple],
    held_out: Sequence[tuple[str, str]],
    executor: Execution,
) -> Collection:
    """Collect the texts, each once, with the positives of both splits as judgements."""
    documents = dict.fromkeys([d for row in rows for d in row.docs] + [d for _, d in held_out])
    queries = dict.fromkeys([row.query for row in rows] + [query for query, _ in held_out])
    doc_id = {text: f"d{number}" for number, text in enumerate(documents)}
    query_id = {text: f"q{number}" for number, text in enumerate(queries)}
    splits = {TRAIN: [(row.query, row.docs[0]) for row in rows], TEST: held_out}
    judged = {
        split: {
            "query_id": [query_id[query] for query, _ in dict.fromkeys(pairs)],
            "doc_id": [doc_id[doc] for _, doc in dict.fromkeys(pairs)],
            "grade": [1] * len(dict.fromkeys(pairs)),
        }
        for split, pairs in splits.items()
        if pairs
    }
    tables = Tables(
        {"id": list(doc_id.values()), "text": list(doc_id)},
        {"id": list(query_id.values()), "text": list(query_id)},
        judged,
    )
    return collect(workspace, tables, title="text", executor=executor)


# ---- rows of any shape ---------------------------------------------------------------------------


def _rows(given: Any, what: str) -> Iterator[tuple[Place, Any]]:
    """Yield rows with their place: of lists as they are, of tables as dictionaries."""
    plain = isinstance(given, Iterable) and not isinstance(given, Mapping | str | bytes)
    if not plain or hasattr(given, "columns") or hasattr(given, "features"):
        given = (
            row for batch in arrow_table(given, what).to_batches() for row in batch.to_pylist()
        )
    for number, row in enumerate(given, 1):
        yield Place(what, number, "row"), row


def _triple(row: Any, place: Place) -> Triple:
    if isinstance(row, Mapping):
        return _of_columns({str(name): value for name, value in row.items()}, place)
    given = list(row) if isinstance(row, list | tuple) else []
    if len(given) < 3:
        raise BadInput(
            f"{len(given)} texts, a triple has three or more: {shown(row)}"
            if given
            else f"this is no triple: {shown(row)}",
            where=str(place),
            do=_DO,
        )
    query, *docs = (one_text(one, "text", place) for one in given)
    return Triple(place, query, docs, None)


def _of_columns(row: dict[str, Any], place: Place) -> Triple:
    query, positive = (called(row, names, place) for names in (QUERY, POSITIVE))
    docs = [one_text(row[positive], positive, place)]
    for name in (*named(row, NEGATIVES), *numbered_negatives(row)):
        value = row[name]
        docs += texts(list(value) if isinstance(value, list | tuple) else [value], name, place)
    if len(docs) == 1:
        raise BadInput(f"no negative; there are {', '.join(row)}", where=str(place), do=_DO)
    scored = first_named(row, SCORES)
    scores = None if scored is None else numbers(row[scored], scored, place, docs)
    if scores is not None and len(scores) != len(docs):
        raise BadInput(
            f"{len(docs)} documents with {len(scores)} scores",
            where=str(place),
            do="every document of a group needs its score",
        )
    return Triple(place, one_text(row[query], query, place), docs, scores)


def _pairs(given: Any) -> Iterator[tuple[str, str]]:
    """Yield (query, positive) of what is held out."""
    if given is None:
        return
    if isinstance(given, Mapping) and not named(map(str, given), QUERY):
        given = [
            (q, d)
            for q, ds in given.items()
            for d in (ds if isinstance(ds, list | tuple | set) else [ds])
        ]
    for place, row in _rows(given, "test"):
        if isinstance(row, Mapping):
            whole = {str(name): value for name, value in row.items()}
            row = tuple(whole[called(whole, names, place)] for names in (QUERY, POSITIVE))
        if not isinstance(row, list | tuple) or len(row) < 2:
            raise BadInput(
                f"this is no pair of a query and its positive: {shown(row)}",
                where=str(place),
                do="write (query, positive), or {query: positive}",
            )
        query, positive = (one_text(one, "text", place) for one in row[:2])
        yield query, positive
