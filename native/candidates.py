"""Candidates of many queries at once: teacher scores joined, documents marked, positives found.

A range of pool rows stands in flat columns: row r has the documents doc[offsets[r]:offsets[r+1]],
ascending. Stored scores and judgements ascend too, so that a join is a merge or a binary search.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True)

POSITIVE, EMPTY, COPY, EXCLUDED = 1, 2, 4, 8
"""Why a document can be no negative: bits of `marks`."""

READY, NO_POSITIVE, UNSCORED, DECLINED = 0, 1, 2, 3
"""What became of a row. DECLINED: it needs the way query by query, for an error of its own, say."""

FIRST, ALL, TOGETHER, BEST = 0, 1, 2, 3
ERROR, DROP_DOC, DROP_QUERY = 0, 1, 2


class Lists(NamedTuple):
    """Documents of rows: query uint32 [n], offsets int64 [n+1], doc uint32 [pairs]."""

    query: np.ndarray
    offsets: np.ndarray
    doc: np.ndarray


class Judged(NamedTuple):
    """Judgements: first, last int64 [n] bound those of a row; doc uint32, grade int16 of all."""

    first: np.ndarray
    last: np.ndarray
    doc: np.ndarray
    grade: np.ndarray


class Rules(NamedTuple):
    """What counts: grades of positives and of excluded documents, how many documents a corpus has,
    which positives and what missing scores mean, and the size of groups."""

    min_grade: int
    excluded: int
    documents: int
    positives: int
    missing: int
    size: int


class Marked(NamedTuple):
    """What `mark` writes. By pair: marks uint8, grade int16. By row: status uint8; outside int64,
    the documents that the pool lacks and may be negatives; anchors int64 [n], how many. And anchor
    int64, the places in their rows of the documents to build groups around, best first: those of
    row r from place[r] on."""

    marks: np.ndarray
    grade: np.ndarray
    status: np.ndarray
    outside: np.ndarray
    anchors: np.ndarray
    place: np.ndarray
    anchor: np.ndarray


@_jit
def place_of(values, first, last, wanted):
    """Return the place in the ascending values[first:last] of the first that is not below."""
    while first < last:
        middle = (first + last) // 2
        if values[middle] < wanted:
            first = middle + 1
        else:
            last = middle
    return first


@_jit
def _among(values, first, last, wanted):
    place = place_of(values, first, last, wanted)
    return place < last and values[place] == wanted


@_jit
def join_scores(rows, stored, value, start, stop, out, status):
    """Write the score (float64) of every pair of rows [start, stop) that is stored.

    rows, stored: Lists, both ascending by query and document; value float32 of stored pairs. `out`
    is left as it is where nothing is stored. A row with a stored score that is not finite becomes
    DECLINED, also where the pool lacks that document.
    """
    for r in range(start, stop):
        s = place_of(stored.query, 0, len(stored.query), rows.query[r])
        if s == len(stored.query) or stored.query[s] != rows.query[r]:
            continue
        known = stored.doc[stored.offsets[s] : stored.offsets[s + 1]]
        scores = value[stored.offsets[s] : stored.offsets[s + 1]]
        docs = rows.doc[rows.offsets[r] : rows.offsets[r + 1]]
        joined = out[rows.offsets[r] : rows.offsets[r + 1]]
        finite, same = 0, 0
        for j in range(len(scores)):
            finite += abs(scores[j]) < np.inf
        if finite < len(scores):
            status[r] = DECLINED
        if len(known) == len(docs):  # mostly it is the pool that was scored
            for i in range(len(docs)):
                same += known[i] == docs[i]
        if same == len(docs):
            for i in range(len(docs)):
                joined[i] = scores[i]
        else:
            _merge(docs, known, scores, joined)


@_jit
def _merge(docs, known, scores, out):
    """Write the score of every document that is known; both ascend."""
    at = 0
    for i in range(len(docs)):
        while at < len(known) and known[at] < docs[i]:
            at += 1
        if at < len(known) and known[at] == docs[i]:
            out[i] = scores[at]


@_jit
def mark(rows, score, judged, empty, rules, start, stop, out):
    """Mark the documents of rows [start, stop) and find what to build groups around.

    score float64, NaN where it is missing; empty uint32, ascending. The rules are those of
    `mining.selection.reader.CandidateReader`, which is the oracle.
    """
    for r in range(start, stop):
        if out.status[r] == DECLINED:
            continue
        first, last = rows.offsets[r], rows.offsets[r + 1]
        beyond = 0  # positives and excluded documents that the pool lacks
        empty_inside = 0
        for j in range(judged.first[r], judged.last[r]):
            doc, grade = judged.doc[j], judged.grade[j]
            never = grade >= rules.min_grade or grade == rules.excluded
            i = place_of(rows.doc, first, last, doc)
            if i < last and rows.doc[i] == doc:
                out.grade[i] = grade
                if grade >= rules.min_grade:
                    out.marks[i] |= POSITIVE
                elif grade == rules.excluded:
                    out.marks[i] |= EXCLUDED
            elif never:
                beyond += 1
                empty_inside += _among(empty, 0, len(empty), doc)
        if len(empty):
            for i in range(first, last):
                if _among(empty, 0, len(empty), rows.doc[i]):
                    empty_inside += 1
                    if not out.marks[i] & POSITIVE:
                        out.marks[i] |= EMPTY
        known = last - first + beyond + len(empty) - empty_inside
        out.outside[r] = rules.documents - known
        if rules.positives == BEST:
            _anchor_best(rows, score, empty, r, out)
        else:
            _anchors_judged(rows, judged, empty, rules, r, out)
        if out.status[r] == READY:
            _keep_scored(rows, score, rules, r, out)


@_jit
def _anchor_best(rows, score, empty, r, out):
    """The document with the highest score, the lower ordinal among equals."""
    best = -1
    for i in range(rows.offsets[r], rows.offsets[r + 1]):
        if math.isnan(score[i]) or out.marks[i] & EXCLUDED:
            continue
        if best >= 0 and not score[i] > score[best]:
            continue
        if not _among(empty, 0, len(empty), rows.doc[i]):
            best = i
    out.anchors[r] = best >= 0
    if best >= 0:
        out.anchor[out.place[r]] = best - rows.offsets[r]


@_jit
def _anchors_judged(rows, judged, empty, rules, r, out):
    """Positives that are not empty, the highest grade first, then the lower ordinal.

    One that the pool lacks is noted as −1.
    """
    first, last, at = rows.offsets[r], rows.offsets[r + 1], out.place[r]
    count = 0
    grades = np.empty(judged.last[r] - judged.first[r], np.int64)
    for j in range(judged.first[r], judged.last[r]):
        doc, grade = judged.doc[j], judged.grade[j]
        if grade < rules.min_grade or _among(empty, 0, len(empty), doc):
            continue
        i = place_of(rows.doc, first, last, doc)
        place = i - first if i < last and rows.doc[i] == doc else -1
        k = count
        while k > 0 and grades[k - 1] < grade:
            grades[k] = grades[k - 1]
            out.anchor[at + k] = out.anchor[at + k - 1]
            k -= 1
        grades[k] = grade
        out.anchor[at + k] = place
        count += 1
    out.anchors[r] = count
    if not count:
        out.status[r] = NO_POSITIVE


@_jit
def _keep_scored(rows, score, rules, r, out):
    """Leave the anchors that have a score, as many as are wanted, or what the policy says."""
    first, at, count = rows.offsets[r], out.place[r], out.anchors[r]
    wanted = 1
    if rules.positives == ALL:
        wanted = count
    elif rules.positives == TOGETHER:
        wanted = rules.size // 2
    wanted = min(wanted, count)
    kept = 0
    if rules.missing == DROP_DOC:
        for k in range(count):
            place = out.anchor[at + k]
            if kept < wanted and place >= 0 and not math.isnan(score[first + place]):
                out.anchor[at + kept] = place
                kept += 1
    else:
        missing, own = 0, score[first : rows.offsets[r + 1]]
        for i in range(len(own)):
            missing += own[i] != own[i]
        for k in range(wanted):
            missing += out.anchor[at + k] < 0
        holes = missing > 0
        if holes and rules.missing == ERROR:
            out.status[r] = DECLINED
        kept = 0 if holes else wanted
    out.anchors[r] = kept
    if out.status[r] == READY and not kept:
        out.status[r] = UNSCORED


@_jit
def mark_copies(rows, marks, data, bounds, base, texts, originals, start, stop):
    """Mark as COPY what has the very text of one of its row's originals.

    data uint8 and bounds [documents+1] hold the texts of documents base, base+1, …: a part of the
    corpus. texts = (data uint8, bounds int64) of distinct texts, originals = (first, last int64
    [n], number int64): the numbers of a row's originals among them. Positives and empty documents
    are not marked. Only texts of equal length are read.
    """
    text, text_bounds = texts
    of_row, to_row, number = originals
    limit = base + len(bounds) - 1
    for r in range(start, stop):
        if of_row[r] == to_row[r]:
            continue
        at = place_of(rows.doc, rows.offsets[r], rows.offsets[r + 1], base)
        end = place_of(rows.doc, at, rows.offsets[r + 1], limit)
        for i in range(at, end):
            begin = bounds[rows.doc[i] - base]
            length = bounds[rows.doc[i] - base + 1] - begin
            for k in range(of_row[r], to_row[r]):
                other = text_bounds[number[k]]
                if text_bounds[number[k] + 1] - other != length or marks[i] & (POSITIVE | EMPTY):
                    continue
                b = 0
                while b < length and data[begin + b] == text[other + b]:
                    b += 1
                if b == length:
                    marks[i] |= COPY


@_jit
def mark_keys(rows, marks, keys, digest, originals, start, stop):
    """Mark as COPY what has the key of one of its row's originals, but key 0, which is no text's.

    keys uint64 by document, digest uint8: the lowest byte of each, an eighth of the memory to look
    at for what has another byte. originals = (first, last int64 [n], doc uint32): the originals of
    row r are doc[first[r]:last[r]]. Positives and empty documents are not marked.
    """
    of_row, to_row, doc = originals
    wanted = np.zeros(256, np.uint8)
    for r in range(start, stop):
        if of_row[r] == to_row[r]:
            continue
        for k in range(of_row[r], to_row[r]):
            wanted[digest[doc[k]]] = 1
        for i in range(rows.offsets[r], rows.offsets[r + 1]):
            if not wanted[digest[rows.doc[i]]] or marks[i] & (POSITIVE | EMPTY):
                continue
            key = keys[rows.doc[i]]
            for k in range(of_row[r], to_row[r]):
                if key != 0 and keys[doc[k]] == key:
                    marks[i] |= COPY
                    break
        for k in range(of_row[r], to_row[r]):
            wanted[digest[doc[k]]] = 0


@_jit
def count_marks(marks, offsets, counted, out):
    """Add how many documents of the rows that are `counted` (bool [n]) have each mark: out int64,
    by the bits of `marks` (uint8)."""
    for r in range(len(counted)):
        if counted[r]:
            own = marks[offsets[r] : offsets[r + 1]]
            for bit in range(len(out)):
                count = 0
                for i in range(len(own)):
                    count += (own[i] >> bit) & 1
                out[bit] += count
