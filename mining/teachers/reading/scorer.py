"""Pairs through a model that reads query and document together, from two token stores."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ...models.encoders import unchanged
from ...models.forward import Forward, Work
from ...models.passes.alone import Alone
from ...models.sequences import Sequences, Template, pair_sequences
from ...models.tokens import TokenStore
from ...store import open_artifact
from ..base import Scored
from .ids import Reading


class PairScorer:
    """A loaded cross-encoder or language model.

    `reading` says how a pair is read, None as the tokenizer joins two texts. With words in it they
    are the answers of a language model, else a classifier's labels are read: one logit, or the
    margin of two. `alone`: the head of a language model that takes its pairs one at a time.
    """

    def __init__(
        self,
        model: str,
        fingerprint: str,
        queries: str,
        corpus: str,
        max_length: int,
        compute: str,
        reading: Reading | None = None,
        alone: str = "",
    ):
        self.model = unchanged(model, fingerprint)
        self.queries = TokenStore(open_artifact(queries))
        self.docs = TokenStore(open_artifact(corpus))
        self.max_length, self.compute, self.reading = max_length, compute, reading
        self.alone = alone
        self._passes: dict[str, Forward | Alone] = {}

    def score(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return one score per pair."""
        return self._run(query, doc, self.compute)

    def score_again(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return the same in float32, for pairs that came out as NaN or infinity."""
        return self._run(query, doc, "float32")

    def truncated(self, query: np.ndarray, doc: np.ndarray) -> int:
        """Count the pairs that do not fit `max_length`."""
        if self.reading is not None:
            return self.reading.truncated(self.queries, self.docs, query, doc)
        room = self.max_length - len(self.template.special)
        total = self.queries.lengths[query] + self.docs.lengths[doc]
        return int((total > room).sum())

    @cached_property
    def template(self) -> Template:
        """What the tokenizer puts round a pair."""
        return Template.of(self.model.known_tokenizer(), pair=True)

    def _pass(self, compute: str) -> Forward | Alone:
        if compute not in self._passes:
            self._passes[compute] = self._loaded(compute)
        return self._passes[compute]

    def _loaded(self, compute: str) -> Forward | Alone:
        words = None if self.reading is None or not len(self.reading.words) else self.reading.words
        if self.alone:
            assert words is not None, "a language model answers in words"
            return Alone(self.model, head=self.alone, compute=compute, words=words)
        return Forward(
            self.model,
            head="logits" if words is None else "words",
            compute=compute,
            max_length=self.max_length,
            words=words,
        )

    def _sequences(self, query: np.ndarray, doc: np.ndarray) -> Sequences:
        q, q_row = np.unique(query, return_inverse=True)
        d, d_row = np.unique(doc, return_inverse=True)
        texts = self.queries.take(q), self.docs.take(d)
        if self.reading is not None:
            return self.reading.sequences(*texts, q_row, d_row)
        return pair_sequences(*texts, q_row, d_row, self.template, self.max_length)

    def _run(self, query: np.ndarray, doc: np.ndarray, compute: str) -> Scored:
        if not len(query):
            return Scored(np.empty(0, dtype=np.float32))
        work = Work()
        logits = self._pass(compute).run(self._sequences(query, doc), work)
        if self.reading is not None:
            return Scored(self.reading.margin(logits), work.usage())
        margin = logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 0]
        return Scored(margin, work.usage())
