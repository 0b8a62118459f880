"""Token sequences for a model: special tokens round one text or a pair, cut to a length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...native.packing import shorten_pairs
from .tokens import NO_ROWS, Ragged

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


@dataclass(frozen=True, slots=True)
class Template:
    """The special tokens around one text or a pair, as the tokenizer's post-processor puts them."""

    special: np.ndarray  # int32: prefix, middle and suffix ids in order
    special_type: np.ndarray  # int32: their segments
    prefix: int
    middle: int
    first_type: int
    second_type: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, *, pair: bool) -> Template:
        """Read the template by letting the tokenizer join two one-letter texts."""
        joined: Encoding = tokenizer.encode("a", "b" if pair else None)
        owner = joined.sequence_ids
        texts = [at for at, side in enumerate(owner) if side == 0]
        others = [at for at, side in enumerate(owner) if side == 1]
        last = others[0] if others else texts[-1] + 1
        between = [at for at in range(texts[-1] + 1, last) if owner[at] is None]
        outside = [at for at, side in enumerate(owner) if side is None]
        return cls(
            special=np.asarray([joined.ids[at] for at in outside], dtype=np.int32),
            special_type=np.asarray([joined.type_ids[at] for at in outside], dtype=np.int32),
            prefix=sum(at < texts[0] for at in outside),
            middle=len(between) if others else 0,
            first_type=joined.type_ids[texts[0]],
            second_type=joined.type_ids[others[0]] if others else 0,
        )

    def split(self) -> tuple[Template, Template]:
        """Return what stands before a second text, and what stands behind it."""
        edge = self.prefix + self.middle
        before, after = slice(None, edge), slice(edge, None)
        return (
            replace(self, special=self.special[before], special_type=self.special_type[before]),
            replace(
                self,
                special=self.special[after],
                special_type=self.special_type[after],
                prefix=0,
                middle=0,
            ),
        )


@dataclass(frozen=True, slots=True)
class Sequences:
    """What goes through the model: for each sequence two ragged rows and how much of each."""

    first: Ragged
    second: Ragged
    first_row: np.ndarray
    second_row: np.ndarray
    keep_first: np.ndarray
    keep_second: np.ndarray
    template: Template
    cut: int  # sequences that were shortened to fit

    def __len__(self) -> int:
        return len(self.first_row)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each sequence with its special tokens: int32 [n].

        At least one: where there is no text, and the tokenizer puts nothing round it, id 0.
        """
        texts = self.keep_first + self.keep_second
        return np.maximum(texts + np.int32(len(self.template.special)), np.int32(1))

    def ids(self, at: int) -> np.ndarray:
        """Return the ids of one sequence, written out: int64."""
        template = self.template
        edges = [template.prefix, template.prefix + template.middle]
        before, between, after = np.split(template.special, edges)
        first = self.first.row(self.first_row[at])[: self.keep_first[at]]
        second = self.second.row(self.second_row[at])[: self.keep_second[at]]
        return np.concatenate([before, first, between, second, after], dtype=np.int64)

    @property
    def beginnings(self) -> np.ndarray:
        """Tokens of each sequence before its second text: int32 [n]."""
        return self.keep_first + np.int32(self.template.prefix + self.template.middle)

    @property
    def rests(self) -> np.ndarray:
        """Tokens of each sequence from its second text on: int32 [n]."""
        return self.lengths - self.beginnings

    def split(self) -> tuple[Sequences, Sequences]:
        """Return what stands before the second texts, and the rest, each as sequences."""
        nothing = np.zeros_like(self.keep_first)
        before, after = self.template.split()
        return (
            replace(self, keep_second=nothing, template=before),
            replace(self, keep_first=nothing, template=after),
        )


def pair_sequences(
    queries: Ragged,
    docs: Ragged,
    query_row: np.ndarray,
    doc_row: np.ndarray,
    template: Template,
    max_length: int,
) -> Sequences:
    """Join rows of two token stores to pairs of at most `max_length` tokens, longer cut first."""
    keep_first = np.empty(len(query_row), dtype=np.int32)
    keep_second = np.empty(len(query_row), dtype=np.int32)
    room = max_length - len(template.special)
    cut = shorten_pairs(
        queries.lengths[query_row], docs.lengths[doc_row], room, keep_first, keep_second
    )
    return Sequences(
        queries,
        docs,
        query_row.astype(np.int64),
        doc_row.astype(np.int64),
        keep_first,
        keep_second,
        template,
        int(cut),
    )


def single_sequences(texts: Ragged, template: Template, max_length: int) -> Sequences:
    """Make one sequence of at most `max_length` tokens from each row."""
    room = max_length - len(template.special)
    rows = np.arange(len(texts), dtype=np.int64)
    nothing = np.zeros(len(texts), dtype=np.int32)
    keep = np.minimum(texts.lengths, room).astype(np.int32)
    cut = int((texts.lengths > room).sum())
    return Sequences(texts, NO_ROWS, rows, nothing.astype(np.int64), keep, nothing, template, cut)
