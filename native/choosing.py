"""Strategies over the candidates of many groups: who is chosen, and with what probability.

Draw for draw what `mining.selection.strategies`, `.weighted`, `.quotas` and `.anchored` do for one
query; they are the oracle. A group looks at the pairs first[g], first[g]+1, … of flat columns
through its own flags (`native.kept.Groups`).
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from . import philox
from .arrivals import arrivals, same_single, systematic

_jit = numba.njit(cache=True, nogil=True)

CHOSEN, SHORT, DECLINED = 0, 1, 2
"""What became of a group; DECLINED: the oracle is to be asked."""

UNIFORM, TOP, STRATIFIED, SOFTMAX, QUOTAS, ANCHORS, BANDS = range(7)
CLOSED, EVEN, UNKNOWN = 0, 1, 2
"""How π follows: from the strategy's formula; n / population, for a drawn list; not at all."""

DROP, ASK, FILL = 0, 1, 2
"""What to do for a group with too few candidates: leave it out, ask the oracle, fill it up."""

WHOLE_POOL = -1
_FEW = 64  # best candidates that are found by insertion
_FIXED, _DRAWN = 0, 1


class Plan(NamedTuple):
    """What to do. `column`: the row of `rank` that the strategy reads, or WHOLE_POOL; of its ranks
    first…last. `chance`: CLOSED, EVEN or UNKNOWN. `short`: DROP, ASK or FILL. `bins` of STRATIFIED,
    `T` and `by_rank` of SOFTMAX. quota int64 [sources, 3], by order of choice: column, documents to
    take (−1 = shared evenly), origin (0 fixed, 1 drawn, 2 mixed); turn int64: the order in which
    they draw. Of BANDS quota has first and last rank, and documents to take. head, most int: the
    best and the most anchors of ANCHORS, `by_width` how they are spread."""

    strategy: int
    column: int
    first: int
    last: int
    chance: int
    short: int
    bins: int
    T: float
    by_rank: bool
    quota: np.ndarray
    turn: np.ndarray
    head: int
    most: int
    by_width: bool


class Columns(NamedTuple):
    """What is known of pairs: score float64, rank uint16 [columns, pairs], marks uint8, alone uint8
    (in a drawn list and in no fixed one); outside int64 [rows]; row int64, key uint64 by group."""

    score: np.ndarray
    rank: np.ndarray
    marks: np.ndarray
    alone: np.ndarray
    outside: np.ndarray
    row: np.ndarray
    key: np.ndarray


class Choice(NamedTuple):
    """What is written: item int64 and inclusion float32 [n, negatives]; by group status uint8,
    reach int64 (candidates that could be chosen), filled int64, share float64 (of the documents
    outside the pool that may be chosen, 1 unless the plan needs it)."""

    item: np.ndarray
    inclusion: np.ndarray
    status: np.ndarray
    reach: np.ndarray
    filled: np.ndarray
    share: np.ndarray


@_jit
def choose(groups, columns, plan, outside, wanted, start, stop, out):
    """Choose wanted[g] negatives for every group [start, stop).

    `outside`: whether the share of documents outside the pool is asked for; EVEN always does.
    """
    longest = 1
    for g in range(start, stop):
        longest = max(longest, groups.offsets[g + 1] - groups.offsets[g])
    reach, order = np.empty(longest, np.int64), np.empty(longest, np.int64)
    place = np.empty((len(plan.quota) + plan.bins + 2, longest), np.int64)
    value, chance, work = np.empty(longest), np.empty(longest), np.empty(longest)
    state = np.empty(philox.STATE, np.uint64)
    for g in range(start, stop):
        size = wanted[g]
        philox.seed(state, columns.key[g])
        population = 0.0
        if outside:
            population = _population(groups, columns, g, out)
        count = _reach(groups, columns, plan, g, size, reach, order, value)
        if plan.strategy == QUOTAS:
            _quotas(groups, columns, plan, g, size, population, state, (place, order), out)
            continue
        out.reach[g] = count
        if plan.strategy == BANDS:
            _bands(groups, columns, plan, g, size, reach, count, (order, state), out)
        elif plan.strategy == ANCHORS and not plan.head < size <= plan.head + plan.most:
            out.status[g] = DECLINED
        elif count < size:
            _short(groups, columns, plan, g, size, reach, count, (order, state), out)
        elif plan.strategy == UNIFORM:
            philox.permutation(state, count, order)
            for k in range(size):
                out.item[g, k] = reach[order[k]]
                out.inclusion[g, k] = size / count
        elif plan.strategy == TOP:
            for k in range(size):
                out.item[g, k] = reach[k]
                out.inclusion[g, k] = 1.0
        elif plan.strategy == ANCHORS:
            _anchors(groups, columns, plan, g, size, reach, count, value, out)
        elif plan.strategy == STRATIFIED:
            _stratified(groups, columns, plan, g, size, reach, count, (place, order, state), out)
        else:
            scratch = value, chance, work, order, state
            _softmax(groups, columns, plan, g, size, reach, count, scratch, out)
        chosen = out.status[g] == CHOSEN and not out.filled[g]
        if chosen and plan.chance != CLOSED:
            even = np.nan if plan.chance == UNKNOWN else size / population
            for k in range(size):
                out.inclusion[g, k] = even


@_jit
def _population(groups, columns, g, out):
    """Return how many documents of the corpus can be negatives; writes the share outside."""
    first, at = groups.first[g], groups.offsets[g]
    allowed, drawn, kept = 0, 0, 0
    for i in range(groups.offsets[g + 1] - at):
        allowed += groups.allowed[at + i]
        if columns.alone[first + i] and not columns.marks[first + i] and i != groups.positive[g]:
            drawn += 1
            kept += groups.allowed[at + i]
    out.share[g] = kept / drawn if drawn else 1.0
    return allowed + np.rint(columns.outside[columns.row[g]] * out.share[g])


@_jit
def _reach(groups, columns, plan, g, size, reach, order, value):
    """Write the places of the candidates in reach, for `top` best first; returns how many.

    Of `top` only as many are in order as are skipped or taken.
    """
    first, at = groups.first[g], groups.offsets[g]
    allowed, count = groups.allowed[at : groups.offsets[g + 1]], 0
    if plan.column == WHOLE_POOL:
        for i in range(len(allowed)):  # without a branch, which could not be foretold
            reach[count] = i
            count += allowed[i] != 0
    else:
        ranks = columns.rank[plan.column, first : first + len(allowed)]
        for i in range(len(allowed)):
            reach[count] = i
            count += (allowed[i] != 0) & (ranks[i] >= plan.first) & (ranks[i] <= plan.last)
    if plan.strategy not in (TOP, ANCHORS, BANDS):
        return count
    if plan.strategy == TOP:
        return _best(columns, plan, first, size, reach, count, order, value)
    if plan.column == WHOLE_POOL or plan.strategy == ANCHORS:
        sorted_ = np.argsort(-columns.score[first + reach[:count]], kind="mergesort")
    else:
        rank = columns.rank[plan.column]
        sorted_ = np.argsort(rank[first + reach[:count]], kind="mergesort")
    for k in range(count):
        order[k] = reach[sorted_[k]]
    for k in range(count):  # a slice that is given an array takes seconds to compile
        reach[k] = order[k]
    return count


@_jit
def _best(columns, plan, first, size, reach, count, order, value):
    """Put the best of reach first, of equal ones the earlier: those that `top` skips are left out
    and those that it takes are in order. Returns how many are left."""
    skipped = 0
    if plan.column == WHOLE_POOL:
        skipped = min(count, plan.first - 1)
        for k in range(count):
            value[k] = columns.score[first + reach[k]]
    else:
        for k in range(count):
            value[k] = -np.float64(columns.rank[plan.column, first + reach[k]])
    most, held = min(count, skipped + size), 0
    if most > _FEW:
        sorted_ = np.argsort(-value[:count], kind="mergesort")
        for k in range(count):
            order[k] = sorted_[k]
    else:
        for k in range(count):  # hardly any is better than the last of those held
            if held == most:
                if not value[k] > value[order[held - 1]]:
                    continue
                held -= 1
            place = held
            while place > 0 and value[order[place - 1]] < value[k]:
                order[place] = order[place - 1]
                place -= 1
            order[place] = k
            held += 1
    for k in range(skipped, most):
        order[k] = reach[order[k]]
    for k in range(skipped, most):
        reach[k - skipped] = order[k]
    return count - skipped


@_jit
def _short(groups, columns, plan, g, size, reach, count, scratch, out):
    """Too few candidates: drop, or take all of them and draw the rest from the other allowed."""
    order, state = scratch
    out.status[g] = DECLINED if plan.short == ASK else SHORT
    if plan.short != FILL:
        return
    at = groups.offsets[g]
    taken = np.zeros(groups.offsets[g + 1] - at, np.uint8)
    taken[reach[:count]] = 1
    spare = np.flatnonzero((groups.allowed[at : groups.offsets[g + 1]] != 0) & (taken == 0))
    missing = size - count
    if len(spare) < missing:
        return
    out.status[g], out.filled[g] = CHOSEN, missing
    philox.permutation(state, len(spare), order)
    for k in range(size):
        own = k < count
        out.item[g, k] = reach[k] if own else spare[order[k - count]]
        out.inclusion[g, k] = 1.0 if own else missing / len(spare)


@_jit
def _stratified(groups, columns, plan, g, size, reach, count, scratch, out):
    """Bins of equal width of the score, each giving as many as the others where it can."""
    place, order, state = scratch
    first = groups.first[g]
    low = high = columns.score[first + reach[0]]
    for k in range(count):
        low = min(low, columns.score[first + reach[k]])
        high = max(high, columns.score[first + reach[k]])
    if not np.isfinite(high - low):
        out.status[g] = DECLINED
        return
    sizes = np.zeros(plan.bins, np.int64)
    for k in range(count):
        owner = 0
        if high > low:
            share = (columns.score[first + reach[k]] - low) / (high - low)
            owner = min(np.int64(share * plan.bins), plan.bins - 1)
        place[owner, sizes[owner]] = reach[k]
        sizes[owner] += 1
    take, open_bins, left = _even_shares(sizes, size)
    chance = np.zeros(plan.bins)
    for b in range(plan.bins):
        chance[b] = take[b]
    for b in open_bins:
        chance[b] += left / max(1, len(open_bins))
    philox.shuffle(state, open_bins, len(open_bins))
    for k in range(left):
        take[open_bins[k]] += 1
    chosen, bin_of = np.empty(size, np.int64), np.empty(size, np.int64)
    k = 0
    for b in range(plan.bins):
        if take[b]:
            philox.permutation(state, sizes[b], order)
            for j in range(take[b]):
                chosen[k], bin_of[k] = place[b, order[j]], b
                k += 1
    philox.permutation(state, size, order)
    for k in range(size):
        b = bin_of[order[k]]
        out.item[g, k], out.inclusion[g, k] = chosen[order[k]], chance[b] / sizes[b]


@_jit
def _even_shares(sizes, wanted):
    """Return what every bin gives for certain, the bins that can give one more, and how many do."""
    level, left = 0, wanted
    open_bins = np.flatnonzero(sizes > 0)
    while len(open_bins) <= left and len(open_bins):
        step = min(sizes[open_bins].min() - level, left // len(open_bins))
        level += step
        left -= step * len(open_bins)
        open_bins = np.flatnonzero(sizes > level)
    return np.minimum(sizes, level), open_bins, left


@_jit
def _softmax(groups, columns, plan, g, size, reach, count, scratch, out):
    """The systematic draw by exp(score/T), or by exp(−rank/T).

    In 16 bits a rank r is negated to 2¹⁶ − r, as NumPy does: one factor for all weights.
    """
    value, chance, work, order, state = scratch
    first, finite = groups.first[g], True
    for k in range(count):
        if plan.by_rank:
            value[k] = (65536.0 - columns.rank[plan.column, first + reach[k]]) / plan.T
        else:
            value[k] = columns.score[first + reach[k]] / plan.T
        finite &= np.isfinite(value[k])
    error = arrivals(value, count, size, work, chance) if finite else np.nan
    chosen = np.empty(size, np.int64)
    if not error < 1e-6 or not systematic(state, chance, count, size, error, order, chosen):
        out.status[g] = DECLINED
        return
    for k in range(size):
        if not same_single(chance[chosen[k]], error):
            out.status[g] = DECLINED
        out.item[g, k] = reach[chosen[k]]
        out.inclusion[g, k] = chance[chosen[k]]


@_jit
def _quotas(groups, columns, plan, g, size, population, state, scratch, out):
    """So many from each source; a document belongs to the first of them that found it."""
    place, order = scratch
    first, at, sources = groups.first[g], groups.offsets[g], len(plan.quota)
    available, take = np.zeros(sources, np.int64), np.empty(sources, np.int64)
    for k in range(sources):  # evenly, the first ones named take what is left over
        given = plan.quota[plan.turn[k], 1]
        take[plan.turn[k]] = given if given >= 0 else size // sources + (k < size % sources)
    if take.sum() != size:
        out.status[g] = DECLINED
        return
    for i in range(groups.offsets[g + 1] - at):
        for s in range(sources):
            rank = columns.rank[plan.quota[s, 0], first + i]
            if groups.allowed[at + i] and 1 <= rank <= plan.last:
                place[s, available[s]] = i
                available[s] += 1
                break
    short, free, drawn, mixed = False, population, 0, False
    for s in range(sources):
        short |= available[s] < take[s]
        if plan.quota[s, 2] == _FIXED:
            free -= available[s]
        else:
            drawn += take[s]
            mixed |= plan.quota[s, 2] != _DRAWN
    out.reach[g] = 0 if short else available.sum()
    if short:
        _short(groups, columns, plan, g, size, order, 0, (order, state), out)
        return
    if drawn and not free > 0.0:
        out.status[g] = DECLINED
        return
    chosen, chance = np.empty(size, np.int64), np.empty(size)
    k = 0
    for turn in plan.turn:
        philox.permutation(state, available[turn], order)
        for j in range(take[turn]):
            chosen[k] = place[turn, order[j]]
            chance[k] = take[turn] / max(1, available[turn])
            if plan.quota[turn, 2] != _FIXED:
                chance[k] = np.nan if mixed else drawn / free
            k += 1
    philox.permutation(state, size, order)
    for k in range(size):
        out.item[g, k], out.inclusion[g, k] = chosen[order[k]], chance[order[k]]
        if plan.chance == UNKNOWN:
            out.inclusion[g, k] = np.nan


@_jit
def _anchors(groups, columns, plan, g, size, reach, count, free, out):
    """The head, then anchors over the scores of the rest, which stand in falling order."""
    first, number, rest = groups.first[g], size - plan.head, count - plan.head
    high = columns.score[first + reach[plan.head]]
    low = columns.score[first + reach[count - 1]]
    for k in range(size):
        out.inclusion[g, k] = 1.0
        if k < plan.head:
            out.item[g, k] = reach[k]
    for k in range(rest):
        free[k] = 1.0
    for j in range(number):
        share = (j + 0.5) / number
        place = np.int64(share * rest)
        if plan.by_width:
            level, nearest = high - share * (high - low), np.inf
            for k in range(rest):
                distance = abs(columns.score[first + reach[plan.head + k]] - level)
                if free[k] > 0.0 and distance < nearest:
                    place, nearest = k, distance
            free[place] = 0.0
        out.item[g, plan.head + j] = reach[plan.head + place]


@_jit
def _bands(groups, columns, plan, g, size, reach, count, scratch, out):
    """So many from each band of ranks, of a source or of the teacher's order in `reach`."""
    order, state = scratch
    bands, first = len(plan.quota), groups.first[g]
    take, begin, end = (
        np.empty(bands, np.int64),
        np.empty(bands, np.int64),
        np.empty(bands, np.int64),
    )
    for b in range(bands):
        given = plan.quota[b, 2]
        take[b] = given if given >= 0 else size // bands + (b < size % bands)
    if take.sum() != size:
        out.status[g] = DECLINED
        return
    short = False
    for b in range(bands):
        if plan.column == WHOLE_POOL:
            begin[b] = min(count, plan.quota[b, 0] - 1)
            end[b] = min(count, plan.quota[b, 1])
        else:
            rank = columns.rank[plan.column]
            begin[b] = 0 if b == 0 else end[b - 1]
            while begin[b] < count and rank[first + reach[begin[b]]] < plan.quota[b, 0]:
                begin[b] += 1
            end[b] = begin[b]
            while end[b] < count and rank[first + reach[end[b]]] <= plan.quota[b, 1]:
                end[b] += 1
        short |= end[b] - begin[b] < take[b]
    if short:
        out.reach[g] = 0
        _short(groups, columns, plan, g, size, order, 0, (order, state), out)
        return
    chosen, chance, k = np.empty(size, np.int64), np.empty(size), 0
    for b in range(bands):
        members = np.sort(reach[begin[b] : end[b]])
        philox.permutation(state, len(members), order)
        for j in range(take[b]):
            chosen[k], chance[k] = members[order[j]], take[b] / max(1, len(members))
            k += 1
    philox.permutation(state, size, order)
    for k in range(size):
        out.item[g, k], out.inclusion[g, k] = chosen[order[k]], chance[order[k]]
