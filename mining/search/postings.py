"""The inverted index: for every term of a block of documents, where it stands and how often.

An artifact of kind "postings" has one part per block of at most 65,536 documents, made from the
corpus block by block, and one row per distinct term of the block, sorted by bytes. It knows nothing
of scoring: k1, b and idf belong to the search, so every BM25 of a corpus shares one index.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...native.postings import BLOCK, count_documents, invert
from ..actors import INLINE, Execution
from ..collection.ingest import KEPT_APART
from ..collection.rows import Corpus
from ..errors import UsageError
from ..store import Artifact, Output, Shard, Stage, Workspace, open_artifact
from ..store.tables import POSTINGS, flat_lists
from ..text.analysis import analyse
from ..text.languages import ENGLISH, language_of
from .index_size import BLOCK_BYTES, blocks_abreast, check_fit

_PAIR = POSTINGS.field("postings").type.value_type
_LAYOUT = 2  # of the table; part of the fingerprint


def postings_of(
    workspace: Workspace,
    corpus: Corpus,
    executor: Execution = INLINE,
    *,
    title: int | None = None,
    language: str = ENGLISH,
) -> Artifact:
    """Index a corpus, or find its index; a word of the title counts `title` times, by default once.
    `language`: how texts become terms, one of `text.languages.LANGUAGES`.

    Raises UsageError where titles are not kept apart, and BadInput before anything is written when
    memory or disk cannot hold what the build needs.
    """
    if title is not None and corpus.artifact.metadata["title"] != KEPT_APART:
        raise UsageError(
            f"title={title} needs titles that are kept apart, this corpus has them as"
            f" {corpus.artifact.metadata['title']!r}",
            where=corpus.artifact.path,
            do=f"collect it with --title {KEPT_APART!r}",
        )
    spoken = language_of(language)
    abreast, analyser = blocks_abreast(corpus, spoken.pairs), spoken.analyser
    stage = Stage(
        kind="postings",
        parameters={"analyser": analyser, "layout": _LAYOUT, "title": title},
        inputs={"corpus": corpus.artifact},
        schema=POSTINGS,
        shards=lambda: _blocks(corpus),
        worker=Indexer,
        options={"corpus": str(corpus.artifact.path), "title": title, "language": language},
        metadata={"analyser": analyser},
        unit="bytes",
        items="documents",
        check=lambda: check_fit(workspace.root, corpus, executor, abreast, spoken.pairs),
        abreast=abreast,
    )
    return workspace.build(stage, executor)


def _blocks(corpus: Corpus) -> list[Shard]:
    """Cut the corpus into blocks within its parts: a function of the texts' lengths alone."""
    shards: list[Shard] = []
    for first, table in corpus.parts():
        ends = np.cumsum(pc.binary_length(table["text"]).to_numpy(), dtype=np.int64)
        start = 0
        while start < len(ends):
            done = int(ends[start - 1]) if start else 0
            fits = int(np.searchsorted(ends, done + BLOCK_BYTES, side="right"))
            stop = min(max(fits, start + 1), start + BLOCK, len(ends))
            work = int(ends[stop - 1]) - done
            shards.append(Shard(len(shards), first + start, first + stop, work))
            start = stop
    return shards or [Shard(0, 0, 0, 0)]


class Indexer:
    """Inverts blocks of documents."""

    def __init__(self, corpus: str, title: int | None = None, language: str = ENGLISH):
        self.corpus, self.title, self.language = open_artifact(corpus), title, language

    def __call__(self, shard: Shard) -> Output:
        """Return the postings of documents start…stop−1."""
        texts = pa.array([], pa.large_string())
        for part in self.corpus.parts:
            if part.start <= shard.start < part.start + part.rows:
                table = self.corpus.table(part.number)
                table = table.slice(shard.start - part.start, shard.stop - shard.start)
                texts = table["text"] if self.title is None else _weighed(table, self.title)
        inverted, filled, words = invert_texts(texts, self.language)
        counts = {"documents": len(texts), "filled": filled, "words": words}
        return Output(inverted, counts=counts, usage={"bytes_of_text": shard.work})


def _weighed(documents: pa.Table, title: int) -> pa.Array:
    """Return texts in which the words of the title stand `title` times."""
    texts = []
    for text, size in zip(
        documents["text"].to_pylist(), documents["title_bytes"].to_pylist(), strict=True
    ):
        whole = text.encode()
        texts.append(b" ".join([*([whole[:size]] * title), whole[size:]]))
    return pa.array(texts, pa.large_binary()).cast(pa.large_string())


def invert_texts(
    texts: pa.Array | pa.ChunkedArray, language: str = ENGLISH
) -> tuple[pa.Table, int, int]:
    """Return (postings, documents with at least one term, words that became terms) of at most
    65,536 texts."""
    analysed = analyse(texts, language)
    starts, doc, tf = invert(analysed.words, analysed.bounds, analysed.term_of, len(analysed.terms))
    pairs = pa.StructArray.from_arrays([pa.array(doc), pa.array(tf)], fields=list(_PAIR))
    lists = pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), pairs)
    table = pa.Table.from_arrays([analysed.terms, lists], schema=POSTINGS)
    return table, int(np.count_nonzero(np.bincount(doc))), int(tf.sum(dtype=np.int64))


@dataclass(frozen=True)
class Block:
    """The postings of documents start … start + docs − 1, memory-mapped.

    `starts` int64 [terms + 1] into `doc` uint16 and `tf` uint8.
    """

    start: int
    docs: int
    table: pa.Table

    def frequency(self, rows: np.ndarray) -> np.ndarray:
        """Return in how many documents the terms of these rows stand, 0 for row −1: int64."""
        out = np.zeros(len(rows), dtype=np.int64)
        count_documents(rows, *self._lists, out)
        return out

    @cached_property
    def _lists(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        starts, pairs = flat_lists(self.table["postings"])
        return starts, pairs.field("doc").to_numpy(), pairs.field("tf").to_numpy()

    @property
    def starts(self) -> np.ndarray:
        """Where each term's postings start."""
        return self._lists[0]

    @property
    def doc(self) -> np.ndarray:
        """The document of each posting, counted from the block's first."""
        return self._lists[1]

    @property
    def tf(self) -> np.ndarray:
        """The occurrences of each posting."""
        return self._lists[2]

    @cached_property
    def lengths(self) -> np.ndarray:
        """The number of terms in each document, stop words not counted: float64 [docs]."""
        return np.bincount(self.doc, weights=self.tf, minlength=self.docs)

    def find(self, terms: pa.Array) -> np.ndarray:
        """Return the row of each of these distinct terms, −1 where the block lacks it: int64."""
        column = self.table["term"]
        rows = np.full(len(terms), -1, dtype=np.int64)
        place = pc.index_in(column, value_set=terms)
        hits = pc.indices_nonzero(pc.is_valid(place)).to_numpy()
        rows[place.drop_null().to_numpy()] = hits
        return rows


class Postings:
    """A whole index: its blocks in order of documents, and the averages that BM25 needs."""

    def __init__(self, artifact: Artifact):
        counts = artifact.counts
        self.artifact = artifact
        self.filled = counts.get("filled", 0)
        self.average_length = counts.get("words", 0) / max(self.filled, 1)
        self.blocks: list[Block] = []
        start = 0
        for part in artifact.parts:
            docs = part.counts["documents"]
            self.blocks.append(Block(start, docs, artifact.table(part.number)))
            start += docs
        self.documents = start

    @cached_property
    def lengths(self) -> np.ndarray:
        """The number of terms in each document: uint32 [documents]."""
        return np.concatenate([b.lengths for b in self.blocks]).astype(np.uint32)
