"""Kernels between token ids and a model's input: lengths, batches without padding, packed ids.

A *sequence* is `prefix first middle second suffix`: `[CLS] query [SEP] doc [SEP]`, or a single text
when `middle` and `second` are empty. Sequences lie one behind the other in batches of a fixed
number of tokens, so a batch holds no padding but its tail.
"""

from typing import NamedTuple

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True)


class Side(NamedTuple):
    """The texts on one side of all sequences.

    ids, offsets: ragged token ids; row, keep int [n]: which row of them each sequence takes, and
    how many ids of it; type: their segment.
    """

    ids: np.ndarray
    offsets: np.ndarray
    row: np.ndarray
    keep: np.ndarray
    type: int


class Special(NamedTuple):
    """The special ids in order (int32), `prefix` of them, then `middle`, then the rest, and the
    segment of each (int32)."""

    ids: np.ndarray
    types: np.ndarray
    prefix: int
    middle: int


@_jit
def shorten_pairs(first, second, room, keep_first, keep_second):
    """Cut pairs that do not fit, the longer side first, exactly as `longest_first` of `tokenizers`.

    `first`, `second`: int [n] token counts; `room`: tokens that fit besides the special ones.
    Writes the counts that remain to `keep_first`, `keep_second` (int32 [n]); returns the number of
    pairs cut. With a short query only the document gives way.
    """
    cut = 0
    for i in range(len(first)):
        a, b = first[i], second[i]
        if a + b > room:
            cut += 1
            short, long = min(a, b), max(a, b)
            long = short if short > room else max(short, room - short)
            if short + long > room:
                short = room // 2
                long = short + room % 2
            a, b = (long, short) if a > b else (short, long)
        keep_first[i] = a
        keep_second[i] = b
    return cut


@_jit
def fill_batches(lengths, capacity, slots, batch, offset):
    """Place sequences into batches of `capacity` tokens and at most `slots` sequences each.

    Best fit, longest first: each batch takes the longest sequence that still fits, again and again.
    `lengths`: int [n], 1 … capacity. Writes the batch number and the offset in it (int32 [n]) and
    returns the number of batches. Among equal lengths the lower index goes first.
    """
    n = len(lengths)
    longest = 0
    for i in range(n):
        longest = max(longest, lengths[i])
    head = np.full(longest + 1, -1, dtype=np.int64)  # first sequence of each length
    after = np.full(n, -1, dtype=np.int64)  # next sequence of the same length
    for i in range(n - 1, -1, -1):
        after[i] = head[lengths[i]]
        head[lengths[i]] = i
    placed = 0
    batches = 0
    while placed < n:
        room, free, length = capacity, slots, longest
        while free > 0:
            length = min(length, room)
            while length > 0 and head[length] < 0:
                length -= 1
            if length == 0:
                break
            i = head[length]
            head[length] = after[i]
            batch[i] = batches
            offset[i] = capacity - room
            room -= length
            free -= 1
            placed += 1
        while longest > 0 and head[longest] < 0:
            longest -= 1
        batches += 1
    return batches


@_jit
def fill_shared(order, group, shared, rest, capacity, slots, batch, offset, at):
    """Place sequences that share beginnings into batches of `capacity` tokens.

    `order` int [n]: the sequences group by group, in each the longest first; `group` int [n]: the
    group of each; `shared` int [groups]: tokens that all of a group begin with; `rest` int [n]:
    what follows them, together at most `capacity`. A batch holds the beginning of a group once and
    behind it as many of its sequences as fit, the longest first, at most `slots` of all groups;
    then the next group goes on in it. Writes the batch, the offset of the rest, and the offset `at`
    of its beginning (int32 [n] each); returns the number of batches.
    """
    n = len(order)
    taken = np.zeros(n, dtype=np.bool_)
    batches, room, free = 0, 0, 0
    low = 0
    while low < n:
        one = group[order[low]]
        high = low
        while high < n and group[order[high]] == one:
            high += 1
        last = high - 1  # the shortest that is left
        while last >= low:
            if free == 0 or shared[one] + rest[order[last]] > room:
                batches, room, free = batches + 1, capacity, slots
            beginning = capacity - room
            room -= shared[one]
            for k in range(low, last + 1):
                i = order[k]
                if not taken[k] and rest[i] <= room and free > 0:
                    taken[k] = True
                    batch[i] = batches - 1
                    offset[i] = capacity - room
                    at[i] = beginning
                    room -= rest[i]
                    free -= 1
            while last >= low and taken[last]:
                last -= 1
        low = high
    return batches


@_jit
def write_sequences(members, offset, first, second, special, begin, ids, types, positions):
    """Write the sequences `members` (int [m]) of one batch at their offsets.

    `first`, `second`: `Side`; `special`: `Special`; `begin` int [n]: the number of each sequence's
    first position. Writes `ids`, `types`, `positions` (int32 [capacity]); the rest is left as it
    is.
    """
    first_ids, first_offsets, first_row, keep_first, first_type = first
    second_ids, second_offsets, second_row, keep_second, second_type = second
    around, special_type, prefix, middle = special
    for m in range(len(members)):
        i = members[m]
        at = offset[i]
        start = at
        for k in range(prefix):
            ids[at] = around[k]
            types[at] = special_type[k]
            at += 1
        source = first_offsets[first_row[i]]
        for k in range(keep_first[i]):
            ids[at] = first_ids[source + k]
            types[at] = first_type
            at += 1
        for k in range(prefix, prefix + middle):
            ids[at] = around[k]
            types[at] = special_type[k]
            at += 1
        source = second_offsets[second_row[i]]
        for k in range(keep_second[i]):
            ids[at] = second_ids[source + k]
            types[at] = second_type
            at += 1
        for k in range(prefix + middle, len(around)):
            ids[at] = around[k]
            types[at] = special_type[k]
            at += 1
        for k in range(start, at):
            positions[k] = begin[i] + k - start


@_jit
def gather_rows(values, offsets, rows, start, out):
    """Copy ragged rows: row `rows[i]` of (values, offsets) goes to `out[start[i]:]`, whole."""
    for i in range(len(rows)):
        source = offsets[rows[i]]
        for k in range(offsets[rows[i] + 1] - source):
            out[start[i] + k] = values[source + k]
