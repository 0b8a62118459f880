"""Runs that another tool wrote: TREC run files, Parquet tables, and hard-negatives files.

Whose word counts for the order of a TREC file, its scores' or its ranks', is declared (`order`).
Scores stay float64 until the lists are in order; what is stored are float32 scores that fall.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from ..actors import INLINE, Execution
from ..ahead import in_turn
from ..collection.handles import Collection
from ..collection.id_index import IdIndex, NumberedIds
from ..collection.policies import SHOWN
from ..collection.rows import TextTable, compared, first_ten
from ..errors import BadInput, UsageError
from ..inputs.given_paths import path_given
from ..inputs.id_map import ID_MAP, read_id_map
from ..names import Call
from ..pair_keys import pair_keys
from ..store import Artifact, Output, Shard, Workspace, files, split_by_work
from .reading import (
    Reading,
    by_what_there_is,
    content_of,
    place_in,
    read_as_table,
    refuse_large,
    refuse_unranked,
    sources_of,
    unread,
)
from .run import build_run, run_table
from .trec_lines import NO_RANK, Lines, first_tag

AGAINST_SCORES = "queries_ranked_against_scores"
_LEFT_OUT = ("unknown_queries", "unknown_documents", "empty_documents")
_ENOUGH = 10_000  # unknown documents, to say that this is another collection
_SHARD_PAIRS = 4_000_000
_SLAB = 1_000_000  # lines that are put in order at a time, on each core
Index = IdIndex | NumberedIds


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
    """Read a TREC run file (`query_id Q0 doc_id rank score tag`), or a Parquet file or folder with
    these columns (`tables`), into a run artifact as `Reading` says.

    Queries of the split without lines get an empty list. Left out and counted: lines of queries
    outside the split (`outside_split`), queries that the collection lacks (`unknown_queries`) and
    empty documents (`empty_documents`). `name`: an alias; `tag`: what the run is called in labels,
    by default `name`, else the system or the file's own tag; with it a file needs no tag column.
    `depth`: keep the best `depth` of each query.

    Raises BadInput with the line for a missing column, a score that is not a finite number, a
    document twice for one query, and with the first ten for ids that the collection lacks.
    """
    if depth is not None and depth < 1:
        raise UsageError(f"depth={depth} keeps nothing", do="say 1 or more, or leave it out")
    path = path_given(path).absolute()
    reading = Reading(system, order, sign, unknown, tagged=tag is None)
    sources = sources_of(path, reading)
    if read_as_table(path, reading):
        reading = by_what_there_is(reading, sources)
        called = tag or name or "run"
    else:
        called = tag or name or system or first_tag(path)
    file = str(path)
    content = content_of(sources, reading)
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
        if shard.number:
            return Output(table)
        return Output(table, counts=self.run.left_out, examples=self.run.shown)


@dataclass(frozen=True, slots=True)
class _RunFile:
    """A run file by ordinals: `offsets` over the split's queries, lists best first."""

    offsets: np.ndarray
    docs: np.ndarray
    scores: np.ndarray
    left_out: dict[str, int]
    shown: dict[str, list[str]]  # first ids of what is left out


def _plan(run: _RunFile) -> list[Shard]:
    return split_by_work(np.maximum(np.diff(run.offsets), 1), _SHARD_PAIRS)


@lru_cache(maxsize=1)
def _read_run(file: str, content: str, collection: str, split: str, reading: Reading) -> _RunFile:
    """Read and check the whole file; `content` is its hash, so that the cache knows its age."""
    whole = Collection.at(collection)
    asked = whole.split_queries(split)
    scratch = files.make_folder(whole.artifact.workspace.root / "tmp")
    with (
        files.Columns(scratch, **_Entries.DTYPES) as read,
        files.Columns(scratch, doc=np.uint32, score=np.float32) as lists,
    ):
        counts, shown = _candidates(file, whole, asked, reading, read)
        entries = _Entries(**read.mapped())
        lengths = np.bincount(entries.row, minlength=len(asked))
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        rises = not (entries.row[1:] < entries.row[:-1]).any()
        by_row = None if rises else np.argsort(entries.row, kind="stable")

        def best_first(slab: Shard) -> tuple[np.ndarray, np.ndarray, int]:
            piece = slice(int(offsets[slab.start]), int(offsets[slab.stop]))
            mine = entries.take(piece if by_row is None else by_row[piece])
            _refuse_repeats(mine, whole, asked, file, reading)
            order, score, against = _ordered(mine, reading, file)
            return mine.doc[order], score, against

        for doc, score, against in in_turn(best_first, split_by_work(lengths, _SLAB)):
            lists.append(doc=doc, score=score)
            counts[AGAINST_SCORES] += against
        left_out = {name: n for name, n in counts.items() if n}
        ordered = lists.mapped()
        return _RunFile(offsets, ordered["doc"], ordered["score"], left_out, shown)


@dataclass(frozen=True, slots=True)
class _Entries:
    """Candidates of the split's queries: row (place of the query in the split), document, rank
    (`NO_RANK`: none), score (higher is better), line."""

    DTYPES: ClassVar[dict[str, type]] = {
        "row": np.uint32,
        "doc": np.uint32,
        "rank": np.int32,
        "score": np.float64,
        "line": np.int64,
    }

    row: np.ndarray
    doc: np.ndarray
    rank: np.ndarray
    score: np.ndarray
    line: np.ndarray

    def take(self, which: np.ndarray | slice) -> _Entries:
        """Return some of them."""
        return _Entries(*(getattr(self, name)[which] for name in self.DTYPES))


class _LookedUp(NamedTuple):
    """A block of candidates: the ordinals of its queries (−1: unknown), the lines whose query the
    split has, and of those the ids and ordinals of the documents."""

    lines: Lines
    query: np.ndarray
    inside: np.ndarray
    doc_ids: pa.Array
    doc: np.ndarray


def _candidates(
    file: str, whole: Collection, asked: np.ndarray, reading: Reading, to: files.Columns
) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Read a file by ordinals, block by block, and write what is kept to the columns of `_Entries`,
    so that memory does not grow with the file; returns what is left out, and the first ids of
    that."""
    queries, docs = _indexes(file, whole, reading)
    rows = np.full(len(whole.queries) + 1, -1, dtype=np.int64)  # the last: unknown queries
    rows[asked] = np.arange(len(asked))
    empty = np.zeros(len(whole.corpus) + 1, dtype=bool)
    empty[whole.corpus.empty] = True
    counts: dict[str, int] = {"outside_split": 0, AGAINST_SCORES: 0}
    counts |= dict.fromkeys(_LEFT_OUT, 0)
    strange: dict[str, dict[str, None]] = {"queries": {}, "documents": {}}
    first: dict[str, int] = {}  # the line of the first of each
    read = known = 0

    def look_up(read: Callable[[], list[Lines]]) -> list[_LookedUp]:
        out = []
        for lines in read():
            query = queries.rows(lines.query_id)
            inside = np.flatnonzero(rows[query] >= 0)
            mine = lines.doc_id if len(inside) == len(query) else lines.doc_id.take(inside)
            out.append(_LookedUp(lines, query, inside, mine, docs.rows(mine)))
        return out

    for lines, query, inside, mine, doc in chain.from_iterable(
        in_turn(look_up, unread(Path(file), reading))
    ):
        row, at_doc = rows[query], lines.line[inside]
        read += len(query)
        known += int((query >= 0).sum())
        strange["queries"] |= _names(lines.query_id, query < 0)
        for role, odd in (("queries", lines.line[query < 0]), ("documents", at_doc[doc < 0])):
            if len(odd):
                first.setdefault(role, int(odd[0]))
        counts["outside_split"] += int(((query >= 0) & (row < 0)).sum())
        if reading.unknown == "error" or len(strange["documents"]) < SHOWN:
            strange["documents"] |= _names(mine, doc < 0)
        if reading.unknown == "error" and len(strange["documents"]) > _ENOUGH:
            break
        counts["unknown_documents"] += int((doc < 0).sum())
        counts["empty_documents"] += int(empty[doc].sum())
        kept = (doc >= 0) & ~empty[doc]
        at = inside[kept]
        to.append(
            row=row[at],
            doc=doc[kept],
            rank=lines.rank[at],
            score=lines.score[at] * reading.sign,
            line=lines.line[at],
        )
    counts["unknown_queries"] = len(strange["queries"])
    _refuse_strange(file, strange, first, known - counts["outside_split"], counts, reading)
    _refuse_other_split(file, known, counts["outside_split"])
    if not read:
        raise BadInput("the file holds no candidate", where=file, do="check how it was written")
    shown = {f"unknown_{role}": list(ids)[:SHOWN] for role, ids in strange.items() if ids}
    return counts, shown


def _indexes(file: str, whole: Collection, reading: Reading) -> tuple[Index, Index]:
    """Return what finds queries and documents, by the numbers of an id map where there is one."""
    beside = sources_of(Path(file), reading)[0].parent / ID_MAP
    ours = {} if reading.system else read_id_map(beside)
    return _index(whole.queries, ours.get("query")), _index(whole.corpus, ours.get("document"))


def _index(table: TextTable, ours: dict[str, str] | None) -> Index:
    index = IdIndex(part[table.id_column] for _, part in table.parts())
    return index if ours is None else NumberedIds(index, ours)


def _names(ids: pa.Array, which: np.ndarray) -> dict[str, None]:
    return dict.fromkeys(ids.filter(pa.array(which)).unique().to_pylist() if which.any() else ())


def _refuse_strange(
    file: str,
    strange: dict[str, dict[str, None]],
    first: dict[str, int],
    inside: int,
    counts: dict[str, int],
    reading: Reading,
) -> None:
    """Raise BadInput where no query is known, or a document is not and may not be left out, or none
    is; `inside`: how many lines are about queries of the split."""
    refused, do = "", "is this the right collection?"
    if strange["queries"] and not inside + counts["outside_split"]:
        refused = "queries"
    elif strange["documents"] and reading.unknown == "error":
        refused, do = "documents", f"{do} unknown=skip leaves them out, and the ranks close up;"
    elif inside and inside == counts["unknown_documents"]:
        refused, do = "documents", f"{do} no line would be left;"
    if refused:
        names = sorted(strange[refused])
        more = " or more" if len(names) > _ENOUGH else ""
        raise BadInput(
            f"the run names {len(names):,}{more} unknown {refused}: {first_ten(names)}",
            where=place_in(file, reading, first[refused])
            + (", the first of them" if len(names) > 1 else ""),
            do=f"{do} {compared(names[:11])}",
        )


def _refuse_other_split(file: str, known: int, outside: int) -> None:
    if known and outside == known:
        raise BadInput(
            f"none of the {known:,} lines is about a query of this split",
            where=file,
            do="name the split that the run was made for; --split '*' takes all queries",
        )


def _ordered(entries: _Entries, reading: Reading, file: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the order of whole lists, their scores (float32) in it, and how many queries the
    ranks and the scores order differently."""
    row, rank, score = entries.row, entries.rank, entries.score
    if reading.order == "rank":
        refuse_unranked(rank, entries.line, file, reading)
    else:
        refuse_large(score, entries.line, file, reading)
    same = row[1:] == row[:-1]
    identity = np.arange(len(row))
    # Lines stand in the order of the file and lexsort is stable; most files are in order already.
    ranked = not (same & (rank[1:] <= rank[:-1])).any()
    by_rank = identity if ranked else np.lexsort((-score, rank, row))
    against = _ranked_against(row[by_rank], rank[by_rank], score[by_rank])
    if reading.order == "rank":
        order = identity if ranked else np.lexsort((rank, row))
        place = identity - np.searchsorted(row, row)
        return order, (-1.0 - place).astype(np.float32), against
    late = (score[1:] > score[:-1]) | ((score[1:] == score[:-1]) & (rank[1:] < rank[:-1]))
    order = np.lexsort((rank, -score, row)) if (same & late).any() else identity
    return order, score[order].astype(np.float32), against


def _ranked_against(row: np.ndarray, rank: np.ndarray, score: np.ndarray) -> int:
    """Count the rows where a lower rank has the lower score; sorted by (row, rank, −score).

    Then the last of one rank is its worst and the first of the next its best, so that neighbours
    tell. Equal ranks and missing ones say nothing.
    """
    rises = (row[1:] == row[:-1]) & (rank[1:] > rank[:-1]) & (score[1:] > score[:-1])
    rises &= rank[1:] != NO_RANK
    return len(np.unique(row[1:][rises]))


def _refuse_repeats(
    entries: _Entries, whole: Collection, asked: np.ndarray, file: str, reading: Reading
) -> None:
    keys = pair_keys(entries.row, entries.doc)
    ordered = np.sort(keys)
    if not (ordered[1:] == ordered[:-1]).any():
        return
    order = np.argsort(keys, kind="stable")
    again = order[1:][keys[order[1:]] == keys[order[:-1]]]
    first = int(again[np.argmin(entries.line[again])])
    query_id = whole.queries.query_id(int(asked[entries.row[first]]))
    raise BadInput(
        f"document {whole.corpus.doc_id(int(entries.doc[first]))!r} stands twice in the list of "
        f"query {query_id!r} ({len(again):,} such lines)",
        where=place_in(file, reading, int(entries.line[first])),
        do="keep one line for each pair of query and document",
    )
