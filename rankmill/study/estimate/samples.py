"""Sampled collections: some queries of every split over the whole corpus, or over a slice of it.

A corpus of at most `documents` is taken whole: what is made of it alone (an index, vectors) is then
what a later run makes, and is measured as it is. Of a larger one slices of several sizes are drawn,
so that a slope per document can be fitted. A slice seldom holds the documents that its queries'
judgements name; others of the slice, drawn at random, stand in their place. Such judgements mean
nothing, but there are as many of them, and that is what costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rankmill.mining.collection import EVERY_QUERY, Collection, Tables, collect, ingest
from rankmill.mining.collection.base import Judged, Texts, open_reader, reader_kind
from rankmill.mining.collection.policies import Policies
from rankmill.mining.collection.tabular import TabularReader
from rankmill.mining.draws import generator
from rankmill.mining.meter import measuring
from rankmill.mining.store import Output, Shard, Stage
from rankmill.mining.store.tables import QRELS
from rankmill.study.estimate.scratch import CORPUS, QUERIES, Scratch

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact

LARGE_SOURCE = 256 << 20  # bytes of a file of documents beyond which only its beginning is read
_LOOKED_AT = 8 << 20  # bytes of it whose lines are counted


@dataclass(frozen=True, slots=True)
class Rows:
    """Queries or documents: ids and texts."""

    ids: list[str]
    texts: list[str]


@dataclass(frozen=True)
class Source:
    """One collection of a recipe: its true sizes, how they are known, and what is sampled.

    `documents`, `queries` (by split, and `*` for all): of the whole. `held`: the collection, None
    where the source is too large to be collected for an estimate; then `corpus` is its beginning,
    which took `read_s` seconds of wall clock and `read_cpu_s` of processor to read.
    """

    documents: int
    queries: Mapping[str, int]
    known: str
    held: Collection | None = None
    corpus: Rows | None = None
    asked: Rows | None = None
    judged: Mapping[str, Judged] = field(default_factory=dict)
    read_s: float = 0.0
    read_cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A sampled collection, with its sizes: documents, and queries by split."""

    collection: Collection
    documents: int
    queries: Mapping[str, int]
    whole_corpus: bool


def source_of(held: Collection, known: str) -> Source:
    """Describe a collection that is there, or was collected for the estimate."""
    counts = {split: len(held.split_queries(split)) for split in held.splits}
    queries = len(held.queries) if "queries" in held.artifact.inputs else 0
    return Source(len(held.corpus), counts | {EVERY_QUERY: queries}, known, held)


# ---- sources that are too large to be collected for an estimate ----------------------------------


def files_of(spec: str) -> list[Path]:
    """Return the files of documents that a source reads; none where it reads no files."""
    if reader_kind(spec) not in ("beir", "tsv", "jsonl", "parquet"):
        return []
    reader = open_reader(spec)
    assert isinstance(reader, TabularReader)
    return list(reader.files["corpus"])


def beginning_of(spec: str, documents: int, on: Policies | None = None) -> Source:
    """Read the first documents of files, and all their queries and judgements."""
    reader = open_reader(spec, on)
    assert isinstance(reader, TabularReader)
    with measuring() as cost:
        corpus = _first(reader.documents(), documents)
    asked = _first(reader.queries(), None)
    judged = {split: reader.judgements(split) for split in reader.qrels}
    count, known = _counted(reader)
    return Source(
        documents=max(count, len(corpus.ids)),
        queries={split: len(one.query_ids.unique()) for split, one in judged.items()}
        | {EVERY_QUERY: len(asked.ids)},
        known=known,
        corpus=corpus,
        asked=asked,
        judged=judged,
        read_s=cost.wall_s,
        read_cpu_s=cost.cpu_s,
    )


def _first(blocks: Iterator[Texts], most: int | None) -> Rows:
    """Return the first rows of some blocks, as a collection would join titles and texts."""
    ids: list[str] = []
    texts: list[str] = []
    for block in blocks:
        rows = block if most is None else block.slice(0, most - len(ids))
        ids += rows.ids.to_pylist()
        texts += ingest.joined("title text", rows).to_pylist()
        if most is not None and len(ids) >= most:
            break
    return Rows(ids, texts)


def _counted(reader: TabularReader) -> tuple[int, str]:
    """Return how many documents files hold, and how that is known."""
    paths = reader.files["corpus"]
    if all(path.suffix in (".jsonl", ".tsv") for path in paths):
        size = sum(path.stat().st_size for path in paths)
        with open(paths[0], "rb") as stream:
            looked_at = stream.read(_LOOKED_AT)
        lines = max(1, looked_at.count(b"\n"))
        return round(size / len(looked_at) * lines), f"estimated from {size / 1e6:,.0f} MB of file"
    return sum(len(one) for one in reader.outline("corpus")), "counted in the source"


# ---- drawing -------------------------------------------------------------------------------------


def draw(
    scratch: Scratch, source: Source, number: int, queries: Mapping[str, int], documents: int | None
) -> Sample:
    """Return sample `number` of a collection: so many queries of each split; of a corpus so many
    documents, the whole for None.

    What the sample is made of is marked in the scratch workspace.
    """
    if documents is None:
        assert source.held is not None
        return _over_the_corpus(scratch, source.held, number, queries)
    rows = _rows_of(source, number, documents)
    asked, judged = _asked(source, number, queries, rows.ids)
    tables = Tables(
        documents=pa.table({"doc_id": rows.ids, "text": rows.texts}),
        queries=pa.table({"query_id": asked.ids, "text": asked.texts}),
        qrels=judged,
    )
    made = collect(scratch, tables, title="text", on=["no_positives=keep"])
    for role in made.artifact.inputs:
        scratch.mark(made.artifact.input(role), CORPUS if role == "corpus" else QUERIES)
    scratch.mark(made.artifact, QUERIES)
    counts = {split: len(made.split_queries(split)) for split in made.splits}
    return Sample(made, len(rows.ids), counts | {EVERY_QUERY: len(asked.ids)}, False)


def _drawn(number: int, what: str, count: int, of: int) -> np.ndarray:
    """Return `count` different ordinals below `of`, ascending; all where there are no more."""
    if count >= of:
        return np.arange(of)
    chosen = generator(number, "estimate", what).choice(of, count, replace=False)
    return np.sort(chosen)


def _over_the_corpus(
    scratch: Scratch, held: Collection, number: int, queries: Mapping[str, int]
) -> Sample:
    """Judge only some queries of a collection that is otherwise itself."""
    inputs = {"corpus": held.corpus.artifact, "queries": held.queries.artifact}
    counts, qrels = {}, {}
    for split, count in queries.items():
        judged = held.qrels(split)
        chosen = judged.queries[_drawn(number, split, count, len(judged.queries))]
        kept = np.isin(judged.query, chosen)
        columns = [judged.query[kept], judged.doc[kept], judged.grade[kept]]
        table = pa.table([pa.array(c, t) for c, t in zip(columns, QRELS.types, strict=True)], QRELS)
        qrels[split] = scratch.build(_judging(split, table, chosen, inputs, judged.artifact))
        scratch.mark(qrels[split], QUERIES)
        counts[split] = len(chosen)
    whole = held.artifact
    stage = Stage(
        kind="collection",
        parameters=whole.parameters,
        inputs={**inputs, **{f"qrels[{split}]": one for split, one in qrels.items()}},
        schema=ingest.SPLITS,
        shards=lambda: [Shard(0, 0, len(qrels))],
        worker=ingest.SplitsWriter,
        options={"qrels": {split: str(one.path) for split, one in qrels.items()}},
        metadata=whole.metadata,
    )
    made = scratch.build(stage)
    scratch.mark(made, QUERIES)
    return Sample(Collection(made), len(held.corpus), counts, True)


def _judging(
    split: str,
    table: pa.Table,
    chosen: np.ndarray,
    inputs: Mapping[str, Artifact],
    whole: Artifact,
) -> Stage:
    return Stage(
        kind="qrels",
        parameters={"sample of": whole.fingerprint, "queries": chosen.tolist()},
        inputs=inputs,
        schema=QRELS,
        shards=lambda: [Shard(0, 0, 1)],
        worker=_Given,
        options={"table": table},
        metadata=whole.metadata,
    )


class _Given:
    """Writes a table that is there already."""

    def __init__(self, table: pa.Table):
        self.table = table

    def __call__(self, shard: Shard) -> Output:
        return Output(self.table)


def _rows_of(source: Source, number: int, documents: int) -> Rows:
    """Draw documents of a collection, or take the first ones of a source's beginning."""
    if source.corpus is not None:
        return Rows(source.corpus.ids[:documents], source.corpus.texts[:documents])
    assert source.held is not None
    corpus = source.held.corpus
    chosen = _drawn(number, "documents", documents, len(corpus))
    return Rows(corpus.doc_ids(chosen), corpus.texts(chosen))


def _asked(
    source: Source, number: int, queries: Mapping[str, int], docs: list[str]
) -> tuple[Rows, dict[str, pa.Table]]:
    """Draw queries of every split, and judge documents of the slice for them."""
    texts: dict[str, str] = {}
    tables: dict[str, pa.Table] = {}
    for split, count in queries.items():
        query_ids, grades = _judgements(source, split)
        known = sorted(set(query_ids))
        chosen = {known[i] for i in _drawn(number, split, count, len(known))}
        kept = [(q, g) for q, g in zip(query_ids, grades, strict=True) if q in chosen]
        places = generator(number, "estimate judged", split).integers(0, len(docs), len(kept))
        pairs = {(q, docs[int(at)]): g for (q, g), at in zip(kept, places, strict=True)}
        tables[split] = pa.table(
            {
                "query_id": [q for q, _ in pairs],
                "doc_id": [d for _, d in pairs],
                "grade": pa.array(pairs.values(), pa.int32()),
            }
        )
        texts |= _query_texts(source, sorted(chosen))
    return Rows(list(texts), list(texts.values())), tables


def _judgements(source: Source, split: str) -> tuple[list[str], list[int]]:
    if source.held is None:
        judged = source.judged[split]
        return judged.query_ids.to_pylist(), judged.grades.tolist()
    qrels = source.held.qrels(split)
    return source.held.queries.query_ids(qrels.query), qrels.grade.tolist()


def _query_texts(source: Source, ids: list[str]) -> dict[str, str]:
    if source.held is None:
        assert source.asked is not None
        texts = dict(zip(source.asked.ids, source.asked.texts, strict=True))
        return {one: texts[one] for one in ids if one in texts}
    queries = source.held.queries
    return dict(zip(ids, queries.texts(queries.ordinals(ids)), strict=True))
