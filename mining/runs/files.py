"""Runs that another tool wrote: TREC run files, plain or gzip, and hard-negatives files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..collection.handles import Collection, TextTable, first_ten, resolve
from ..collection.lines import read_lines
from ..collection.survey import blocks
from ..errors import BadInput
from ..names import Call
from ..pair_keys import pair_keys
from ..store import Artifact, Output, Shard, Workspace, split_by_work
from ..store.files import sha256_of
from .hard_negatives import Row
from .negatives import rows_of
from .run import build_run, run_table

_SHARD_PAIRS = 4_000_000
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def import_run(
    workspace: Workspace,
    path: str | Path,
    collection: Collection,
    split: str,
    *,
    name: str | None = None,
    tag: str | None = None,
    depth: int | None = None,
    system: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Read a TREC run file (`query_id Q0 doc_id rank score tag`) into a run artifact.

    The order is made anew from the scores (float32, ties by document ordinal), as trec_eval does;
    the rank column is not read. Queries of the split without lines get an empty list. Lines of
    other queries of the collection and of empty documents are left out and counted
    (`outside_split`, `empty_documents`). `name`: an alias; `tag`: what the run is called in labels,
    by default `name`, else the file's own tag. `depth`: keep the best `depth` of each query. With
    `system` the file is one of hard negatives, see `hard_negatives`.

    Raises BadInput with the line for a missing column, a score that is not a finite number, a
    document twice for one query, and with the first ten for ids that the collection lacks.
    """
    path = Path(path).expanduser().absolute()
    file = str(path)
    called = tag or name or _first_tag(path)
    content = sha256_of(path)
    place = str(collection.artifact.path)

    def plan() -> list[Shard]:
        work = np.diff(_read_run(file, content, place, split, system).offsets)
        return split_by_work(np.maximum(work, 1), _SHARD_PAIRS)

    artifact = build_run(
        workspace,
        str(Call("imported", named=(("tag", called),))),
        collection,
        split,
        depth=depth,
        parameters={"content": content, **({"system": system} if system else {})},
        worker=Importer,
        options={"file": file, "content": content, "collection": place, "split": split}
        | {"depth": depth, "system": system},
        shards=plan,
        check=lambda: _read_run(file, content, place, split, system),
        executor=Execution(progress=executor.progress),  # one file: read once, by this process
    )
    _read_run.cache_clear()
    if name is not None:
        workspace.alias(name, artifact)
    return artifact


class Importer:
    """Writes the sorted lists of a range of queries."""

    def __init__(
        self,
        file: str,
        content: str,
        collection: str,
        split: str,
        depth: int | None,
        system: str | None,
    ):
        self.run, self.depth = _read_run(file, content, collection, split, system), depth
        self.asked = Collection.at(collection).split_queries(split)

    def __call__(self, shard: Shard) -> Output:
        """Return the run of queries `start…stop−1` of the split."""
        offsets = self.run.offsets[shard.start : shard.stop + 1]
        low, high = int(offsets[0]), int(offsets[-1])
        docs, scores = self.run.docs[low:high], self.run.scores[low:high]
        offsets = offsets - low
        if self.depth is not None:
            place = np.arange(len(docs)) - np.repeat(offsets[:-1], np.diff(offsets))
            docs, scores = docs[place < self.depth], scores[place < self.depth]
            lengths = np.minimum(np.diff(offsets), self.depth)
            offsets = np.concatenate([[0], np.cumsum(lengths)])
        table = run_table(self.asked[shard.start : shard.stop], offsets, docs, scores)
        return Output(table, counts=self.run.left_out if shard.number == 0 else {})


@dataclass(frozen=True, slots=True)
class _RunFile:
    """A run file by ordinals: `offsets` over the split's queries, lists best first."""

    offsets: np.ndarray
    docs: np.ndarray
    scores: np.ndarray
    left_out: dict[str, int]


@lru_cache(maxsize=1)
def _read_run(file: str, content: str, collection: str, split: str, system: str | None) -> _RunFile:
    """Read and check the whole file; `content` is its hash, so that the cache knows its age."""
    whole = Collection.at(collection)
    query_ids, doc_ids, scores, lines = _columns(Path(file), system)
    query = _ordinals(query_ids, whole.queries, file)
    doc = _ordinals(doc_ids, whole.corpus, file)
    _refuse_repeats(query, doc, lines, whole, file)
    asked = whole.split_queries(split)
    row = np.searchsorted(asked, query)
    inside = asked[np.minimum(row, len(asked) - 1)] == query
    mined = inside & ~np.isin(doc, whole.corpus.empty)
    left_out = {
        "outside_split": int((~inside).sum()),
        "empty_documents": int((inside & ~mined).sum()),
    }
    row, doc, scores = row[mined], doc[mined], scores[mined]
    order = np.lexsort((doc, -scores, row))
    offsets = np.searchsorted(row[order], np.arange(len(asked) + 1))
    kept = {reason: count for reason, count in left_out.items() if count}
    return _RunFile(offsets, doc[order], scores[order], kept)


def _columns(
    path: Path, system: str | None
) -> tuple[pa.ChunkedArray, pa.ChunkedArray, np.ndarray, np.ndarray]:
    """Return query ids, doc ids, scores (float32) and line numbers of a run file."""
    pieces: list[tuple[Any, ...]] = []
    rows = rows_of(path, system) if system else _trec_rows(path)
    for block in blocks(rows, 65_536):
        lines, query_ids, doc_ids, scores = zip(*block, strict=True)
        pieces.append(
            (
                pa.array(query_ids, pa.string()),
                pa.array(doc_ids, pa.string()),
                np.array(scores, dtype=np.float32),
                np.array(lines, dtype=np.int64),
            )
        )
    if not pieces:
        raise BadInput("the file holds no candidate", where=path, do="check how it was written")
    query, doc, score, line = zip(*pieces, strict=True)
    return (
        pa.chunked_array(query),
        pa.chunked_array(doc),
        np.concatenate(score),
        np.concatenate(line),
    )


def _trec_rows(path: Path) -> Iterator[Row]:
    for number, line in read_lines(path):
        yield number, *_row(line, path, number)


def _row(line: str, path: Path, number: int) -> tuple[str, str, float]:
    columns = line.split()
    where = f"{path}, line {number}"
    if len(columns) != 6:
        raise BadInput(
            f"{len(columns)} columns, a TREC run has 6: query Q0 document rank score tag",
            where=where,
            do="write one candidate per line, columns separated by blanks or tabs",
        )
    try:
        score = float(columns[4])
    except ValueError:
        score = math.nan
    if not abs(score) <= _FLOAT32_MAX:
        raise BadInput(
            f"the score {columns[4]!r} is not a finite number",
            where=where,
            do="columns are query, Q0, document, rank, score, tag; scores must be finite",
        )
    return columns[0], columns[2], score


def _ordinals(ids: pa.ChunkedArray, table: TextTable, file: str) -> np.ndarray:
    coded = ids.combine_chunks().dictionary_encode()
    known = resolve(coded.dictionary, (part[table.id_column] for _, part in table.parts()))
    unknown = np.flatnonzero(known < 0)
    if len(unknown):
        names = coded.dictionary.take(pa.array(unknown[:11])).to_pylist()
        raise BadInput(
            f"the run names {len(unknown):,} unknown {table.plural}: {first_ten(names)}",
            where=file,
            do="is this the right collection? ids are compared byte for byte",
        )
    return known[coded.indices.to_numpy()].astype(np.uint32)


def _refuse_repeats(
    query: np.ndarray, doc: np.ndarray, lines: np.ndarray, whole: Collection, file: str
) -> None:
    keys = pair_keys(query, doc)
    order = np.argsort(keys, kind="stable")
    again = order[1:][keys[order[1:]] == keys[order[:-1]]]
    if len(again):
        first = int(again.min())
        pair = f"{whole.queries.query_id(query[first])!r}"
        raise BadInput(
            f"document {whole.corpus.doc_id(doc[first])!r} stands twice in the list of query {pair}"
            f" ({len(again):,} such lines)",
            where=f"{file}, line {lines[first]}",
            do="keep one line for each pair of query and document",
        )


def _first_tag(path: Path) -> str:
    for _, line in read_lines(path):
        columns = line.split()
        return columns[5] if len(columns) == 6 else "run"
    raise BadInput("the run file holds no line", where=path, do="check how it was written")
