"""The draws of NumPy's `Generator(Philox(key=key))`, bit for bit, inside kernels.

A kernel that draws for many queries needs a generator per query; making one in Python takes longer
than all that is drawn from it. The state is one uint64 array of `STATE` words, and each function
draws what the method of the same name would draw next, so a query's draws are the same in a kernel
and in Python. Philox4x64-10: Salmon and others, "Parallel random numbers: as easy as 1, 2, 3", SC
2011.
"""

from __future__ import annotations

import numba
import numpy as np

from .hardware import upper_half

STATE = 9
"""Words of a state: four numbers made ahead, how many of them are used, the counter, the key, a
half that is left of a number, and whether there is one."""

_USED, _COUNTER, _KEY, _HALF, _HAS_HALF = 4, 5, 6, 7, 8
_FACTOR_0, _FACTOR_1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_STEP_0, _STEP_1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_ROUNDS = 10
_ONE, _LOW, _32, _11 = np.uint64(1), np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(11)
_FRACTION = 2.0**-53

_jit = numba.njit(cache=True, nogil=True)


@_jit
def seed(state, key):
    """Begin the draws of a key (uint64): `state` uint64 [STATE] is overwritten."""
    for word in range(STATE):
        state[word] = np.uint64(0)
    state[_USED] = np.uint64(4)
    state[_KEY] = key


@_jit
def _next_block(state):
    """Write the four numbers of the next counter; the upper words of counter and key are 0."""
    state[_COUNTER] += _ONE
    a, b, c, d = state[_COUNTER], np.uint64(0), np.uint64(0), np.uint64(0)
    key_0, key_1 = state[_KEY], np.uint64(0)
    for _ in range(_ROUNDS):
        high_0, high_1 = upper_half(_FACTOR_0, a), upper_half(_FACTOR_1, c)
        a, b, c, d = high_1 ^ b ^ key_0, _FACTOR_1 * c, high_0 ^ d ^ key_1, _FACTOR_0 * a
        key_0 += _STEP_0
        key_1 += _STEP_1
    state[0], state[1], state[2], state[3] = a, b, c, d
    state[_USED] = np.uint64(0)


@_jit
def next64(state):
    """Return the next 64 bits."""
    if state[_USED] == np.uint64(4):
        _next_block(state)
    value = state[np.int64(state[_USED])]
    state[_USED] += _ONE
    return value


@_jit
def next32(state):
    """Return the next 32 bits, as uint64: the lower half of a number, then its upper half."""
    if state[_HAS_HALF]:
        state[_HAS_HALF] = np.uint64(0)
        return state[_HALF]
    value = next64(state)
    state[_HAS_HALF], state[_HALF] = _ONE, value >> _32
    return value & _LOW


@_jit
def uniform(state):
    """Return the next number from [0, 1), as `random()` does."""
    return np.float64(next64(state) >> _11) * _FRACTION


@_jit
def below(state, bound, left):
    """Return the next whole number (uint64) below a bound of 2 … 2³²−1, as `integers` does.

    `left` is 2³² modulo the bound, both uint64. Lemire's method: the upper half of the product of
    32 bits and the bound, drawn again where the lower half is below `left` ("Fast random integer
    generation in an interval", ACM TOMACS 2019).
    """
    product = next32(state) * bound
    while product & _LOW < left:
        product = next32(state) * bound
    return product >> _32


@_jit
def count_draws(state, n, out):
    """Count how often each of 0 … n−1 is drawn in n draws, as `integers(0, n, n)` makes them.

    out uint16 [n] is overwritten; n < 2³². Whole blocks of four numbers are used as eight halves at
    once: a half that is drawn again is one that is passed over.
    """
    out[:] = 0
    if n == 1:  # nothing is drawn where there is no choice
        out[0] = 1
        return
    bound = np.uint64(n)
    left = (_LOW + _ONE) % bound
    done = 0
    while done < n and (state[_HAS_HALF] or state[_USED] != np.uint64(4)):
        out[np.int64(below(state, bound, left))] += 1
        done += 1
    while n - done >= 8:
        _next_block(state)
        state[_USED] = np.uint64(4)
        for word in range(4):
            for half in (state[word] & _LOW, state[word] >> _32):
                product = half * bound
                if product & _LOW >= left:
                    out[np.int64(product >> _32)] += 1
                    done += 1
    while done < n:
        out[np.int64(below(state, bound, left))] += 1
        done += 1


@_jit
def shuffle(state, items, n):
    """Put the first n items of an array in random order, as `permutation` does; n < 2³².

    NumPy takes as many bits as n − 1 has and draws again what is too large, here alone.
    """
    mask = _ONE
    while mask < np.uint64(max(1, n - 1)):
        mask = (mask << _ONE) | _ONE
    for last in range(n - 1, 0, -1):
        while (mask >> _ONE) >= np.uint64(last):
            mask >>= _ONE
        other = next32(state) & mask
        while other > np.uint64(last):
            other = next32(state) & mask
        place = np.int64(other)
        items[last], items[place] = items[place], items[last]


@_jit
def permutation(state, n, out):
    """Write 0 … n−1 in random order to the first n entries of out."""
    for place in range(n):
        out[place] = place
    shuffle(state, out, n)
