"""The stages that write a collection: corpus and queries streamed in order, then the qrels."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..ahead import Ahead
from ..errors import RankmillError, UsageError
from ..meter.underway import so_far
from ..names import nearest, unless_neutral
from ..pair_keys import pair_keys
from ..store import Artifact, Output, Shard, Stage, open_artifact
from ..store.tables import CORPUS, QRELS, QUERIES, TITLED_CORPUS
from .base import Reader, Texts, reader_kind
from .policies import Oddities, Policies
from .rows import EXCLUDED, Corpus, Queries, blank
from .survey import Rows, Survey

SPLITS = pa.schema(
    [
        ("split", pa.string()),
        ("queries", pa.uint32()),
        ("judgements", pa.uint64()),
        ("positives", pa.uint64()),
    ]
)
"""The table of a collection artifact: one row per judged split."""

KEPT_APART = "title+text"
_AHEAD = 24  # blocks that are read while a part is written: some 200 MB


TITLES = ("title text", KEPT_APART, "text", "title")
"""Title policies: what a document's text is made of. `title text` joins with one space;
`title+text` does the same and keeps the title's length, so that BM25 can weigh it."""


def joined(policy: str, rows: Texts) -> pa.LargeStringArray:
    """Return the text of each row by a title policy."""
    titles, texts = rows.titles, rows.texts
    if titles is None or policy == "text":
        return texts
    if policy == "title":
        return titles
    if not pc.any(pc.greater(pc.binary_length(titles), 0)).as_py():
        return texts  # what most collections have costs no copy
    both = pc.binary_join_element_wise(titles, texts, pa.scalar(" ", pa.large_string()))
    no_title, no_text = (pc.equal(pc.binary_length(part), 0) for part in (titles, texts))
    return pc.if_else(no_title, texts, pc.if_else(no_text, titles, both))


def corpus_schema(title: str) -> pa.Schema:
    """Return the schema of a corpus with this title policy."""
    return TITLED_CORPUS if title == KEPT_APART else CORPUS


def check_title_policy(name: str) -> None:
    """Refuse an unknown title policy; raises UsageError with the known ones."""
    if name not in TITLES:
        raise UsageError(f"unknown title policy {name!r}", do=nearest(name, TITLES))


@dataclass(frozen=True, slots=True)
class Request:
    """What one collection is made of: the reader, its content facts, and how it is to be read."""

    spec: str
    title: str
    facts: dict[str, Any]
    reader: Reader
    fields: tuple[str, ...] = ()
    excluded_grade: int = EXCLUDED

    @property
    def on(self) -> Policies:
        """What is done with odd rows."""
        return self.reader.on

    @property
    def excluding(self) -> dict[str, int]:
        """The grade of excluded documents, where it is declared."""
        return unless_neutral(excluded_grade=(self.excluded_grade, EXCLUDED))

    def parameters(self, content: Any, **more: Any) -> dict[str, Any]:
        """Return the parameters that identify one artifact: content, never a path."""
        return {"reader": reader_kind(self.spec), "content": content, **more}


def corpus_stage(request: Request, surveyed: Callable[[], Survey]) -> Stage:
    """Return the stage that writes the documents."""
    return Stage(
        kind="corpus",
        parameters=request.parameters(request.facts["corpus"], title=request.title)
        | request.on.identity("duplicate_row", "conflicting_row", "empty_document", "quoted_field")
        | unless_neutral(fields=(request.fields, ())),
        inputs={},
        schema=corpus_schema(request.title),
        shards=lambda: surveyed().texts["corpus"].plan,
        worker=TextWriter,
        options={
            "reader": request.reader,
            "rows": lambda: surveyed().texts["corpus"],
            "role": "corpus",
            "title": request.title,
        },
        metadata={"title": request.title},
        unit="documents",
        check=surveyed,
    )


def queries_stage(request: Request, surveyed: Callable[[], Survey]) -> Stage:
    """Return the stage that writes the queries."""
    return Stage(
        kind="queries",
        parameters=request.parameters(request.facts["queries"])
        | request.on.identity("duplicate_row", "conflicting_row", "empty_query", "quoted_field"),
        inputs={},
        schema=QUERIES,
        shards=lambda: surveyed().texts["queries"].plan,
        worker=TextWriter,
        options={
            "reader": request.reader,
            "rows": lambda: surveyed().texts["queries"],
            "role": "queries",
        },
        unit="queries",
        check=surveyed,
    )


def qrels_stage(
    request: Request,
    split: str,
    corpus: Artifact,
    queries: Artifact,
    surveyed: Callable[[], Survey],
) -> Stage:
    """Return the stage that writes the judgements of one split."""
    return Stage(
        kind="qrels",
        parameters=request.parameters(request.facts["qrels"][split], split=split)
        | request.on.identity("dangling_qrel", "duplicate_qrel", "conflicting_qrel", "no_positives")
        | request.excluding,
        inputs={"corpus": corpus, "queries": queries},
        schema=QRELS,
        shards=lambda: [Shard(0, 0, 1)],
        worker=QrelsWriter,
        options={
            "surveyed": surveyed,
            "split": split,
            "corpus": str(corpus.path),
            "queries": str(queries.path),
        },
        metadata={"split": split} | {k: str(v) for k, v in request.excluding.items()},
        unit="splits",
        check=surveyed,
    )


def collection_stage(
    corpus: Artifact,
    queries: Artifact | None,
    qrels: Mapping[str, Artifact],
    parameters: Mapping[str, Any],
    metadata: Mapping[str, str],
) -> Stage:
    """Return the stage that ties the artifacts of a collection together; `qrels` by split."""
    inputs = {"corpus": corpus}
    if queries is not None:
        inputs["queries"] = queries
    return Stage(
        kind="collection",
        parameters=parameters,
        inputs={**inputs, **{f"qrels[{split}]": a for split, a in qrels.items()}},
        schema=SPLITS,
        shards=lambda: [Shard(0, 0, len(qrels))],
        worker=SplitsWriter,
        options={"qrels": {split: str(a.path) for split, a in qrels.items()}},
        metadata=metadata,
        unit="splits",
    )


def told_of(request: Request) -> dict[str, str]:
    """Return what the collection's manifest tells of a request."""
    excluding = {k: str(v) for k, v in request.excluding.items()}
    return {"reader": reader_kind(request.spec), "title": request.title, **excluding}


class TextWriter:
    """Writes rows of the corpus or the queries; shards in order read the source once.

    The source is read on while a part is written.
    """

    def __init__(self, reader: Reader, rows: Callable[[], Rows], role: str, title: str = "text"):
        self.reader, self.role, self.title = reader, role, title
        self.rows = rows()
        self._blocks: Iterator[Texts] = iter(())
        self._left: Texts | None = None
        self._at: int | None = None

    def __call__(self, shard: Shard) -> Output:
        """Return the kept rows `start…stop−1` of the source, in file order."""
        if self._at is None or self._at > shard.start:
            self._blocks, self._left, self._at = iter(Ahead(self._kept, _AHEAD, "texts")), None, 0
        for _ in self._take(shard.start - self._at):
            pass
        schema = corpus_schema(self.title) if self.role == "corpus" else QUERIES
        parts = self._take(shard.stop - shard.start)
        batches = [self._columns(rows, schema) for rows in parts]
        table = pa.Table.from_batches(batches, schema=schema)
        if table.num_rows != shard.stop - shard.start:
            raise RankmillError(
                f"the source has {shard.start + table.num_rows} rows, {shard.stop} were counted",
                where=self.reader.place(self.role),
                do="it changed while it was read: run the command again",
            )
        self._at = shard.stop
        counts = {"empty": int(pc.sum(blank(table["text"])).as_py() or 0)}
        odd = self.rows.odd if shard.number == 0 else Oddities()
        if shard.number == 0:
            counts |= self.reader.counts() | odd.counts
        return Output(table, counts=counts, examples=odd.first)

    def _columns(self, rows: Texts, schema: pa.Schema) -> pa.RecordBatch:
        texts = joined(self.title, rows)
        columns = [rows.ids, texts if self.role == "corpus" else texts.cast(pa.string())]
        if len(schema) == 3:
            columns.append(pc.binary_length(rows.titles).cast(pa.uint32()))
        return pa.record_batch(columns, schema=schema)

    def _kept(self) -> Generator[Texts, None, None]:
        """Yield the rows of the source that are kept, in blocks."""
        keep, before = self.rows.keep, 0
        stream = self.reader.queries() if self.role == "queries" else self.reader.documents()
        for block in stream:
            yield block if keep is None else block.filter(keep[before : before + len(block)])
            before += len(block)

    def _take(self, wanted: int) -> Iterator[Texts]:
        """Yield the next `wanted` rows in pieces of blocks."""
        whole = wanted
        while wanted:
            block = self._left if self._left is not None else next(self._blocks, None)
            if block is None:
                return
            piece = block.slice(0, wanted)
            self._left = block.slice(len(piece), len(block) - len(piece))
            if not len(self._left):
                self._left = None
            wanted -= len(piece)
            so_far(whole - wanted, whole)
            yield piece


class QrelsWriter:
    """Writes the judgements of one split by ordinals, sorted by (query, doc), each pair once."""

    def __init__(self, surveyed: Callable[[], Survey], split: str, corpus: str, queries: str):
        survey = surveyed()
        self.judged, self.odd = survey.judged[split], survey.odd[split]
        self.corpus = Corpus(open_artifact(corpus))
        self.queries = Queries(open_artifact(queries))

    def __call__(self, shard: Shard) -> Output:
        """Return the whole split."""
        query = self.queries.ordinals_of(self.judged.query_ids)
        doc = self.corpus.ordinals_of(self.judged.doc_ids)
        order = np.argsort(pair_keys(query, doc), kind="stable")
        grade = self.judged.grades[order].astype(np.int16)
        table = pa.table([query[order], doc[order], grade], schema=QRELS)
        return Output(table, counts=self.odd.counts, examples=self.odd.first)


class SplitsWriter:
    """Writes the short table of a collection: what each split holds."""

    def __init__(self, qrels: dict[str, str]):
        self.qrels = qrels

    def __call__(self, shard: Shard) -> Output:
        """Return one row per split, in the order of names."""
        rows = []
        for split in sorted(self.qrels):
            table = pa.concat_tables(open_artifact(self.qrels[split]).tables())
            positives = int(pc.sum(pc.greater_equal(table["grade"], 1)).as_py() or 0)
            queries = len(pc.unique(table["query"]))
            rows.append((split, queries, table.num_rows, positives))
        names, *numbers = zip(*rows, strict=True) if rows else ((), (), (), ())
        columns = [pa.array(names, pa.string())]
        columns += [pa.array(n, t) for n, t in zip(numbers, SPLITS.types[1:], strict=True)]
        return Output(pa.Table.from_arrays(columns, schema=SPLITS))
