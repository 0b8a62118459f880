"""Batches: which sequences go through a model together, at which places, and what that took."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from ....native.packing import Side, Special, fill_batches, fill_shared, write_sequences
from ...devices import HALVED
from ...pair_keys import pair_keys
from ..flops import Shape
from ..sequences import Sequences
from .layouts import Layout

_NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Batch:
    """One call of the model, its tokens of the shape [height, length].

    `members`: the sequences; `at`: the place of each one's first token, or of the first behind a
    shared beginning. `heads`: a member of each group whose beginning is shared, `head_at` the
    places of the beginnings; `behind`: the place of each member's.
    """

    members: np.ndarray
    at: np.ndarray
    height: int
    length: int
    text: int  # tokens that carry text
    heads: np.ndarray = field(default_factory=_NONE.copy)
    head_at: np.ndarray = field(default_factory=_NONE.copy)
    behind: np.ndarray = field(default_factory=_NONE.copy)


@dataclass(slots=True)
class Work:
    """What a forward pass took: tokens computed, how many of them carried no text, operations (0
    where they are not known), and how often the device had no memory for a batch."""

    tokens: int = 0
    padding: int = 0
    batches: int = 0
    flops: int = 0
    halved: int = 0

    def add(self, batch: Batch) -> None:
        """Count one batch."""
        tokens = batch.height * batch.length
        self.batches += 1
        self.tokens += tokens
        self.padding += tokens - batch.text

    def usage(self) -> dict[str, float]:
        """Return it for the ledger."""
        known: dict[str, float] = {"flops": self.flops} if self.flops else {}
        known |= {HALVED: self.halved} if self.halved else {}
        return {"tokens": self.tokens, "padding": self.padding, **known}


def pack(lengths: np.ndarray, tokens: int, slots: int) -> list[Batch]:
    """Lay sequences one behind the other into batches of `tokens` tokens and at most `slots`."""
    number, offset = (np.empty(len(lengths), dtype=np.int32) for _ in range(2))
    count = fill_batches(lengths, tokens, slots, number, offset)
    return [
        Batch(some, offset[some], 1, tokens, int(lengths[some].sum()))
        for some in _members(number, offset, count)
    ]


def pack_shared(sequences: Sequences, tokens: int, slots: int) -> list[Batch]:
    """Lay pairs into batches that hold what all pairs of a query begin with once for the query."""
    begin, rest = sequences.beginnings, sequences.rests
    key = pair_keys(sequences.first_row, sequences.keep_first)
    _, one_of, group = np.unique(key, return_index=True, return_inverse=True)
    order = np.lexsort((-rest.astype(np.int64), group))
    number, offset, at = (np.empty(len(begin), dtype=np.int32) for _ in range(3))
    count = fill_shared(order, group, begin[one_of], rest, tokens, slots, number, offset, at)
    batches = []
    for some in _members(number, offset, count):
        _, first = np.unique(group[some], return_index=True)
        heads = some[np.sort(first)]
        text = int(rest[some].sum() + begin[heads].sum())
        batches.append(
            Batch(some, offset[some], 1, tokens, text, heads, at[heads], at[some]),
        )
    return batches


def _members(number: np.ndarray, offset: np.ndarray, count: int) -> list[np.ndarray]:
    """Return the sequences of each batch in the order of their places."""
    order = np.lexsort((offset, number))
    edges = np.searchsorted(number[order], np.arange(count + 1))
    return [order[a:b] for a, b in pairwise(edges.tolist())]


def pad(lengths: np.ndarray, tokens: int, max_length: int) -> list[Batch]:
    """Put sequences into rows of a length that is a multiple of 16, in batches of a fixed shape."""
    padded = np.minimum(-(-lengths // 16) * 16, max(max_length, 16))
    batches = []
    for length in np.unique(padded)[::-1].tolist():
        height = max(2, tokens // length)
        rows = np.flatnonzero(padded == length)
        for low in range(0, len(rows), height):
            some = rows[low : low + height]
            at = (np.arange(len(some)) * length).astype(np.int32)
            batches.append(Batch(some, at, height, length, int(lengths[some].sum())))
    return batches


def layout_of(sequences: Sequences, batch: Batch, *, causal: bool) -> tuple[Layout, np.ndarray]:
    """Return where the sequences of a packed batch lie, and the place of each member's last token.

    A pair with nothing behind its shared beginning ends with that.
    """
    some, heads = batch.members, batch.heads
    if not len(heads):
        start, length = batch.at.astype(np.int64), sequences.lengths[some].astype(np.int64)
        nothing = np.zeros_like(start)
        return Layout(start, length, nothing, nothing, causal), start + length - 1
    begin, rest = sequences.beginnings.astype(np.int64), sequences.rests.astype(np.int64)
    nothing = np.zeros(len(heads), dtype=np.int64)
    start, length, at, before = (
        np.concatenate(both)
        for both in (
            (batch.head_at, batch.at),
            (begin[heads], rest[some]),
            (nothing, batch.behind),
            (nothing, begin[some]),
        )
    )
    order = np.lexsort((length, start))  # one without tokens stands before the one at its place
    places = [x[order].astype(np.int64) for x in (start, length, at, before)]
    layout = Layout(places[0], places[1], places[2], places[3], causal)
    last = np.where(rest[some] > 0, batch.at + rest[some], batch.behind + begin[some]) - 1
    return layout, last.astype(np.int64)


def write(sequences: Sequences, batch: Batch, first: int) -> np.ndarray:
    """Write a batch: ids, segments, positions, int32 [3, tokens]; positions count from `first`,
    and any valid one will do where nothing is written. Where `first` is not 0, they count from the
    padding token (RoBERTa), and one in a text takes none."""
    out = np.zeros((3, batch.height * batch.length), dtype=np.int32)
    out[2] = first
    begin = np.full(len(sequences), first, dtype=np.int32)
    parts = [(sequences, batch.members, batch.at, begin)]
    if len(batch.heads):
        beginnings, rests = sequences.split()
        parts = [
            (beginnings, batch.heads, batch.head_at, begin),
            (rests, batch.members, batch.at, begin + sequences.beginnings),
        ]
    offset = np.empty(len(sequences), dtype=np.int32)
    for s, members, at, positions in parts:
        offset[members] = at
        t = s.template
        one = Side(s.first.values, s.first.offsets, s.first_row, s.keep_first, t.first_type)
        two = Side(s.second.values, s.second.offsets, s.second_row, s.keep_second, t.second_type)
        special = Special(t.special, t.special_type, t.prefix, t.middle)
        write_sequences(members, offset, one, two, special, positions, *out)
    if first and (out[0] == first - 1).any():
        _pass_over(out, batch.at, sequences.lengths[batch.members], first - 1)
    return out


def _pass_over(out: np.ndarray, at: np.ndarray, lengths: np.ndarray, pad: int) -> None:
    """Number the tokens of sequences at places `at` without those that are `pad`, which all get its
    own number: so do RoBERTa and its kin, `padding_idx + cumsum(ids != padding_idx)`."""
    before = np.concatenate([[0], np.cumsum(out[0] == pad)])  # padding tokens before each place
    places = (
        np.repeat(at, lengths)
        + np.arange(lengths.sum())
        - np.repeat(np.cumsum(lengths) - lengths, lengths)
    )
    out[2, places] -= (before[places] - np.repeat(before[at], lengths)).astype(np.int32)
    out[2, out[0] == pad] = pad


def operations(shape: Shape, sequences: Sequences, batch: Batch) -> int:
    """Return the operations that the texts of a batch take, shared beginnings counted once."""
    lengths = sequences.lengths[batch.members].astype(np.int64)
    if not len(batch.heads):
        return shape.forward(lengths)
    begin = sequences.beginnings[batch.heads].astype(np.int64)
    rest = sequences.rests[batch.members].astype(np.int64)
    return shape.forward_sums(batch.text, int((begin**2).sum() + (rest * lengths).sum()))
