"""Kernels of exact dense search: which documents products in bfloat16 cannot rule out.

A product q·d computed from components rounded to bfloat16, and itself rounded to bfloat16, lies
within e(v) = B + c·|v| of the canonical score, with v the rounded product, c = 2⁻⁸ and

    B = ‖q − q̃‖·max ‖d‖ + ‖q̃‖·max ‖d − d̃‖ + (rounding of sums in float32)

(Cauchy–Schwarz; the norms of the residuals are measured, not assumed). Let v_k be the k-th largest
product of a query. At least k documents score L = v_k − e(v_k) or more, so a document of the list
has v + e(v) ≥ L, and v ≥ L − B − c′·(|L| + B) with c′ a little above c. Everything at or above that
floor is kept; nothing below it can belong to the list.
"""

from __future__ import annotations

import numba
import numpy as np

from .bfloat import as_float, from_narrow

_jit = numba.njit(cache=True, nogil=True)
_one_exit = numba.njit(forceinline=True)
_ROUNDING = 2.0**-8 * 1.05  # of a product to bfloat16's eight bits, relative to the result
_PIECE, _CHUNK = 8, 128  # products looked at together
LOWEST = -32768  # the floor that lets everything through, in keys of bfloat16
LEAST = -(2**31)  # and in integers


@_one_exit
def _key(bits):
    """An int16 that orders as the bfloat16 of these int16 bits does."""
    return np.int16(bits ^ ((bits >> np.int16(15)) & np.int16(0x7FFF)))


@_one_exit
def _largest(bits):
    """The largest key of int16 bits [n]."""
    largest = np.int16(LOWEST)
    for j in range(len(bits)):
        key = _key(bits[j])
        largest = key if key > largest else largest
    return largest


@_one_exit
def _mark(bits, least, allowed, mark):
    """Set mark uint8 to 1 where bits int16 [n] reach the floor and the document is allowed."""
    for j in range(len(bits)):
        mark[j] = (_key(bits[j]) >= least) & (allowed[j] != 0)
    mark[len(bits) :] = 0


@_jit
def keep_near(product, base, allowed, depth, bound, floor, count, value, doc, tally):
    """Keep every document of a block whose product reaches its query's floor; raise the floors.

    `product` int16 [queries, rows], the bits of bfloat16 products with documents base…base+rows−1;
    `allowed` uint8 per document of the collection, 0 for those that no list may hold. State of a
    query, kept between blocks: `floor` int16 (begin with LOWEST), `count` int32 kept documents or
    −1 where they found no room, `value` int16 and `doc` int32 [queries, room]; room ≥ 2·depth.
    `bound` float64 [queries] is B above; `tally` int32 [256] is scratch.
    """
    rows, room = product.shape[1], value.shape[1]
    mark = np.zeros(_CHUNK, dtype=np.uint8)
    words = mark.view(np.uint64)
    for q in range(product.shape[0]):
        if count[q] < 0:
            continue
        least, n = floor[q], count[q]
        low = 0
        while low < rows:
            stop = min(low + _CHUNK, rows)
            if _largest(product[q, low:stop]) < least:
                low = stop
                continue
            if n + _CHUNK > room:
                n = tighten(depth, bound[q], n, floor, value, doc, q, tally)
                least = floor[q]
                if n + _CHUNK > room:
                    n = -1
                    break
                continue  # with the higher floor
            _mark(product[q, low:stop], least, allowed[base + low : base + stop], mark)
            for word in range(len(words)):
                if words[word] != 0:
                    for j in range(low + 8 * word, min(low + 8 * word + 8, stop)):
                        value[q, n], doc[q, n] = _key(product[q, j]), base + j
                        n += mark[j - low]  # without a branch: it counts or is written over
            low = stop
        count[q] = n


@_jit
def last_floors(depth, bound, floor, count, value, doc, tally):
    """Drop what the final floors rule out; arguments as `keep_near`."""
    for q in range(len(count)):
        if count[q] > depth:
            count[q] = tighten(depth, bound[q], count[q], floor, value, doc, q, tally)


@_one_exit
def _floor_below(key, bound, size):
    """The key of the floor that the k-th largest key and the bound on errors give.

    `size` bytes of a key: 2 are a bfloat16 product with its own rounding, 4 an exact integer.
    """
    if size == 4:
        return np.int64(max(np.floor(key - 2.0 * bound), np.float64(LEAST)))
    product = _value_of(np.int16(key))
    least = product - bound - _ROUNDING * abs(product)  # L
    least -= bound + _ROUNDING * (abs(least) + bound)
    bits = np.int16(np.float32(least).view(np.uint32) >> np.uint32(16))
    return max(np.int64(_key(bits)) - 1, LOWEST)  # one lower: cut towards 0, and −0 is below 0


@_jit
def tighten(depth, bound, n, floor, value, doc, q, tally):
    """Raise the floor of query q by its `depth`-th largest product, drop what lies below it.

    Arguments as `keep_near`; `floor` and `value` are int16 keys of bfloat16 products, or int32
    products. Returns how many of n documents are left.
    """
    if n < depth:
        return n
    key = _floor_below(_select(value[q], n, depth, tally), bound, value.itemsize)
    floor[q] = max(floor[q], key)
    kept = 0
    for i in range(n):
        if value[q, i] >= floor[q]:
            value[q, kept], doc[q, kept] = value[q, i], doc[q, i]
            kept += 1
    return kept


@_one_exit
def _value_of(key):
    """The float64 value of an ordered key."""
    return np.float64(from_narrow(np.uint16(_key(key))))


@_jit
def _select(value, n, k, tally):
    """Return the k-th largest of value[:n], by its upper byte and then the next one.

    Of int32 the sixteen bits below those are taken as 0: that much lower than the k-th largest.
    """
    shift = 8 * (value.itemsize - 2)
    left, upper = k, 0
    tally[:] = 0
    for i in range(n):
        tally[(np.int64(value[i]) >> (shift + 8)) + 128] += 1
    for at in range(255, -1, -1):
        if tally[at] >= left:
            upper = at - 128
            break
        left -= tally[at]
    tally[:] = 0
    for i in range(n):
        if (np.int64(value[i]) >> (shift + 8)) == upper:
            tally[(np.int64(value[i]) >> shift) & 255] += 1
    value_of_rank = upper * 256
    for at in range(255, -1, -1):
        if tally[at] >= left:
            value_of_rank += at
            break
        left -= tally[at]
    return np.int64(value_of_rank) << shift


@_jit
def write_keys(score, doc, count, key):
    """Write one integer per kept document; ascending, they are in order of (−score, document).

    `score` float32 [sum of count] lies query by query; `doc` int32 [queries, room] holds `count`
    documents each. Writes `key` uint64 [queries, at least the largest count]; what is left of a row
    sorts last.
    """
    at = 0
    for q in range(len(count)):
        for i in range(count[q]):
            bits = np.uint32(np.float32(score[at + i] + np.float32(0.0)).view(np.uint32))  # no −0
            up = ~bits if bits >> np.uint32(31) else bits | np.uint32(0x80000000)
            key[q, i] = np.uint64(np.uint32(~np.uint32(up))) << np.uint64(32) | np.uint64(doc[q, i])
        key[q, count[q] :] = np.uint64(0xFFFFFFFFFFFFFFFF)
        at += count[q]


@_jit
def read_keys(key, doc, score):
    """Undo `write_keys`: writes `doc` uint32 and `score` float32 [queries, depth]."""
    for q in range(doc.shape[0]):
        for i in range(doc.shape[1]):
            doc[q, i] = np.uint32(key[q, i] & np.uint64(0xFFFFFFFF))
            up = np.uint32(~np.uint32(key[q, i] >> np.uint64(32)))
            bits = up & np.uint32(0x7FFFFFFF) if up >> np.uint32(31) else ~up
            score[q, i] = as_float(bits)
