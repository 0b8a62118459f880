"""A prompt and its words as ids of one model: which sequence stands for a pair, and what is cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...actors import Execution
from ...errors import BadInput, UsageError
from ...models.folder import ModelFolder
from ...models.sequences import Sequences, Template
from ...models.tokens import Ragged, TokenStore, tokens_of
from ...pair_keys import pair_keys
from ...store import Artifact, Workspace
from ..prompt import Around, Prompt, one_token
from .text import ROOM, Asked
from .words import other_words

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_LENGTH = 512  # tokens of a pair unless said otherwise


@dataclass(frozen=True, slots=True)
class Reading:
    """How a model reads pairs.

    `words` (int32 [w]): the ids of yes, `spellings` of them, then those of no; none for a
    classifier. `max_length`: tokens of the longest sequence. `room`: those that are left to the two
    texts, `query_room` of them to a query. `trimmed`: see `Asked`. `other`: see `other_words`.
    """

    prompt: Prompt
    words: np.ndarray
    spellings: int
    max_length: int
    room: int
    query_room: int
    trimmed: tuple[str, str] = ("", "")
    other: str = ""

    @classmethod
    def of(cls, asked: Asked, model: ModelFolder) -> Reading:
        """Tokenise prompt and words; raises BadInput or UsageError for what does not fit."""
        tokenizer = model.tokenizer()
        prompt = Prompt.of(
            asked.text,
            tokenizer,
            begin=asked.begin,
            end=asked.end,
            label_at=asked.label_at if asked.apart else None,
        )
        uncounted = prompt.uncounted
        longest = model.max_positions - uncounted
        counted = asked.max_length or min(_LENGTH, longest)
        if counted > longest:
            raise BadInput(
                f"max_length={counted}, the model reads {model.max_positions} tokens"
                + (f", of which the prompt takes {uncounted}" if uncounted else ""),
                where=model.path,
                do=f"give max_length={longest} or less",
            )
        room = counted + uncounted - prompt.fixed
        tail, end = len(prompt.query.tail_ids), len(prompt.document.tail_ids)
        if room < ROOM + tail + end:
            raise UsageError(
                f"the prompt takes {prompt.fixed} of max_length={counted} tokens",
                do="give a larger max_length or a shorter prompt",
            )
        query_room = min(room - end, (asked.query_length or counted) - prompt.label, counted - 1)
        if query_room < 1 + tail:
            raise UsageError(f"query_length={asked.query_length} leaves no token to a query")
        words = _word_ids(tokenizer, asked)
        length, spellings = counted + uncounted, len(asked.yes)
        other = other_words(model, words.tolist(), spellings)
        return cls(prompt, words, spellings, length, room, query_room, asked.trimmed, other)

    def tokens(
        self,
        workspace: Workspace,
        pool: Artifact,
        model: ModelFolder,
        executor: Execution,
        *,
        limits_queries: bool = False,
    ) -> dict[str, Artifact]:
        """Tokenise "queries" and "corpus" of a pool as the prompt needs them, or find them.

        `limits_queries`: the teacher can be given a limit for queries, query_length. Raises
        BadInput for a query of the pool that leaves its documents no token.
        """
        self.tell(executor)
        made: dict[str, Artifact] = {}
        for role in ("queries", "corpus"):
            way = self.way(role)
            made[role] = tokens_of(workspace, pool.input(role), model, executor=executor, **way)
            if role == "queries":  # before the corpus, which may take hours
                query = np.concatenate([table["query"].to_numpy() for table in pool.tables()])
                lengths = TokenStore(made[role]).lengths[query]
                self.check_room(lengths, model, executor, limits_queries)
        return made

    def tell(self, executor: Execution) -> None:
        """Warn of a prompt that this tokenizer takes apart, or ends otherwise, than the model may
        have been trained with, and of words that it is not scored by."""
        if self.other:
            executor.progress.announce(f"warning: {self.other}")
        if not self.prompt.whole:
            executor.progress.announce(
                "warning: signs of the prompt that touch {query} or {document} are tokenised apart "
                "from them, and this tokenizer would join them: put blanks or line ends there"
            )
        if self.prompt.unended and not len(self.words):
            executor.progress.announce(
                f"warning: the tokenizer puts {self.prompt.unended} behind a text, the prompt does "
                "not end with it, and a classifier reads its score at the end: if the model was "
                f"trained so, end the prompt with {self.prompt.unended}"
            )

    def check_room(
        self, asked: np.ndarray, model: ModelFolder, executor: Execution, limits_queries: bool
    ) -> None:
        """Say how many queries leave a document hardly a token, from their ids (int32 [n]). Raises
        BadInput where one leaves none: all of its documents would have one score."""
        kept, _ = self._kept(asked, np.zeros_like(asked))
        end = len(self.prompt.document.tail_ids)
        left = self.room - kept - end
        short, full = left < ROOM, left < 1
        if not short.any():
            return
        said = (
            f"prompt and query take {self.prompt.fixed} + {int(kept[short].max())} of "
            f"{self.max_length} tokens"
        )
        limit = self.room - end - ROOM + self.prompt.label
        do = "give a larger max_length"
        if limits_queries and limit > self.prompt.label + len(self.prompt.query.tail_ids):
            do += f", or query_length={limit}, which cuts such queries"
        if full.any():
            raise BadInput(
                f"{int(full.sum()):,} of {len(asked):,} queries leave a document no token, so all "
                f"of their documents have one score: {said}",
                where=model.path,
                do=do,
            )
        executor.progress.announce(
            f"warning: {int(short.sum()):,} of {len(asked):,} queries leave a document fewer than "
            f"{ROOM} tokens, and such documents nearly one score: {said}; {do}"
        )

    def way(self, role: str) -> dict[str, Any]:
        """Return how "queries" or "corpus" is tokenised, as options of `tokens_of`."""
        around = self.prompt.query if role == "queries" else self.prompt.document
        return {
            "max_length": self.max_length,
            "prompt": around.blank,
            "suffix": around.tail,
            "specials": "text",
            "trim": self.trimmed[role != "queries"],
        }

    @property
    def declared(self) -> dict[str, str]:
        """What decides ids besides prompt and tokenizer; nothing where pieces are read by
        themselves and texts as they are, as all once were."""
        said = {"literals": "in place"} if self.prompt.in_place else {}
        cut = zip(("query", "document"), self.trimmed, strict=True)
        trimmed = ", ".join(f"{field} {ends}" for field, ends in cut if ends)
        return said | ({"trimmed": trimmed} if trimmed else {})

    @property
    def template(self) -> Template:
        """The literals of the prompt in the place of special tokens."""
        return self.prompt.template

    def sequences(
        self, queries: Ragged, docs: Ragged, query_row: np.ndarray, doc_row: np.ndarray
    ) -> Sequences:
        """Join rows of two token stores; where both do not fit, the document's end is cut.

        `query_row`, `doc_row`: int [n], which row stands in which pair. Literals are never cut, and
        a query only where it is longer than `query_room`.
        """
        asked, told = queries.lengths[query_row], docs.lengths[doc_row]
        keep_query, keep_doc = self._kept(asked, told)
        cut = int(self._cut(asked, told, keep_doc).sum())
        sides = [
            (*_fitted(queries, query_row, keep_query, self.prompt.query), keep_query),
            (*_fitted(docs, doc_row, keep_doc, self.prompt.document), keep_doc),
        ]
        if self.prompt.first == "document":
            sides.reverse()
        (first, first_row, keep_first), (second, second_row, keep_second) = sides
        return Sequences(
            first,
            second,
            first_row,
            second_row,
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

    def _kept(self, query: np.ndarray, doc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how many ids of queries and of documents are read, from how many there are."""
        asked = np.where(query == 0, len(self.prompt.query.empty_ids), query)
        told = np.where(doc == 0, len(self.prompt.document.empty_ids), doc)
        keep_query = np.minimum(asked, self.query_room).astype(np.int32)
        return keep_query, np.minimum(told, self.room - keep_query).astype(np.int32)

    def _cut(self, query: np.ndarray, doc: np.ndarray, keep_doc: np.ndarray) -> np.ndarray:
        """Say of which pairs a text is cut, from how many ids there are and are read."""
        return (query > self.query_room) | (doc > keep_doc)

    def work(self, queries: TokenStore, docs: TokenStore) -> Callable[..., np.ndarray]:
        """Return the function that says how many tokens each pair has."""

        def pair_work(query: np.ndarray, doc: np.ndarray) -> np.ndarray:
            keep_query, keep_doc = self._kept(queries.lengths[query], docs.lengths[doc])
            return keep_query + keep_doc + self.prompt.fixed

        return pair_work

    def truncated(
        self, queries: TokenStore, docs: TokenStore, query: np.ndarray, doc: np.ndarray
    ) -> int:
        """Count the pairs whose texts do not fit beside the prompt."""
        asked, told = queries.lengths[query], docs.lengths[doc]
        return int(self._cut(asked, told, self._kept(asked, told)[1]).sum())


def _fitted(
    rows: Ragged, row: np.ndarray, keep: np.ndarray, around: Around
) -> tuple[Ragged, np.ndarray]:
    """Return rows that hold the texts as they are read, and which of them each pair reads: int64.

    A text that is cut ends in the tail, and one without words is what the prompt has there. They
    are rows of their own, one for each text and length, behind the others. `keep`: int32 [n].
    """
    row = row.astype(np.int64)
    length = rows.lengths[row]
    own = np.flatnonzero(((length > keep) & (len(around.tail_ids) > 0)) | (length == 0))
    if not len(own) or not len(around.empty_ids):
        return rows, row
    key = pair_keys(row[own], keep[own])
    _, one_of, place = np.unique(key, return_index=True, return_inverse=True)
    text, size = row[own][one_of], keep[own][one_of].astype(np.int64)
    empty = rows.lengths[text] == 0
    ends = np.where(empty, size, np.minimum(size, len(around.tail_ids)))
    offsets = np.concatenate([[0], np.cumsum(size)])
    inside = np.arange(offsets[-1]) - np.repeat(offsets[:-1], size)
    behind = inside - np.repeat(size - ends, size)
    values = np.empty(len(inside), dtype=rows.values.dtype)
    words, nothing = behind < 0, np.repeat(empty, size)
    values[words] = rows.values[(np.repeat(rows.offsets[text], size) + inside)[words]]
    values[nothing] = around.empty_ids[behind[nothing]]
    rest = ~words & ~nothing
    values[rest] = around.tail_ids[behind[rest]]
    row[own] = len(rows) + place
    made = np.concatenate([rows.values, values])
    return Ragged(made, np.concatenate([rows.offsets, len(rows.values) + offsets[1:]])), row


def _word_ids(tokenizer: Tokenizer, asked: Asked) -> np.ndarray:
    """Return the id of each spelling, yes first: int32; refuses two spellings of one id."""
    ids: dict[int, str] = {}
    for word in (*asked.yes, *asked.no):
        number = one_token(tokenizer, word)
        if number in ids:
            raise UsageError(
                f"{ids[number]!r} and {word!r} are the same token for this model",
                do="leave one of them out: a token counts once",
            )
        ids[number] = word
    return np.fromiter(ids, np.int32, len(ids))
