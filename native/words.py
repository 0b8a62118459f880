"""Words of UTF-8 text: found by Unicode's word-break rules, lower-cased, and numbered by first
appearance.

The rules are those of Unicode Standard Annex 29 as Lucene's StandardTokenizer applies them (its
grammar StandardTokenizerImpl.jflex): letters, digits and connectors stay together, one dot, comma,
colon or quote stays inside a word between two letters or two digits, and what is only connectors is
no word. A word is at most 255 code points long; longer ones are cut there.

Text comes as Arrow holds it: all bytes in one array, row r = data[bounds[r]:bounds[r+1]].
"""

from __future__ import annotations

import numba
import numpy as np

CLASSES = (
    "OTHER",
    "A_LETTER",
    "HEBREW",
    "NUMERIC",
    "KATAKANA",
    "EXTEND_NUM_LET",
    "SOUTH_EAST_ASIAN",
    "IDEOGRAPH",
    "PICTURE",
    "REGIONAL",
    "EXTEND",
    "MID_LETTER",
    "MID_NUM",
    "MID_NUM_LET",
    "SINGLE_QUOTE",
    "DOUBLE_QUOTE",
)
LONGEST_WORD = 255  # code points; Lucene's default maxTokenLength

_CLASS = {name: number for number, name in enumerate(CLASSES)}
_A, _H, _N, _K, _U, _S = (
    _CLASS[n]
    for n in ("A_LETTER", "HEBREW", "NUMERIC", "KATAKANA", "EXTEND_NUM_LET", "SOUTH_EAST_ASIAN")
)
_PICTURE, _REGIONAL, _EXTEND = _CLASS["PICTURE"], _CLASS["REGIONAL"], _CLASS["EXTEND"]
_DOUBLE_QUOTE = _CLASS["DOUBLE_QUOTE"]
_PAIR_DONE = _CLASS["IDEOGRAPH"]  # nothing joins an ideograph, nor a finished pair of regionals
_BREAK, _JOIN, _WAIT = 0, 1, 2
_ZERO_WIDTH_JOINER = 0x200D


def _steps() -> np.ndarray:
    """Return what a class does after another: break, join, or wait for what comes next.

    uint8 [16, 16]; the rules WB5 to WB13 of the annex.
    """
    step = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.uint8)
    for letter in (_A, _H):
        step[letter, [_A, _H, _N, _U]] = _JOIN
        for middle in ("MID_LETTER", "MID_NUM_LET", "SINGLE_QUOTE"):
            step[letter, _CLASS[middle]] = _WAIT
    step[_H, _CLASS["SINGLE_QUOTE"]] = _JOIN  # WB7a
    step[_H, _CLASS["DOUBLE_QUOTE"]] = _WAIT
    step[_CLASS["SINGLE_QUOTE"], [_A, _H, _N, _U]] = _JOIN  # only ever entered through WB7a
    step[_N, [_A, _H, _N, _U]] = _JOIN
    for middle in ("MID_NUM", "MID_NUM_LET", "SINGLE_QUOTE"):
        step[_N, _CLASS[middle]] = _WAIT
    step[_K, [_K, _U]] = _JOIN
    step[_U, [_A, _H, _N, _K, _U]] = _JOIN
    step[_S, _S] = _JOIN
    step[_REGIONAL, _REGIONAL] = _JOIN
    return step


_STEP = _steps()
_STARTS = np.array([0 < c <= _REGIONAL for c in range(len(CLASSES))])


@numba.njit(cache=True, nogil=True)
def _code_point(data, p, stop):
    """Return (code point, position after it) of the UTF-8 sequence at p; never reads past stop."""
    b = np.int64(data[p])
    if b < 0xE0 and p + 1 < stop:
        return (b & 0x1F) << 6 | (np.int64(data[p + 1]) & 0x3F), p + 2
    if b < 0xF0 and p + 2 < stop:
        middle = np.int64(data[p + 1]) & 0x3F
        return (b & 0x0F) << 12 | middle << 6 | (np.int64(data[p + 2]) & 0x3F), p + 3
    if p + 3 < stop:
        high, low = np.int64(data[p + 1]) & 0x3F, np.int64(data[p + 2]) & 0x3F
        point = (b & 0x07) << 18 | high << 12 | low << 6 | (np.int64(data[p + 3]) & 0x3F)
        return min(point, np.int64(0x10FFFF)), p + 4
    return np.int64(0xFFFD), stop


@numba.njit(cache=True, nogil=True)
def _skip_ascii_letters(data, p, stop, length):
    """Return (position, length) after the letters a to z and A to Z at p, as far as a word may."""
    last = min(stop, p + LONGEST_WORD - length)
    first = p
    while p < last and 0x61 <= np.int64(data[p]) | 0x20 <= 0x7A:
        p += 1
    return p, length + p - first


@numba.njit(cache=True, nogil=True)
def _next_word(data, p, stop, classes):
    """Return (start, end, is it a word) of the first candidate at or after p; (stop, stop, False)
    when there is none."""
    start = end = stop
    before, waiting, length, word, joiner = 0, 0, 0, False, False
    while p < stop and length < LONGEST_WORD:
        if before == _A and waiting == 0:  # the common case, a run of a to z, without tables
            p, length = _skip_ascii_letters(data, p, stop, length)
            if p > end:
                end, joiner = p, False
            if p == stop or length == LONGEST_WORD:
                break
        point, q = np.int64(data[p]), p + 1
        if point >= 0x80:
            point, q = _code_point(data, p, stop)
        c = np.int64(classes[point])
        if length == 0:
            if _STARTS[c]:
                start, end, before, length, word = p, q, c, 1, c != _U
        elif c == _EXTEND:
            joiner = point == _ZERO_WIDTH_JOINER
            if waiting == 0:
                end = q
            length += 1
        elif waiting != 0:
            if waiting == _DOUBLE_QUOTE:
                resumed = c == _H
            elif before == _N:
                resumed = c == _N
            else:
                resumed = c == _A or c == _H
            if not resumed:
                break
            end, before, waiting, length = q, c, 0, length + 1
        else:
            step = _STEP[before, c]
            if step == _WAIT:
                waiting = c
            elif step == _JOIN or (joiner and before == _PICTURE and c == _PICTURE):
                end, joiner, word = q, False, word or c != _U
                before = _PAIR_DONE if c == _REGIONAL else c
            else:
                break
            length += 1
        p = q
    return start, end, word


@numba.njit(cache=True, nogil=True)
def _without_possessive(data, start, end):
    """Return the end of data[start:end] without a final 's, in any of three apostrophes."""
    if end - start > 2 and data[end - 1] | 0x20 == 0x73:
        b = data[end - 2]
        if b == 0x27:
            return end - 2
        if end - start > 4:
            a, m = data[end - 4], data[end - 3]
            if (a == 0xE2 and m == 0x80 and b == 0x99) or (a == 0xEF and m == 0xBC and b == 0x87):
                return end - 4
    return end


@numba.njit(cache=True, nogil=True)
def _lower_into(pool, tail, data, start, end, lower):
    """Write data[start:end] in lower case at pool[tail:]; return (end of it, its hash)."""
    hashed = np.int64(0x811C9DC5)  # FNV-1a, 32 bits
    p, w = start, tail
    while p < end:
        b = data[p]
        if b < 0x80:
            small = lower[b]
            pool[w] = small
            hashed = ((hashed ^ np.int64(small)) * 0x01000193) & 0xFFFFFFFF
            p, w = p + 1, w + 1
        else:
            point, p = _code_point(data, p, end)
            head = _write_code_point(pool, w, lower[point])
            while w < head:
                hashed = ((hashed ^ np.int64(pool[w])) * 0x01000193) & 0xFFFFFFFF
                w += 1
    return w, hashed


@numba.njit(cache=True, nogil=True)
def _write_code_point(pool, w, point):
    """Write one code point as UTF-8 at pool[w:]; return the position after it."""
    if point < 0x80:
        pool[w] = point
        return w + 1
    if point < 0x800:
        pool[w], pool[w + 1] = 0xC0 | point >> 6, 0x80 | point & 0x3F
        return w + 2
    if point < 0x10000:
        pool[w], pool[w + 1] = 0xE0 | point >> 12, 0x80 | point >> 6 & 0x3F
        pool[w + 2] = 0x80 | point & 0x3F
        return w + 3
    pool[w], pool[w + 1] = 0xF0 | point >> 18, 0x80 | point >> 12 & 0x3F
    pool[w + 2], pool[w + 3] = 0x80 | point >> 6 & 0x3F, 0x80 | point & 0x3F
    return w + 4


@numba.njit(cache=True, nogil=True)
def _same(pool, a, a_end, b, b_end):
    """Compare two stretches of the pool."""
    if a_end - a != b_end - b:
        return False
    for i in range(a_end - a):
        if pool[a + i] != pool[b + i]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _number_rows(
    row, data, bounds, classes, lower, possessive, tokens, token_bounds, pool, ends, slots, forms
):
    """Number the words of rows from `row` on while there surely is room; return (row, forms).

    A slot is 0 or holds the hash (upper 32 bits) and the form's number + 1. The table is kept at
    most half full, counting every word a row could have.
    """
    mask = slots.size - 1
    while row < bounds.size - 1:
        p, stop = bounds[row], bounds[row + 1]
        most = forms + (stop - p) // 2 + 1
        if 2 * most > slots.size or ends[forms] + 2 * (stop - p) + 8 > pool.size:
            break
        count = token_bounds[row]
        while p < stop:
            start, p, word = _next_word(data, p, stop, classes)
            if not word:
                continue
            tail = ends[forms]
            end = _without_possessive(data, start, p) if possessive else p
            head, hashed = _lower_into(pool, tail, data, start, end, lower)
            at = hashed & mask
            while True:  # written out here and below: as a function it stays a call, half as fast
                slot = slots[at]
                form = np.int64(slot & np.uint64(0xFFFFFFFF)) - 1
                if form < 0:
                    form = forms
                    slots[at] = np.uint64(hashed) << np.uint64(32) | np.uint64(forms + 1)
                    forms += 1
                    ends[forms] = head
                    break
                if slot >> np.uint64(32) == np.uint64(hashed) and _same(
                    pool, ends[form], ends[form + 1], tail, head
                ):
                    break
                at = (at + 1) & mask
            tokens[count] = form
            count += 1
        token_bounds[row + 1] = count
        row += 1
    return row, forms


@numba.njit(cache=True, nogil=True)
def _number_pairs(
    row, data, bounds, classes, lower, tokens, token_bounds, pool, ends, slots, forms
):
    """Do what `_number_rows` does, with neighbours of class IDEOGRAPH in place of such words.

    A word of that class that touches none before or behind it stands alone.
    """
    mask = slots.size - 1
    while row < bounds.size - 1:
        p, stop = bounds[row], bounds[row + 1]
        most = forms + (stop - p) // 2 + 1
        if 2 * most > slots.size or ends[forms] + 2 * (stop - p) + 8 > pool.size:
            break
        count = token_bounds[row]
        held, held_end, alone = p, p, False  # the last word of that class; has it no neighbour yet
        while p < stop or alone:
            first, start, single, touches = p, p, False, False
            if p < stop:
                start, p, word = _next_word(data, p, stop, classes)
                if not word:
                    continue
                point = np.int64(data[start])
                if point >= 0x80:
                    point, _ = _code_point(data, start, p)
                single = np.int64(classes[point]) == _PAIR_DONE
                touches = single and held < held_end and held_end == start
                first = held if touches else start
            for side in range(2):
                begin, end = (held, held_end) if side == 0 else (first, p)
                if side == 0 and (touches or not alone):
                    continue
                if side == 1 and (begin == end or (single and not touches)):
                    continue
                tail = ends[forms]
                head, hashed = _lower_into(pool, tail, data, begin, end, lower)
                at = hashed & mask
                while True:
                    slot = slots[at]
                    form = np.int64(slot & np.uint64(0xFFFFFFFF)) - 1
                    if form < 0:
                        form = forms
                        slots[at] = np.uint64(hashed) << np.uint64(32) | np.uint64(forms + 1)
                        forms += 1
                        ends[forms] = head
                        break
                    if slot >> np.uint64(32) == np.uint64(hashed) and _same(
                        pool, ends[form], ends[form + 1], tail, head
                    ):
                        break
                    at = (at + 1) & mask
                tokens[count] = form
                count += 1
            alone = single and not touches
            held, held_end = (start, p) if single else (p, p)
        token_bounds[row + 1] = count
        row += 1
    return row, forms


@numba.njit(cache=True, nogil=True)
def _copy(old, new, count):
    """Copy old[:count] to the front of `new`, which is returned."""
    for i in range(count):
        new[i] = old[i]
    return new


@numba.njit(cache=True, nogil=True)
def _rehash(old, size):
    """Return the slots moved to a table of `size` slots."""
    slots = np.zeros(size, dtype=np.uint64)
    for slot in old:
        if slot != 0:
            at = np.int64(slot >> np.uint64(32)) & (size - 1)
            while slots[at] != 0:
                at = (at + 1) & (size - 1)
            slots[at] = slot
    return slots


@numba.njit(cache=True, nogil=True)
def tokenise(data, bounds, classes, lower, possessive, pairs):
    """Number the words of every row by their lower-cased form.

    data uint8 [bytes], bounds int64 [rows + 1], classes uint8 [0x110000] (see `CLASSES`), lower
    uint32 [0x110000]: code point → lower case. possessive: a final 's is cut off. pairs: words of
    class IDEOGRAPH that touch each other become all pairs of neighbours, as Lucene's
    CJKBigramFilter makes them; one that touches none stays a word, and no possessive is cut.

    Returns (tokens uint32 [words], token_bounds int64 [rows + 1], pool uint8, pool_bounds int64
    [forms + 1]): row r consists of the forms tokens[token_bounds[r]:token_bounds[r+1]], and form f
    is the UTF-8 text pool[pool_bounds[f]:pool_bounds[f+1]]. Forms are numbered by first appearance.
    """
    rows = bounds.size - 1
    # Two words share at least four bytes: a separator stands between them, or one is not ASCII.
    tokens = np.empty((bounds[rows] - bounds[0]) // 2 + rows + 1, dtype=np.uint32)
    token_bounds = np.zeros(rows + 1, dtype=np.int64)
    pool = np.empty(1 << 20, dtype=np.uint8)
    ends = np.zeros((1 << 16) + 1, dtype=np.int64)
    slots = np.zeros(1 << 17, dtype=np.uint64)
    row, forms = 0, 0
    while row < rows:
        if pairs:
            row, forms = _number_pairs(
                row, data, bounds, classes, lower, tokens, token_bounds, pool, ends, slots, forms
            )
        else:
            row, forms = _number_rows(
                row,
                data,
                bounds,
                classes,
                lower,
                possessive,
                tokens,
                token_bounds,
                pool,
                ends,
                slots,
                forms,
            )
        if row < rows:
            size = bounds[row + 1] - bounds[row]
            while 2 * (forms + size // 2 + 1) > slots.size:
                slots = _rehash(slots, 2 * slots.size)
            if slots.size // 2 + 1 > ends.size:
                ends = _copy(ends, np.zeros(slots.size // 2 + 1, dtype=np.int64), forms + 1)
            more = 2 * (pool.size + size)
            pool = _copy(pool, np.empty(more, dtype=np.uint8), ends[forms])
    return tokens[: token_bounds[rows]], token_bounds, pool[: ends[forms]], ends[: forms + 1]
