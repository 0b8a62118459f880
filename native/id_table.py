"""From ids, as Arrow holds strings, to their row numbers.

The hash table: open addressing with linear probing. A slot, uint64, holds the upper half of an id's
hash above the row number plus one; 0 is an empty slot. Equal hashes are told apart by the ids'
bytes. Ids that are numbers have a table without hashes: the row number plus one at each number.
"""

from __future__ import annotations

import numba
import numpy as np

_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)
_START = np.uint64(0xCBF29CE484222325)  # FNV-1a's offset and prime, then a finalising mix
_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_BATCH = 128


@numba.njit(cache=True, nogil=True)
def _hash(data, start, stop):
    value = _START
    for i in range(start, stop):
        value = (value ^ np.uint64(data[i])) * _PRIME
    value ^= value >> _HALF
    value *= _MIX
    return value ^ (value >> np.uint64(29))


@numba.njit(cache=True, nogil=True)
def _equal(data, start, stop, others, first, last):
    if stop - start != last - first:
        return False
    for i in range(stop - start):
        if data[start + i] != others[first + i]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def fill_table(data: np.ndarray, offsets: np.ndarray, table: np.ndarray, first: np.ndarray) -> None:
    """Enter every id; `first` int64 [n] gets the row where each id stands first.

    `data` uint8, `offsets` int64 [n+1]; `table` uint64, zeros, of a power of two of more than n
    slots.
    """
    mask = np.uint64(table.size - 1)
    for row in range(offsets.size - 1):
        value = _hash(data, offsets[row], offsets[row + 1])
        slot = value & mask
        tag = value >> _HALF
        first[row] = row
        while table[slot] != 0:
            entry = table[slot]
            if entry >> _HALF == tag:
                other = np.int64((entry & _LOW) - _ONE)
                if _equal(
                    data, offsets[row], offsets[row + 1], data, offsets[other], offsets[other + 1]
                ):
                    first[row] = other
                    break
            slot = (slot + _ONE) & mask
        if first[row] == row:
            table[slot] = tag << _HALF | np.uint64(row + 1)


@numba.njit(cache=True, nogil=True)
def _row_from(wanted, start, stop, value, passed, data, offsets, table):
    """Return the row of an id with this hash, −1 for none; `passed`: slots that it is not in."""
    mask = np.uint64(table.size - 1)
    slot, tag = (value + np.uint64(passed)) & mask, value >> _HALF
    while table[slot] != 0:
        entry = table[slot]
        if entry >> _HALF == tag:
            row = np.int64((entry & _LOW) - _ONE)
            if _equal(wanted, start, stop, data, offsets[row], offsets[row + 1]):
                return row
        slot = (slot + _ONE) & mask
    return np.int64(-1)


@numba.njit(cache=True, nogil=True)
def find_rows(
    wanted: np.ndarray,
    bounds: np.ndarray,
    data: np.ndarray,
    offsets: np.ndarray,
    table: np.ndarray,
    rows: np.ndarray,
) -> None:
    """Write the row of each wanted id, −1 where the table has none.

    `wanted` uint8 with `bounds` int64 [m+1] holds the ids asked for; `data`, `offsets` and `table`
    are those of `fill_table`; `rows` int64 [m]. An id equal to the one before it is not looked up
    again: files of runs and scores repeat the query's line by line.

    A large table lies in no cache, and an id needs three places of memory one after the other. So
    ids go in batches, step by step: the processor waits for many of them at a time.
    """
    mask, last = np.uint64(table.size - 1), data.size - 1
    values = np.empty(_BATCH, dtype=np.uint64)
    begins = np.empty(_BATCH, dtype=np.int64)
    heads = np.empty(_BATCH, dtype=np.uint8)
    for first in range(0, rows.size, _BATCH):
        count = min(_BATCH, rows.size - first)
        for k in range(count):
            values[k] = _hash(wanted, bounds[first + k], bounds[first + k + 1])
        for k in range(count):
            begins[k] = np.int64(table[values[k] & mask] & _LOW)  # the row plus one
        for k in range(count):
            begins[k] = offsets[max(begins[k], 1) - 1]
        for k in range(count):
            heads[k] = data[min(begins[k], last)] if last >= 0 else np.uint8(0)
        for k in range(count):
            i = first + k
            start, stop = bounds[i], bounds[i + 1]
            if i and _equal(wanted, start, stop, wanted, bounds[i - 1], start):
                rows[i] = rows[i - 1]
                continue
            another = start < stop and heads[k] != wanted[start] and table[values[k] & mask] != 0
            rows[i] = _row_from(
                wanted, start, stop, values[k], np.int64(another), data, offsets, table
            )


@numba.njit(cache=True, nogil=True)
def read_numbers(data: np.ndarray, bounds: np.ndarray, numbers: np.ndarray) -> None:
    """Write the number that each id spells, −1 for one that is no number or not written plainly.

    Plainly: digits only, no leading zero, at most 18; so no two ids spell one number. `data` uint8,
    `bounds` int64 [n+1], `numbers` int64 [n].
    """
    for i in range(numbers.size):
        start, stop = bounds[i], bounds[i + 1]
        value = np.int64(-1)
        if 0 < stop - start <= 18 and (data[start] != 48 or stop - start == 1):
            value = np.int64(0)
            for p in range(start, stop):
                digit = np.int64(data[p]) - 48
                if digit < 0 or digit > 9:
                    value = np.int64(-1)
                    break
                value = value * 10 + digit
        numbers[i] = value


@numba.njit(cache=True, nogil=True)
def fill_places(numbers: np.ndarray, places: np.ndarray, first: np.ndarray) -> None:
    """Enter the row of every number: `places` uint32, zeros, holds row + 1 at the number's index.

    `numbers` int64 [n] < places.size; `first` int64 [n] gets the row where each stands first.
    """
    for row in range(numbers.size):
        if places[numbers[row]] == 0:
            places[numbers[row]] = row + 1
        first[row] = np.int64(places[numbers[row]]) - 1


@numba.njit(cache=True, nogil=True)
def find_places(
    wanted: np.ndarray, bounds: np.ndarray, places: np.ndarray, rows: np.ndarray
) -> None:
    """Write the row of each wanted id by the table of `fill_places`, −1 where there is none.

    `wanted` uint8, `bounds` int64 [m+1], `rows` int64 [m].
    """
    read_numbers(wanted, bounds, rows)
    for i in range(rows.size):
        number = rows[i]
        rows[i] = np.int64(places[number]) - 1 if 0 <= number < places.size else -1
