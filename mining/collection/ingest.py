"""The stages that write a collection: corpus and queries streamed in order, then the qrels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import RankmillError, UsageError
from ..names import nearest
from ..pair_keys import pair_keys
from ..store import Artifact, Output, Shard, Stage, open_artifact
from ..store.tables import CORPUS, QRELS, QUERIES, TITLED_CORPUS
from .base import open_reader, reader_kind
from .handles import Corpus, Queries, blank
from .survey import Survey, blocks

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


def _joined(title: str, text: str) -> str:
    return f"{title} {text}" if title and text else title or text


TITLES: dict[str, Callable[[str, str], str]] = {
    "title text": _joined,
    KEPT_APART: _joined,
    "text": lambda title, text: text,
    "title": lambda title, text: title,
}
"""Title policies: what a document's text is made of. `title text` joins with one space;
`title+text` does the same and keeps the title's length, so that BM25 can weigh it."""


def corpus_schema(title: str) -> pa.Schema:
    """Return the schema of a corpus with this title policy."""
    return TITLED_CORPUS if title == KEPT_APART else CORPUS


def title_policy(name: str) -> Callable[[str, str], str]:
    """Return the function of a title policy; raises UsageError with the known ones."""
    if name not in TITLES:
        raise UsageError(f"unknown title policy {name!r}", do=nearest(name, list(TITLES)))
    return TITLES[name]


@dataclass(frozen=True, slots=True)
class Request:
    """What one collection is made of: the reader's text, its content facts, the title policy."""

    spec: str
    title: str
    facts: dict[str, Any]

    def parameters(self, content: Any, **more: Any) -> dict[str, Any]:
        """Return the parameters that identify one artifact: content, never a path."""
        return {"reader": reader_kind(self.spec), "content": content, **more}


def corpus_stage(request: Request, found: Callable[[], Survey]) -> Stage:
    """Return the stage that writes the documents."""
    return Stage(
        kind="corpus",
        parameters=request.parameters(request.facts["corpus"], title=request.title),
        inputs={},
        schema=corpus_schema(request.title),
        shards=lambda: found().corpus,
        worker=TextWriter,
        options={"spec": request.spec, "role": "corpus", "title": request.title},
        metadata={"title": request.title},
        unit="documents",
        check=found,
    )


def queries_stage(request: Request, found: Callable[[], Survey]) -> Stage:
    """Return the stage that writes the queries."""
    return Stage(
        kind="queries",
        parameters=request.parameters(request.facts["queries"]),
        inputs={},
        schema=QUERIES,
        shards=lambda: found().queries,
        worker=TextWriter,
        options={"spec": request.spec, "role": "queries"},
        check=found,
    )


def qrels_stage(
    request: Request,
    split: str,
    corpus: Artifact,
    queries: Artifact,
    found: Callable[[], Survey],
) -> Stage:
    """Return the stage that writes the judgements of one split."""
    return Stage(
        kind="qrels",
        parameters=request.parameters(request.facts["qrels"][split], split=split),
        inputs={"corpus": corpus, "queries": queries},
        schema=QRELS,
        shards=lambda: [Shard(0, 0, 1)],
        worker=QrelsWriter,
        options={
            "spec": request.spec,
            "split": split,
            "corpus": str(corpus.path),
            "queries": str(queries.path),
        },
        metadata={"split": split},
        unit="splits",
        check=found,
    )


def collection_stage(
    request: Request, corpus: Artifact, queries: Artifact | None, qrels: dict[str, Artifact]
) -> Stage:
    """Return the stage that ties the artifacts of a collection together."""
    inputs = {"corpus": corpus}
    if queries is not None:
        inputs["queries"] = queries
    return Stage(
        kind="collection",
        parameters={},
        inputs={**inputs, **{f"qrels[{split}]": a for split, a in qrels.items()}},
        schema=SPLITS,
        shards=lambda: [Shard(0, 0, len(qrels))],
        worker=SplitsWriter,
        options={"qrels": {split: str(a.path) for split, a in qrels.items()}},
        metadata={"reader": reader_kind(request.spec), "title": request.title},
        unit="splits",
    )


class TextWriter:
    """Writes rows of the corpus or the queries; shards in order read the source once."""

    def __init__(self, spec: str, role: str, title: str = "text"):
        self.reader, self.role = open_reader(spec), role
        self.title, self.join = title, title_policy(title)
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self._at: int | None = None

    def __call__(self, shard: Shard) -> Output:
        """Return rows `start…stop−1` of the source, in file order."""
        if self._at is None or self._at > shard.start:
            self._rows, self._at = self._stream(), 0
        next(islice(self._rows, shard.start - self._at, shard.start - self._at), None)
        schema = corpus_schema(self.title) if self.role == "corpus" else QUERIES
        batches = []
        for block in blocks(islice(self._rows, shard.stop - shard.start)):
            fields = zip(zip(*block, strict=True), schema.types, strict=True)
            columns = [pa.array(values, kind) for values, kind in fields]
            batches.append(pa.record_batch(columns, schema=schema))
        self._at = shard.stop
        table = pa.Table.from_batches(batches, schema=schema)
        if table.num_rows != shard.stop - shard.start:
            raise RankmillError(
                f"the source has {shard.start + table.num_rows} rows, {shard.stop} were counted",
                where=self.reader.place(self.role),
                do="it changed while it was read: run the command again",
            )
        empty = int(pc.sum(blank(table["text"])).as_py() or 0)
        counts = {"empty": empty}
        if shard.number == 0:
            counts |= self.reader.counts()
        return Output(table, counts=counts)

    def _stream(self) -> Iterator[tuple[Any, ...]]:
        if self.role == "queries":
            return self.reader.queries()
        join, documents = self.join, self.reader.documents()
        if self.title == KEPT_APART:
            return (
                (doc_id, join(title, text), len(title.encode()))
                for doc_id, title, text in documents
            )
        return ((doc_id, join(title, text)) for doc_id, title, text in documents)


class QrelsWriter:
    """Writes the judgements of one split by ordinals, sorted by (query, doc), equal lines once."""

    def __init__(self, spec: str, split: str, corpus: str, queries: str):
        self.reader, self.split = open_reader(spec), split
        self.corpus = Corpus(open_artifact(corpus))
        self.queries = Queries(open_artifact(queries))

    def __call__(self, shard: Shard) -> Output:
        """Return the whole split."""
        rows = list(self.reader.judgements(self.split))
        query_ids, doc_ids, grades = zip(*rows, strict=True)
        query, doc = self.queries.ordinals(query_ids), self.corpus.ordinals(doc_ids)
        _, first = np.unique(pair_keys(query, doc), return_index=True)
        grade = np.asarray(grades, dtype=np.int16)
        table = pa.table([query[first], doc[first], grade[first]], schema=QRELS)
        repeated = len(rows) - len(first)
        return Output(table, counts={"repeated": repeated} if repeated else {})


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
