"""The first pair of a pool as a teacher reads it: its ids turned back into text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...actors import Execution
from ...collection.rows import Corpus, Queries
from ...errors import BadInput, UsageError
from ...models.encoders import settings_of
from ...models.folder import ModelFolder, resolve
from ...models.prompts import (
    check_room,
    declared_prompt,
    tell_borrowed,
    tell_unprompted,
    written_out,
)
from ...models.sequences import Sequences, Template, pair_sequences, single_sequences
from ...models.tokens import tokens_at_hand
from ...store import Artifact
from ...store.execution import Silent
from ..bi_encoder import BiEncoder
from ..causal_lm import CausalLm
from ..cross_encoder import CrossEncoder, check_head, checked_length, reading_of
from ..lookup import PairLists
from ..reading import Reading
from ..scores import teacher_of
from ..seq2seq import Seq2Seq

_ONE = np.zeros(1, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class ShownText:
    """One sequence that goes through a model.

    `text` is decoded from the ids, special tokens included. `special`: how often each of the
    tokenizer's added tokens is among the `tokens` ids; the same strings in a text are not counted.
    `most`: tokens that the teacher reads; `cut`: the texts were longer.
    """

    of: str
    text: str
    tokens: int
    most: int
    cut: bool
    special: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ShownPair:
    """A pair and the sequences that it becomes: one, or one for each side.

    `warnings`: what scoring would warn of before it begins, of how the teacher reads a pair.
    """

    query_id: str
    doc_id: str
    sequences: tuple[ShownText, ...]
    warnings: tuple[str, ...] = ()


class _Heard(Silent):
    """Progress that keeps what is announced."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def announce(self, text: str) -> None:
        """Keep it."""
        self.said.append(text.removeprefix("warning: "))


def show_first_pair(teacher: Any, pool: Artifact) -> ShownPair:
    """Return the first pair of a pool, or of a run, as the teacher would read it; none is scored.

    Raises UsageError for a teacher that reads no text itself, BadInput for an unusable model, for
    a query that leaves its documents no token, and for a pool without pairs.
    """
    value, heard = teacher_of(teacher), _Heard()
    here = Execution(progress=heard)
    query, doc = _first_pair(pool)
    queries, corpus = Queries(pool.input("queries")), Corpus(pool.input("corpus"))
    texts = {"queries": queries.text(query), "corpus": corpus.text(doc)}
    shown: tuple[ShownText, ...]
    if isinstance(value, CausalLm | Seq2Seq):
        model = resolve(value.model)
        limits = hasattr(value, "query_length")
        shown = (_read(Reading.of(value.asked(model), model), model, texts, here, limits),)
    elif isinstance(value, CrossEncoder):
        model = resolve(value.model)
        check_head(model)
        reading = reading_of(value, model)
        pair = _read(reading, model, texts, here) if reading else _joined(value, model, texts)
        shown = (pair,)
    elif isinstance(value, BiEncoder):
        shown = tuple(_alone(value, role, text, here) for role, text in texts.items())
    else:
        raise UsageError(
            f"{value.canonical_name} reads no text by a model of its own",
            do="look at a cross_encoder, causal_lm, seq2seq, bi_encoder or a preset of them",
        )
    ids = queries.query_ids([query])[0], corpus.doc_ids([doc])[0]
    return ShownPair(*ids, shown, tuple(dict.fromkeys(heard.said)))


def _first_pair(pool: Artifact) -> tuple[int, int]:
    """Return query and document of the pair that stands first."""
    lists = PairLists(pool)
    for row in range(pool.rows):
        queries, _, docs = lists.rows(row, row + 1)
        if len(docs):
            return int(queries[0]), int(docs[0])
    raise BadInput("there is no pair to be scored", where=pool.path, do="name another pool")


def _read(
    reading: Reading,
    model: ModelFolder,
    texts: Mapping[str, str],
    here: Execution,
    limits_queries: bool = False,
) -> ShownText:
    """Show a pair that a prompt joins, and tell what scoring would tell of it."""
    query, doc = (
        tokens_at_hand([text], model, **reading.way(role)) for role, text in texts.items()
    )
    reading.tell(here)
    reading.check_room(query.lengths, model, here, limits_queries)
    sequences = reading.sequences(query, doc, _ONE, _ONE)
    return _shown("pair", sequences, model, reading.max_length)


def _joined(teacher: CrossEncoder, model: ModelFolder, texts: Mapping[str, str]) -> ShownText:
    """Show a pair as the tokenizer joins it."""
    most = checked_length(teacher, model)
    query, doc = (
        tokens_at_hand([text], model, max_length=most, specials=teacher.specials)
        for text in texts.values()
    )
    template = Template.of(model.known_tokenizer(), pair=True)
    return _shown("pair", pair_sequences(query, doc, _ONE, _ONE, template, most), model, most)


def _alone(teacher: BiEncoder, role: str, text: str, here: Execution) -> ShownText:
    """Show one side of a pair as an encoder reads it, and tell what scoring would tell of it."""
    docs = resolve(teacher.model)
    asked = resolve(teacher.query_model) if teacher.query_model else docs
    teacher = written_out(teacher, docs, asked)
    model, said = (asked, teacher.query_prompt) if role == "queries" else (docs, teacher.prompt)
    settings = settings_of(model, max_length=teacher.max_length, pooling=teacher.pooling)
    most = settings.max_length
    prompt = declared_prompt(model, role) if said is None else said
    if said is None and not prompt:
        tell_unprompted(model, here)
    if said:
        tell_borrowed(model, said, role, here)
    tokens = tokens_at_hand(
        [text], model, max_length=most, prompt=prompt, specials=teacher.specials
    )
    template = Template.of(model.known_tokenizer(), pair=False)
    check_room(model, prompt, most - len(template.special))
    of = "query" if role == "queries" else "document"
    return _shown(of, single_sequences(tokens, template, most), model, most)


def _shown(of: str, sequences: Sequences, model: ModelFolder, most: int) -> ShownText:
    tokenizer, ids = model.tokenizer(), sequences.ids(0).tolist()
    named = {n: token.content for n, token in tokenizer.get_added_tokens_decoder().items()}
    text = tokenizer.decode(ids, skip_special_tokens=False)
    special = {named[n]: ids.count(n) for n in dict.fromkeys(ids) if n in named}
    return ShownText(of, text, len(ids), most, bool(sequences.cut), special)
