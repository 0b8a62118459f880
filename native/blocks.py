"""Groups of one query that differ in entropy at equal locality, and the reverse: a search by swaps.

The items of a row are its positives, then the candidates. A group is all positives and as many
candidates as make up `size`. Each search starts from a uniform draw and proposes to swap a random
member with a random outsider; a swap stays where it brings the group nearer to its goal. Every sum
runs in one fixed order without fast-math, and draws are counted from a key of the row, so a row
gives the same groups in any thread. Source: docs/quantities.md §3, D3; §6, 2, 8 and 9.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from . import distances
from .scales import LOGIT_TO_LOGPROB, convert, exp_of_negative, log1p_of_share, longest_row

MEAN_RADIUS, MAX_RADIUS, DIAMETER = range(3)
ALL_PAIRS, POS_NEG, NEG_NEG = range(3)
FOUND, LOCALITY_NARROW, ENTROPY_NARROW, NOT_ATTAINED = range(4)

LEAST_GAIN = 1e-12  # a swap must help by more than rounding can pretend
_LOWEST, _HIGHEST, _HIT, _NEAREST, _FARTHEST = range(5)  # what a search wants
_CLOSE = 0.1  # of the tolerance: near enough to a cell to stop searching
_OUTSIDE = 10.0  # above every value of a group whose locality is right
_MASK = np.uint64(0xFFFFFFFF)
_LN2 = math.log(2.0)


class Items(NamedTuple):
    """The items of all rows, positives first.

    score float64[items], already divided by T, finite; place int64[items]: where the item's vector
    stands in `half` (uint16 bits of float16 [n, dim]) or `single` (float32 [n, dim]; the other has
    no columns), none zero; offsets int64[rows+1]; positives int64[rows]: how many of the row's
    first items are in every group, 1 … size − 1, and the row has at least `size` items; keys
    uint64[rows].
    """

    score: np.ndarray
    half: np.ndarray
    single: np.ndarray
    place: np.ndarray
    offsets: np.ndarray
    positives: np.ndarray
    keys: np.ndarray


class Design(NamedTuple):
    """The blocks that are wanted: bins × bins groups of `size`.

    kind: MEAN_RADIUS, MAX_RADIUS (from item 0) or DIAMETER, in cosine or Euclidean distance of unit
    vectors; role: ALL_PAIRS, POS_NEG, NEG_NEG. Locality levels lie around the middle of what groups
    can have, the outer ones `span` of that apart; entropy levels likewise within what is found at
    *every* locality level. A search ends after `steps` proposals, or nearer to its cell than _CLOSE
    times `tolerance`, in steps between levels. least float64[2]: smallest steps of locality and of
    entropy (bits), above what rounding makes.
    """

    kind: int
    cosine: bool
    role: int
    bins: int
    span: float
    tolerance: float
    least: np.ndarray
    size: int
    steps: int


class Row(NamedTuple):
    """One row in a search: scores float64[items], distances `far` as `_measure_distances` writes
    them, how many positives and items, its key, and order int64[items], which the search fills."""

    score: np.ndarray
    far: np.ndarray
    positives: int
    items: int
    key: np.uint64
    order: np.ndarray


@numba.njit(cache=True, nogil=True)
def draw(key, counter, bound):
    """Draw number `counter` of a row, 0 … bound − 1: key uint64, counter int64[1], moved on by one.

    Two rounds of a 32-bit finaliser ("lowbias32", Wellons), one per half of the key; all products
    stay below 2⁶⁴, so plain Python gives the same numbers.
    """
    x = np.uint64(counter[0]) & _MASK
    counter[0] += 1
    for half in range(2):
        x ^= (key >> np.uint64(32 * half)) & _MASK
        x = ((x ^ (x >> np.uint64(16))) * np.uint64(0x7FEB352D)) & _MASK
        x = ((x ^ (x >> np.uint64(15))) * np.uint64(0x846CA68B)) & _MASK
        x ^= x >> np.uint64(16)
    return np.int64((x * np.uint64(bound)) >> np.uint64(32))


@numba.njit(cache=True, nogil=True)
def to_scale(values, scale, out):
    """Write float32 scores on a scale of `scales` to out float64; ±inf where one is saturated."""
    for i in range(values.shape[0]):
        z = np.float64(values[i])
        if scale == LOGIT_TO_LOGPROB:
            out[i] = min(z, 0.0) - math.log1p(math.exp(-abs(z)))
        else:
            out[i] = convert(z, scale)


@numba.njit(cache=True, nogil=True)
def square_norms(half, single, index, start, stop, out):
    """Write |v|² (float32) of the stored vectors index[start:stop] to out[start:stop].

    `half` uint16 bits of float16 [n, dim] or `single` float32 [n, dim]; the other has no columns.
    """
    row = np.zeros((1, max(half.shape[1], single.shape[1])), np.float32)
    for i in range(start, stop):
        distances.load(half, single, index, i, i + 1, row)
        total = np.float32(0.0)
        for c in range(row.shape[1]):
            total += row[0, c] * row[0, c]
        out[i] = total


@numba.njit(cache=True, nogil=True)
def _measure_distances(half, single, index, begin, end, cosine, diameter, vectors, far):
    """Write the distances that a row needs to `far`: those of all items from item 0, or, for a
    diameter, of all pairs in the order 01, 02, …, 12, …"""
    count = end - begin
    distances.load(half, single, index, begin, end, vectors)
    inverse = np.empty(count, np.float32)
    for i in range(count):
        total = np.float32(0.0)
        for c in range(vectors.shape[1]):
            total += vectors[i, c] * vectors[i, c]
        inverse[i] = np.float32(1.0) / np.sqrt(total)
    at = 0
    for i in range(count if diameter else 1):
        for j in range(i + 1 if diameter else 0, count):
            square = distances.apart(vectors[i], vectors[j], inverse[i], inverse[j])
            far[at] = 0.5 * square if cosine else math.sqrt(square)
            at += 1


@numba.njit(cache=True, nogil=True)
def _locality(order, size, count, far, kind):
    """Locality of the group order[:size]; item 0 of the row is order[0]."""
    locality = 0.0
    if kind == DIAMETER:
        for a in range(size):
            for b in range(a + 1, size):
                i, j = min(order[a], order[b]), max(order[a], order[b])
                locality = max(locality, far[i * (2 * count - i - 1) // 2 + j - i - 1])
        return locality
    for a in range(1, size):
        d = far[order[a]]
        locality = max(locality, d) if kind == MAX_RADIUS else locality + d
    return locality if kind == MAX_RADIUS else locality / (size - 1)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _pair_entropies(one, members, out):
    """Write h₂(σ(one − members[j])) of scores in nats to `out`."""
    for j in range(members.shape[0]):
        x = abs(one - members[j])
        r = exp_of_negative(-x)
        out[j] = log1p_of_share(r) + x * r / (1.0 + r)


@numba.njit(cache=True, nogil=True)
def _value(want, goal, entropy, locality):
    """How far a group is from what a search wants; lower is better.

    goal float64[5]: locality, its step, entropy, its step, tolerance in steps.
    """
    if want == _NEAREST:
        return locality
    if want == _FARTHEST:
        return -locality
    off = abs(locality - goal[0]) / goal[1]
    if want == _HIT:
        miss = abs(entropy - goal[2]) / goal[3]
        return off * off + miss * miss
    if off > goal[4]:
        return _OUTSIDE + off
    return entropy if want == _LOWEST else -entropy


@numba.njit(cache=True, nogil=True)
def _start(order, count, positives, size, key, counter):
    """A uniform draw: positives stay first, order[positives:size] are the candidates drawn."""
    for i in range(count):
        order[i] = i
    for i in range(positives, size):
        j = i + draw(key, counter, count - i)
        order[i], order[j] = order[j], order[i]


@numba.njit(cache=True, nogil=True)
def _partners(role, positives, size):
    """Return (first, last + 1, pairs): which members a candidate makes counted pairs with."""
    negatives = size - positives
    if role == POS_NEG:
        return 0, positives, positives * negatives
    if role == NEG_NEG:
        return positives, size, negatives * (negatives - 1) // 2
    return 0, size, size * (size - 1) // 2


@numba.njit(cache=True, nogil=True)
def _search(want, goal, row, design, counter):
    """Search from a fresh draw; row.order[:size] becomes the group. Returns (value, entropy in
    bits, locality)."""
    score, far, positives, count, key, order = row
    kind, role, size, steps = design.kind, design.role, design.size, design.steps
    _start(order, count, positives, size, key, counter)
    first, last, pairs = _partners(role, positives, size)
    nats, members = np.empty((size, size)), np.empty(size)
    total, fresh = 0.0, np.empty(size)
    for a in range(size):
        members[a] = score[order[a]]
    for a in range(size):
        _pair_entropies(members[a], members, nats[a])
        nats[a, a] = 0.0
        for b in range(a + 1, size):
            counted = first <= a < last or first <= b < last
            counted = counted and (role != NEG_NEG or a >= positives)
            counted = counted and (role != POS_NEG or (a < positives) != (b < positives))
            total += nats[a, b] if counted else 0.0
    entropy = total / pairs / _LN2
    locality = _locality(order, size, count, far, kind)
    value = _value(want, goal, entropy, locality)
    enough = (_CLOSE * goal[4]) ** 2 if want == _HIT else -np.inf
    for _ in range(steps if count > size else 0):
        if value <= enough:
            break
        slot = positives + draw(key, counter, size - positives)
        comer = size + draw(key, counter, count - size)
        order[slot], order[comer] = order[comer], order[slot]
        now = _locality(order, size, count, far, kind)
        # What the best entropy could not mend is not computed: the one aimed at, 0 or 1 bit.
        best = goal[2] if want == _HIT else (1.0 if want == _HIGHEST else 0.0)
        if _value(want, goal, best, now) < value - LEAST_GAIN:
            _pair_entropies(score[order[slot]], members, fresh)
            fresh[slot] = 0.0
            change = 0.0
            for j in range(first, last):
                change += fresh[j] - nats[slot, j]
            bits = (total + change) / pairs / _LN2
            better = _value(want, goal, bits, now)
            if better < value - LEAST_GAIN:
                total, entropy, locality, value = total + change, bits, now, better
                members[slot] = score[order[slot]]
                for j in range(size):
                    nats[slot, j] = nats[j, slot] = fresh[j]
                continue
        order[slot], order[comer] = order[comer], order[slot]
    return value, entropy, locality


@numba.njit(cache=True, nogil=True)
def _reach_of_radius(far, kind, positives, size, count):
    """The least and the largest radius of all groups: the nearest or farthest candidates."""
    ordered = np.sort(far[positives:count])
    near, wide, most = 0.0, 0.0, 0.0
    for i in range(1, positives):
        near, wide, most = near + far[i], wide + far[i], max(most, far[i])
    wanted = size - positives
    for i in range(wanted):
        near += ordered[i]
        wide += ordered[len(ordered) - 1 - i]
    if kind == MAX_RADIUS:
        return max(most, ordered[wanted - 1]), max(most, ordered[-1])
    return near / (size - 1), wide / (size - 1)


@numba.njit(cache=True, nogil=True)
def _spread_out(low, high, span, bins, out):
    """Write `bins` levels around the middle of [low, high], the outer ones span·(high − low) apart;
    return the step."""
    for level in range(bins):
        out[level] = (low + high) / 2.0 + span * (level / (bins - 1) - 0.5) * (high - low)
    return span * (high - low) / (bins - 1)


@numba.njit(cache=True, nogil=True)
def _block(row, design, chosen, levels):
    """Choose the groups of one row; returns its status. Arguments as in `search_blocks`."""
    counter, goal = np.zeros(1, np.int64), np.ones(5)
    kind, bins, span, tolerance = design.kind, design.bins, design.span, design.tolerance
    least, size, order = design.least, design.size, row.order
    if kind == DIAMETER:
        low = _search(_NEAREST, goal, row, design, counter)[2]
        high = _search(_FARTHEST, goal, row, design, counter)[2]
    else:
        low, high = _reach_of_radius(row.far, kind, row.positives, size, row.items)
    goal[1], goal[4] = _spread_out(low, high, span, bins, levels[0]), tolerance
    if not goal[1] >= least[0]:
        return LOCALITY_NARROW
    low, high = 0.0, 1.0
    for near in range(bins):
        goal[0] = levels[0, near]
        lowest = _search(_LOWEST, goal, row, design, counter)
        highest = _search(_HIGHEST, goal, row, design, counter)
        if lowest[0] > _OUTSIDE or highest[0] > _OUTSIDE:
            return NOT_ATTAINED
        low, high = max(low, lowest[1]), min(high, highest[1])
    goal[3] = _spread_out(low, high, span, bins, levels[1])
    if not goal[3] >= least[1]:
        return ENTROPY_NARROW
    for near in range(bins):
        for sure in range(bins):
            goal[0], goal[2] = levels[0, near], levels[1, sure]
            _search(_HIT, goal, row, design, counter)
            for i in range(size):
                chosen[near * bins + sure, i] = order[i]
    return FOUND


@numba.njit(cache=True, nogil=True)
def search_blocks(items, design, start, stop, chosen, levels, status):
    """Choose bins × bins groups for each of the rows [start, stop) of `Items` by a `Design`.

    chosen int32[rows, bins², size] gets places within the row, cell (near, sure) at
    near·bins + sure; levels float64[rows, 2, bins] the targets; status uint8[rows] FOUND or why
    there are none; then `chosen` stays as it is.
    """
    score, half, single, index, offsets, positives, keys = items
    longest = longest_row(offsets, start, stop)
    vectors = np.zeros((longest, max(half.shape[1], single.shape[1])), np.float32)
    diameter = design.kind == DIAMETER
    far = np.empty(max(longest, longest * (longest - 1) // 2) if diameter else longest)
    order = np.empty(longest, np.int64)
    for r in range(start, stop):
        begin, end = offsets[r], offsets[r + 1]
        _measure_distances(half, single, index, begin, end, design.cosine, diameter, vectors, far)
        row = Row(score[begin:end], far, positives[r], end - begin, keys[r], order)
        status[r] = _block(row, design, chosen[r], levels[r])
