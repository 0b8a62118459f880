"""From a file of scores to its sorted runs: ids become ordinals, and everything is checked.

The file is streamed once in blocks, so memory does not grow with it. What has been read stays in
the folder until the artifact is published: a killed import goes on with the next file of several,
or with its parts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...ahead import in_turn
from ...collection.id_index import IdIndex, NumberedIds
from ...collection.policies import SHOWN
from ...collection.rows import Corpus, Queries, TextTable, compared, first_ten
from ...errors import BadInput, RankmillError
from ...inputs.id_map import ID_MAP, read_id_map
from ...pair_keys import docs_of, pair_keys, queries_of
from ...score_kinds import RANK
from ...store import Artifact, files, split_by_work
from ..contract import RANGES, outside, range_text
from .ranks import shared_ranks
from .score_batches import Batch, read_batches, unread_batches
from .score_files import UNITS
from .sorted_runs import Clash, Pairs, Runs, RunWriter

_MERGED = 4_000_000  # pairs that are merged at a time
_MOST_UNKNOWN = 100_000  # distinct ids, before the whole file has been read
_DONE, _PLAN = "done.json", "queries.arrow"
_ROLES = {"query": "queries", "doc": "documents"}


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be read, and how."""

    sources: list[Path]
    form: str
    corpus: Artifact
    queries: Artifact
    kind: str
    unknown: str
    sign: int
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The queries of the file (uint32, ascending), rows left out, the first ids that made them be,
    and 1 where ranks begin at 0."""

    queries: np.ndarray
    skipped: int
    shown: dict[str, list[str]]
    first_rank: int


def sort_scores(request: Request, folder: Path) -> None:
    """Fill a folder with the sorted runs of a request, unless it is full.

    Raises BadInput for what is wrong with the file; nothing stays then.
    """
    with files.lock(folder / "LOCK"):
        if (folder / _DONE).exists():
            return
        try:
            _sort(request, folder)
        except RankmillError:
            files.remove_tree(folder.parent)
            raise


def plan_of(folder: Path) -> Plan:
    """Return what a full folder holds."""
    said = json.loads((folder / _DONE).read_bytes())
    queries = files.read_arrow(folder / _PLAN)["query"].to_numpy()
    return Plan(queries, said["skipped"], said["shown"], said["first_rank"])


def pairs_of_queries(folder: Path) -> np.ndarray:
    """Return how many pairs each query of a full folder has, int64."""
    return files.read_arrow(folder / _PLAN)["pairs"].to_numpy()


def _sort(request: Request, folder: Path) -> None:
    reader = _Reader(request)
    facts = [_read_file(reader, number, folder) for number in range(len(request.sources))]
    total = sum(fact["pairs"] for fact in facts)
    if not total and not sum(fact["skipped"] for fact in facts):
        raise BadInput("the file holds no score", where=reader.place, do="check how it was written")
    reader.refuse()
    if not total and not request.may_be_empty:
        raise knows_nothing(reader.place, chain(*(fact["shown"].values() for fact in facts)))
    queries, pairs = _counted(reader, Runs(folder))
    table = pa.table(
        {"query": pa.array(queries, pa.uint32()), "pairs": pa.array(pairs, pa.int64())}
    )
    files.write_arrow(folder / _PLAN, table)
    zero = request.kind == RANK and any(fact["from_zero"] for fact in facts)
    shown = {
        role: list(dict.fromkeys(name for fact in facts for name in fact["shown"][role]))[:SHOWN]
        for role in _ROLES
    }
    said = {
        "skipped": sum(fact["skipped"] for fact in facts),
        "shown": {f"unknown_{_ROLES[role]}": ids for role, ids in shown.items() if ids},
        "first_rank": int(zero),
    }
    files.write_bytes(folder / _DONE, json.dumps(said).encode())


def knows_nothing(place: Path, shown: Iterable[Iterable[str]]) -> BadInput:
    """Return the error for a file that knows no pair of the collection; `shown`: ids of it."""
    names = list(chain.from_iterable(shown))[:11]
    return BadInput(
        f"every pair names unknown ids: {first_ten(names)}",
        where=place,
        do=f"is this the right collection? {compared(names)}",
    )


def _read_file(reader: _Reader, number: int, folder: Path) -> dict[str, Any]:
    """Write the runs of one file and its record; a file that has a record is not read again."""
    record = folder / f"file-{number:05d}.json"
    if record.exists():
        return json.loads(record.read_bytes())
    source = reader.request.sources[number]
    facts: dict[str, Any] = {"pairs": 0, "skipped": 0, "from_zero": 0}
    ranks = reader.request.kind == RANK
    try:
        with RunWriter(folder, f"{number:05d}") as writer:
            for query, doc, score, skipped in reader.ordinals(source):
                writer.add(query, doc, score)
                facts["pairs"] += len(score)
                facts["skipped"] += skipped
                facts["from_zero"] |= int(ranks and bool((score == 0).any()))
    except Clash as clash:
        reader.refuse()
        raise reader.explained(clash) from clash
    facts["shown"] = {role: list(names)[:SHOWN] for role, names in reader.skipped.items()}
    if not reader.faulty:
        files.write_bytes(record, json.dumps(facts).encode())
    return facts


def _counted(reader: _Reader, runs: Runs) -> tuple[np.ndarray, np.ndarray]:
    """Return the queries and their pairs, each pair once; refuses pairs with two scores, and ranks
    that two documents share."""
    queries, pairs, in_runs = runs.counts()
    ranks = reader.request.kind == RANK
    for shard in split_by_work(pairs, _MERGED):
        rows = slice(shard.start, shard.stop)
        if not shard.stop or not (ranks or (in_runs[rows] > 1).any()):
            continue
        try:
            merged = runs.between(int(queries[rows][0]), int(queries[rows][-1]))
        except Clash as clash:
            raise reader.explained(clash) from clash
        of_pairs = queries_of(merged.keys)
        pairs[rows] = np.diff(np.append(np.searchsorted(of_pairs, queries[rows]), len(of_pairs)))
        if ranks:
            reader.refuse_shared(merged)
    return queries, pairs


class _Reader:
    """Reads files in ordinals, and keeps what is wrong with them until all are read."""

    def __init__(self, request: Request):
        self.request = request
        self.tables: dict[str, TextTable] = {
            "query": Queries(request.queries),
            "doc": Corpus(request.corpus),
        }
        ours = read_id_map(request.sources[0].parent / ID_MAP)
        self._indexes: dict[str, IdIndex | NumberedIds] = {}
        for role, table in self.tables.items():
            index = IdIndex(part[table.id_column] for _, part in table.parts())
            names = ours.get({"query": "query", "doc": "document"}[role])
            self._indexes[role] = index if names is None else NumberedIds(index, names)
        self._unknown: dict[str, dict[str, None]] = {role: {} for role in _ROLES}
        self._first_unknown: dict[str, str] = {}  # role → where the first of them stands
        self.skipped: dict[str, dict[str, None]] = {}
        self._outside: tuple[float, str] | None = None
        self._outside_count = 0

    @property
    def faulty(self) -> bool:
        """Whether something was found that is refused in the end."""
        return bool(self._outside or (self._lost and self.request.unknown == "error"))

    @property
    def _lost(self) -> bool:
        return any(self._unknown.values())

    def ordinals(self, source: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, int]]:
        """Yield (queries, documents, scores float32, rows left out) of the blocks of a file."""
        self.skipped = {role: {} for role in _ROLES}
        unread = unread_batches(source, self.request.form, self.request.kind)
        for batch, rows, doc, score in chain.from_iterable(in_turn(self._looked_up, unread)):
            self._check_range(score, batch, source)
            self._keep_unknown("query", batch.query, rows, batch.line, source)
            self._keep_unknown("doc", batch.doc, doc, batch.lines(), source)
            query = rows if batch.lengths is None else np.repeat(rows, batch.lengths)
            known = (query >= 0) & (doc >= 0)
            if known.all():
                yield query, doc, score, 0
            else:
                yield query[known], doc[known], score[known], int((~known).sum())

    def _looked_up(
        self, read: Callable[[], Iterator[Batch]]
    ) -> list[tuple[Batch, np.ndarray, np.ndarray, np.ndarray]]:
        """Return batches with the ordinals of their queries, one a row, and of their documents,
        −1 for unknown ones, and with what is stored as scores. Several threads do this at once."""
        index = self._indexes
        return [
            (b, index["query"].rows(b.query), index["doc"].rows(b.doc), self._scores(b.score))
            for b in read()
        ]

    def _scores(self, values: np.ndarray) -> np.ndarray:
        """Return what is stored of numbers as they stand in the file: ranks as minus the rank."""
        sign = -1 if self.request.kind == RANK else self.request.sign
        return (sign * values).astype(np.float32)

    def _keep_unknown(
        self, role: str, ids: pa.Array, rows: np.ndarray, lines: np.ndarray, source: Path
    ) -> None:
        refused = self.request.unknown == "error"
        names = (self._unknown if refused else self.skipped)[role]
        told = refused or len(names) < SHOWN
        lost = np.flatnonzero(rows < 0) if told else np.empty(0, np.int64)
        if len(lost):
            at = f"{source}, {UNITS[self.request.form]} {lines[lost[0]]}"
            self._first_unknown.setdefault(role, at)
            names |= dict.fromkeys(pc.unique(ids.take(pa.array(lost))).to_pylist())
        if len(names) > _MOST_UNKNOWN:
            self.refuse()

    def _check_range(self, scores: np.ndarray, batch: Batch, source: Path) -> None:
        limits = RANGES[self.request.kind]
        wrong = outside(scores, limits)
        if not len(wrong):
            return
        if self._outside is None:
            at = f"{source}, {UNITS[self.request.form]} {batch.lines()[wrong[0]]}"
            self._outside = float(scores[wrong[0]]), at
        self._outside_count += len(wrong)

    def refuse(self) -> None:
        """Raise BadInput for what was found: scores outside their range, then unknown ids."""
        kind = self.request.kind
        if self._outside is not None:
            raise BadInput(
                f"the score {self._outside[0]:g} is no {kind}, whose range is "
                f"{range_text(RANGES[kind])} ({self._outside_count:,} such scores)",
                where=self._outside[1],
                do="declare the kind that these scores are; logit and similarity have no bounds",
            )
        for role, names in self._unknown.items():
            if names:
                raise BadInput(
                    f"the file names {len(names):,} unknown {self.tables[role].plural}: "
                    f"{first_ten(list(names)[:11])}",
                    where=self._first_unknown[role]
                    + (", the first of them" if len(names) > 1 else ""),
                    do="is this the right collection? to leave such pairs out say unknown=skip; "
                    + compared(list(names)[:11]),
                )

    @property
    def place(self) -> Path:
        """The file, or the folder of several."""
        sources = self.request.sources
        return sources[0] if len(sources) == 1 else sources[0].parent

    def explained(self, clash: Clash) -> BadInput:
        """Return the error for a pair with two scores, with the two lines: the files are read once
        more for them."""
        first, second = self._lines([clash.key], clash.scores)
        return BadInput(
            f"{clash.pairs:,} pairs stand there with two scores, the first with "
            f"{clash.scores[0]:g} and {clash.scores[1]:g}: {self._named(clash.key)}",
            where=f"{first} and {second}",
            do="keep one score for each pair of query and document",
        )

    def refuse_shared(self, pairs: Pairs) -> None:
        """Raise BadInput when two documents of a query have one rank."""
        shared = shared_ranks(queries_of(pairs.keys), pairs.scores)
        if shared is None:
            return
        keys = [int(pairs.keys[at]) for at in shared[:2]]
        first, second = self._lines(keys, ())
        zero = 1 if pairs.scores.max() == 0 else 0
        raise BadInput(
            f"two documents of one query have rank {zero - pairs.scores[shared[0]]:g} "
            f"({shared[2]:,} such ranks): {', '.join(map(self._named, keys))}",
            where=f"{first} and {second}",
            do="a rank belongs to one document; if these are scores, say which --kind",
        )

    def _named(self, key: int) -> str:
        keys = np.array([key], np.uint64)
        query = self.tables["query"].ids(queries_of(keys))[0]
        return f"query {query!r}, document {self.tables['doc'].ids(docs_of(keys))[0]!r}"

    def _lines(self, keys: list[int], scores: tuple[float, ...]) -> tuple[str, str]:
        """Return the places where the pairs stand first, or a pair with each of two scores."""
        unit = UNITS[self.request.form]
        places: dict[float, tuple[Path, int]] = {}
        for source in self.request.sources:
            for batch in read_batches(source, self.request.form, self.request.kind):
                query = self._indexes["query"].rows(batch.query)
                if batch.lengths is not None:
                    query = np.repeat(query, batch.lengths)
                doc = self._indexes["doc"].rows(batch.doc)
                known = np.flatnonzero((query >= 0) & (doc >= 0))
                hits = known[np.isin(pair_keys(query[known], doc[known]), keys)]
                lines, values = batch.lines(), self._scores(batch.score)
                for at in hits.tolist():
                    what = float(values[at]) if scores else float(doc[at])
                    places.setdefault(what, (source, int(lines[at])))
                if len(places) > 1:
                    (first, one), (second, two) = sorted(places.values(), key=_by_place)[:2]
                    if first == second:
                        return f"{first}, {unit}s {one}", str(two)
                    return f"{first}, {unit} {one}", f"{second}, {unit} {two}"
        return str(self.place), "the same"


def _by_place(place: tuple[Path, int]) -> tuple[str, int]:
    return str(place[0]), place[1]
