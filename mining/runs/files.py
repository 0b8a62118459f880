"""Runs that another tool wrote: TREC run files, plain or gzip, and hard-negatives files.

Whose word counts for the order of a TREC file, its scores' or its ranks', is declared (`order`).
Scores stay float64 until the lists are in order; what is stored are float32 scores that fall.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..collection.handles import Collection, TextTable, first_ten, resolve
from ..collection.survey import blocks
from ..errors import BadInput, UsageError
from ..names import Call, nearest, unless_neutral
from ..pair_keys import pair_keys
from ..store import Artifact, Output, Shard, Workspace, split_by_work
from ..store.files import sha256_of
from .hard_negatives import rows_of
from .run import build_run, run_table
from .trec_lines import Row, first_tag, trec_rows

ORDERS = ("score", "rank")
UNKNOWN = ("error", "skip")
AGAINST_SCORES = "queries_ranked_against_scores"
_SHARD_PAIRS = 4_000_000
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read.

    `order="score"`: by falling score, read as float64; equal scores stay in the order of their
    ranks, and without ranks in that of the file. `order="rank"`: by the rank column; the stored
    score is then minus the place in the list. Queries where a lower rank has the lower score are
    counted either way (`queries_ranked_against_scores`). `sign=-1`: lower scores are better.
    Unknown documents are refused, or with `unknown="skip"` left out and counted
    (`unknown_documents`). `tagged`: the file has a tag column. With `system` the file is one of
    hard negatives, and this is the system whose lists are read.
    """

    system: str | None = None
    order: str = "score"
    sign: int = 1
    unknown: str = "error"
    tagged: bool = True

    def __post_init__(self) -> None:
        for name, known in (("order", ORDERS), ("unknown", UNKNOWN)):
            value = getattr(self, name)
            if value not in known:
                raise UsageError(f"{name}={value} is not known", do=nearest(str(value), known))
        if self.sign not in (1, -1):
            raise UsageError(f"sign={self.sign}", do="1 where higher is better, -1 where lower is")
        if self.system is not None and (self.order, self.sign) != ("score", 1):
            raise UsageError(
                "a hard-negatives file lists the best first: it has no ranks and no scores to turn",
                do="leave order and sign out",
            )

    @property
    def parameters(self) -> dict[str, Any]:
        """What enters the fingerprint of the run."""
        own = {"order": self.order} if self.system is None else {"system": self.system}
        return own | unless_neutral(sign=(self.sign, 1), unknown=(self.unknown, "error"))


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
    order: str = "score",
    sign: int = 1,
    unknown: str = "error",
    executor: Execution = INLINE,
) -> Artifact:
    """Read a TREC run file (`query_id Q0 doc_id rank score tag`) into a run artifact, as `Reading`
    says: `system`, `order`, `sign`, `unknown`.

    Queries of the split without lines get an empty list. Left out and counted: lines of queries
    outside the split (`outside_split`), queries that the collection lacks (`unknown_queries`) and
    empty documents (`empty_documents`). `name`: an alias; `tag`: what the run is called in labels,
    by default `name`, else the file's own tag; with it a file needs no tag column. `depth`: keep
    the best `depth` of each query.

    Raises BadInput with the line for a missing column, a score that is not a finite number, a
    document twice for one query, and with the first ten for ids that the collection lacks.
    """
    path = Path(path).expanduser().absolute()
    reading = Reading(system, order, sign, unknown, tagged=tag is None)
    file = str(path)
    called = tag or name or first_tag(path)
    content = sha256_of(path)
    place = str(collection.artifact.path)
    known = (file, content, place, split, reading)

    artifact = build_run(
        workspace,
        str(Call("imported", named=(("tag", called),))),
        collection,
        split,
        depth=depth,
        parameters={"content": content, **reading.parameters},
        worker=Importer,
        options={"known": known, "depth": depth},
        shards=lambda: _plan(_read_run(*known)),
        check=lambda: _read_run(*known),
        executor=Execution(progress=executor.progress),  # one file: read once, by this process
    )
    _read_run.cache_clear()
    if name is not None:
        workspace.alias(name, artifact)
    return artifact


class Importer:
    """Writes the sorted lists of a range of queries."""

    def __init__(self, known: tuple[str, str, str, str, Reading], depth: int | None):
        _, _, collection, split, _ = known
        self.run, self.depth = _read_run(*known), depth
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


def _plan(run: _RunFile) -> list[Shard]:
    return split_by_work(np.maximum(np.diff(run.offsets), 1), _SHARD_PAIRS)


@lru_cache(maxsize=1)
def _read_run(file: str, content: str, collection: str, split: str, reading: Reading) -> _RunFile:
    """Read and check the whole file; `content` is its hash, so that the cache knows its age."""
    whole = Collection.at(collection)
    read = _columns(Path(file), reading)
    query, unknown_queries = _queries(read, whole, file)
    asked = whole.split_queries(split)
    row = np.minimum(np.searchsorted(asked, query), max(len(asked) - 1, 0))
    inside = (query >= 0) & (asked[row] == query) if len(asked) else query < 0
    doc = _documents(read, inside, whole, file, reading.unknown)
    _refuse_repeats(query, doc, read.line, whole, file)
    empty = np.isin(doc, whole.corpus.empty)
    kept = (doc >= 0) & ~empty
    row, rank, score = row[kept], read.rank[kept], read.score[kept] * reading.sign
    if reading.order == "rank":
        _refuse_unranked(rank, read.line[kept], file)
    else:
        _refuse_large(score, read.line[kept], file)
    by_rank = np.lexsort((-score, rank, row))
    against = _ranked_against(row[by_rank], rank[by_rank], score[by_rank])
    # Lines stand in the order of the file, and lexsort is stable.
    order = np.lexsort((rank, row) if reading.order == "rank" else (rank, -score, row))
    offsets = np.searchsorted(row[order], np.arange(len(asked) + 1))
    scores = score[order]
    if reading.order == "rank":
        scores = -1.0 - (np.arange(len(order)) - offsets[row[order]])
    left_out = {
        "outside_split": int(((query >= 0) & ~inside).sum()),
        "unknown_queries": unknown_queries,
        "unknown_documents": int((inside & (doc < 0)).sum()),
        "empty_documents": int(empty.sum()),
        AGAINST_SCORES: against,
    }
    counted = {reason: count for reason, count in left_out.items() if count}
    docs = doc[kept][order].astype(np.uint32)
    return _RunFile(offsets, docs, scores.astype(np.float32), counted)


def _ranked_against(row: np.ndarray, rank: np.ndarray, score: np.ndarray) -> int:
    """Count the rows where a lower rank has the lower score; sorted by (row, rank, −score).

    Then the last of one rank is its worst and the first of the next its best, so that neighbours
    tell. Equal ranks and missing ones (NaN) say nothing.
    """
    rises = (row[1:] == row[:-1]) & (rank[1:] > rank[:-1]) & (score[1:] > score[:-1])
    return len(np.unique(row[1:][rises]))


def _refuse_unranked(rank: np.ndarray, lines: np.ndarray, file: str) -> None:
    unranked = np.flatnonzero(np.isnan(rank))
    if len(unranked):
        raise BadInput(
            f"{len(unranked):,} lines have no whole number as their rank",
            where=f"{file}, line {lines[unranked[0]]}",
            do="read the file by its scores: order=score",
        )


def _refuse_large(score: np.ndarray, lines: np.ndarray, file: str) -> None:
    large = np.flatnonzero(np.abs(score) > _FLOAT32_MAX)
    if len(large):
        raise BadInput(
            f"the score {score[large[0]]:g} lies beyond ±{_FLOAT32_MAX:.3g}, all that runs store",
            where=f"{file}, line {lines[large[0]]}",
            do="scale the scores, or let the ranks decide: order=rank",
        )


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of a file: ids as text; rank (NaN: none) and score float64, line int64."""

    query_id: pa.ChunkedArray
    doc_id: pa.ChunkedArray
    rank: np.ndarray
    score: np.ndarray
    line: np.ndarray


def _columns(path: Path, reading: Reading) -> _Lines:
    """Read the candidates of a file."""
    pieces: list[tuple[Any, ...]] = []
    rows: Iterator[Row] = (
        rows_of(path, reading.system)
        if reading.system is not None
        else trec_rows(path, tagged=reading.tagged)
    )
    for block in blocks(rows, 65_536):
        lines, query_ids, doc_ids, ranks, scores = zip(*block, strict=True)
        pieces.append(
            (
                pa.array(query_ids, pa.string()),
                pa.array(doc_ids, pa.string()),
                np.array(ranks),
                np.array(scores),
                np.array(lines, dtype=np.int64),
            )
        )
    if not pieces:
        raise BadInput("the file holds no candidate", where=path, do="check how it was written")
    query, doc, rank, score, line = zip(*pieces, strict=True)
    return _Lines(
        pa.chunked_array(query), pa.chunked_array(doc), *map(np.concatenate, (rank, score, line))
    )


def _queries(read: _Lines, whole: Collection, file: str) -> tuple[np.ndarray, int]:
    """Return the query of every line, int64, −1 where it is unknown, and how many are unknown."""
    query, unknown = _ordinals(read.query_id, whole.queries)
    if not (query >= 0).any():
        raise _unknown(unknown, whole.queries, file, "is this the right collection?")
    return query, len(unknown)


def _documents(
    read: _Lines, wanted: np.ndarray, whole: Collection, file: str, policy: str
) -> np.ndarray:
    """Return the document of every line, int64, −1 where it is not `wanted` or, if that may be,
    unknown."""
    doc = np.full(len(wanted), -1, dtype=np.int64)
    doc[wanted], unknown = _ordinals(read.doc_id.filter(pa.array(wanted)), whole.corpus)
    if unknown and policy == "error":
        do = "is this the right collection? unknown=skip leaves them out, and ranks below close up;"
        raise _unknown(unknown, whole.corpus, file, do)
    return doc


def _ordinals(ids: pa.ChunkedArray, table: TextTable) -> tuple[np.ndarray, list[str]]:
    """Return the ordinal of every id (int64, −1 = unknown), and the distinct unknown ids."""
    coded = ids.combine_chunks().dictionary_encode()
    known = resolve(coded.dictionary, (part[table.id_column] for _, part in table.parts()))
    names = coded.dictionary.take(pa.array(np.flatnonzero(known < 0))).to_pylist()
    return known[coded.indices.to_numpy()], names


def _unknown(names: list[str], table: TextTable, file: str, do: str) -> BadInput:
    return BadInput(
        f"the run names {len(names):,} unknown {table.plural}: {first_ten(names)}",
        where=file,
        do=f"{do} ids are compared byte for byte",
    )


def _refuse_repeats(
    query: np.ndarray, doc: np.ndarray, lines: np.ndarray, whole: Collection, file: str
) -> None:
    known = np.flatnonzero(doc >= 0)
    keys = pair_keys(query[known], doc[known])
    order = np.argsort(keys, kind="stable")
    again = order[1:][keys[order[1:]] == keys[order[:-1]]]
    if len(again):
        first = int(known[again.min()])
        pair = f"{whole.queries.query_id(query[first])!r}"
        raise BadInput(
            f"document {whole.corpus.doc_id(doc[first])!r} stands twice in the list of query {pair}"
            f" ({len(again):,} such lines)",
            where=f"{file}, line {lines[first]}",
            do="keep one line for each pair of query and document",
        )
