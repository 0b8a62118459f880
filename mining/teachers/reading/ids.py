"""A prompt and its words as ids of one model: which sequence stands for a pair, and what is cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...actors import Execution
from ...errors import BadInput, UsageError
from ...models.folder import ModelFolder
from ...models.sequences import Sequences, Template
from ...models.tokens import Ragged, TokenStore, tokens_of
from ...store import Artifact, Workspace
from ..prompt import Prompt, one_token
from .text import ROOM, Asked

_LENGTH = 512  # tokens of a pair unless said otherwise


@dataclass(frozen=True, slots=True)
class Reading:
    """How a model reads pairs.

    `words` (int32 [w]): the ids of yes, `spellings` of them, then those of no; none for a
    classifier. `room`: tokens of a sequence that are left to the two texts.
    """

    prompt: Prompt
    words: np.ndarray
    spellings: int
    max_length: int
    room: int

    @classmethod
    def of(cls, asked: Asked, model: ModelFolder) -> Reading:
        """Tokenise prompt and words; raises BadInput or UsageError for what does not fit."""
        max_length = asked.max_length or min(_LENGTH, model.max_positions)
        if max_length > model.max_positions:
            raise BadInput(
                f"max_length={max_length}, the model reads {model.max_positions} tokens",
                where=model.path,
                do=f"give max_length={model.max_positions} or less",
            )
        tokenizer = model.tokenizer()
        prompt = Prompt.of(asked.prompt, tokenizer, end=asked.end)
        room = max_length - prompt.fixed
        if room < ROOM:
            raise UsageError(
                f"the prompt takes {prompt.fixed} of max_length={max_length} tokens",
                do="give a larger max_length or a shorter prompt",
            )
        words = [one_token(tokenizer, word) for word in (*asked.yes, *asked.no)]
        return cls(prompt, np.asarray(words, np.int32), len(asked.yes), max_length, room)

    def tokens(
        self, workspace: Workspace, pool: Artifact, model: ModelFolder, executor: Execution
    ) -> dict[str, Artifact]:
        """Tokenise "queries" and "corpus" of a pool as the prompt needs them, or find them."""
        return {
            role: tokens_of(
                workspace,
                pool.input(role),
                model,
                max_length=self.max_length,
                prompt=self.prompt.blank,
                executor=executor,
            )
            for role in ("queries", "corpus")
        }

    @property
    def template(self) -> Template:
        """The literals of the prompt in the place of special tokens."""
        return self.prompt.template

    def sequences(
        self, queries: Ragged, docs: Ragged, query_row: np.ndarray, doc_row: np.ndarray
    ) -> Sequences:
        """Join rows of two token stores; where both do not fit, the document's end is cut.

        `query_row`, `doc_row`: int [n], which row stands in which pair. Literals are never cut.
        """
        asked, told = queries.lengths[query_row], docs.lengths[doc_row]
        keep_query = np.minimum(asked, self.room).astype(np.int32)
        keep_doc = np.minimum(told, self.room - keep_query).astype(np.int32)
        cut = int((asked + told > keep_query + keep_doc).sum())
        sides = [(queries, query_row, keep_query), (docs, doc_row, keep_doc)]
        if self.prompt.first == "document":
            sides.reverse()
        (first, first_row, keep_first), (second, second_row, keep_second) = sides
        return Sequences(
            first,
            second,
            first_row.astype(np.int64),
            second_row.astype(np.int64),
            keep_first,
            keep_second,
            self.template,
            cut,
        )

    def margin(self, logits: np.ndarray) -> np.ndarray:
        """Return one score a pair, float32 [n], from logits float32 [n, w] of the words.

        ln Σ exp over the spellings of yes, less the same of no; without no the first alone. Of a
        classifier's labels: one logit as it is, of two l1 − l0.
        """
        exact = logits.astype(np.float64)
        if len(self.words):
            yes, no = exact[:, : self.spellings], exact[:, self.spellings :]
        else:
            yes, no = exact[:, -1:], exact[:, :-1]
        score = np.logaddexp.reduce(yes, axis=1)  # value by value: no bits of its neighbours
        if no.shape[1]:
            score -= np.logaddexp.reduce(no, axis=1)
        return score.astype(np.float32)

    def work(self, queries: TokenStore, docs: TokenStore) -> Callable[..., np.ndarray]:
        """Return the function that says how many tokens each pair has."""

        def pair_work(query: np.ndarray, doc: np.ndarray) -> np.ndarray:
            total = queries.lengths[query] + docs.lengths[doc]
            return np.minimum(total, self.room) + self.prompt.fixed

        return pair_work

    def truncated(
        self, queries: TokenStore, docs: TokenStore, query: np.ndarray, doc: np.ndarray
    ) -> int:
        """Count the pairs whose texts do not fit beside the prompt."""
        return int((queries.lengths[query] + docs.lengths[doc] > self.room).sum())
