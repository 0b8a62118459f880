"""Filters that kernels know: what each takes from a whole range of candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from ....native import kept, near_texts
from ...collection.rows import strings_of
from ...processors import in_threads
from ...score_kinds import has_probability
from ...text.near_copies import shingled
from ..base import Filter, label_of
from ..filters import Between, Margin, NearCopies, Percentile, RankWindow, Share, scaled
from ..reader import CandidateReader
from .columns import Around, CandidateColumns

MOST_RANK = 65535
_BAND = 1e-9  # of a bound on log-probabilities, as in native.kept

Step = Callable[[CandidateColumns, Around, np.ndarray, np.ndarray], None]
"""Takes from the groups' flags; writes how many (int64) and what it could not decide (uint8)."""


def step_of(one: Filter, reader: CandidateReader) -> Step | None:
    """Return what a filter does by kernels; None for one that they do not know."""
    made = FILTER_STEPS.get(type(one))
    return None if made is None else made(one, reader)


def _scale(kind: str, scale: str) -> Callable[[CandidateColumns], np.ndarray] | None:
    """Return what gives the scores (float64) on a scale; None where there is no such scale."""
    if scale != "raw" and not has_probability(kind):
        return None  # an error, which names the query
    return lambda columns: scaled(columns.score, kind, scale)


def _below(gap: float, scale: str, reader: CandidateReader) -> Step | None:
    """s_j ≤ s_0 − gap; the log-probability of a logit is compared as a logit."""
    kind = reader.scores.kind
    on_scale = _scale(kind, scale)
    if on_scale is None:
        return None
    by_logit = kind == "logit" and scale == "logprob"

    def step(columns: CandidateColumns, around: Around, removed: Any, undecided: Any) -> None:
        score = columns.score if by_logit else on_scale(columns)

        def work(start: int, stop: int) -> None:
            kept.keep_below(around.flags, score, gap, by_logit, start, stop, removed, undecided)

        in_threads(work, around.flags.offsets)

    return step


def _between(one: Between, reader: CandidateReader) -> Step | None:
    kind = reader.scores.kind
    on_scale = _scale(kind, one.score)
    if on_scale is None:
        return None
    bounds = [-np.inf if one.low is None else one.low, np.inf if one.high is None else one.high]
    by_logit = kind == "logit" and one.score == "logprob"
    if by_logit:
        if any(0.0 <= bound < np.inf for bound in bounds):
            return None  # at the very end of the scale: rounding decides
        bounds = [b if np.isinf(b) else b - np.log(-np.expm1(b)) for b in bounds]
    given = float(bounds[0]), float(bounds[1]), _BAND if by_logit else 0.0

    def step(columns: CandidateColumns, around: Around, removed: Any, undecided: Any) -> None:
        score = columns.score if by_logit else on_scale(columns)

        def work(start: int, stop: int) -> None:
            kept.keep_between(around.flags, score, given, start, stop, removed, undecided)

        in_threads(work, around.flags.offsets)

    return step


def _ranks(one: RankWindow, reader: CandidateReader) -> Step:
    label = label_of(one.source, list(reader.pool.labels), "rank_window")
    last = MOST_RANK if one.last is None else one.last

    def step(columns: CandidateColumns, around: Around, removed: Any, undecided: Any) -> None:
        rank = columns.rank(label)

        def work(start: int, stop: int) -> None:
            kept.keep_ranks(around.flags, rank, one.first, last, start, stop, removed)

        in_threads(work, around.flags.offsets)

    return step


def _shares(one: Percentile, reader: CandidateReader) -> Step:
    def step(columns: CandidateColumns, around: Around, removed: Any, undecided: Any) -> None:
        def work(start: int, stop: int) -> None:
            kept.keep_shares(around.flags, columns.score, one.low, one.high, start, stop, removed)

        in_threads(work, around.flags.offsets)

    return step


def _near_copies(one: NearCopies, reader: CandidateReader) -> Step:
    def step(columns: CandidateColumns, around: Around, removed: Any, undecided: Any) -> None:
        flag = np.zeros(len(around.flags.allowed), np.uint8)
        originals = _originals(columns, around)
        for base, data, bounds in reader.texts.buffers():
            texts = near_texts.Texts(data, bounds, base)

            def work(start: int, stop: int, texts: Any = texts) -> None:
                near_texts.near_copies(
                    around.flags, columns.rows.doc, texts, originals, one.of,
                    start, stop, flag,
                )  # fmt: skip

            in_threads(work, around.flags.offsets)

        def take(start: int, stop: int) -> None:
            kept.keep_unmarked(around.flags, flag, start, stop, removed)

        in_threads(take, around.flags.offsets)

    return step


def _originals(columns: CandidateColumns, around: Around) -> near_texts.Originals:
    """The positives of every group's query, judged ones and its own."""
    first, last, doc = columns.positives
    lengths = (last - first)[around.row]
    ends = np.cumsum(lengths + 1)
    starts = ends - lengths - 1
    docs = np.empty(int(ends[-1]) if len(ends) else 0, np.uint32)
    own = np.zeros(len(docs), bool)
    own[starts] = True
    docs[own] = columns.rows.doc[around.flags.first + around.positive]
    within = np.arange(len(docs)) - np.repeat(starts, lengths + 1) - 1
    docs[~own] = doc[(np.repeat(first[around.row], lengths + 1) + within)[~own]]
    known, number = np.unique(docs, return_inverse=True)
    data, bounds = strings_of(columns.reader.corpus, "text", known)
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(data)]
    sets = shingled(pa.Array.from_buffers(pa.large_string(), len(known), buffers))
    return near_texts.Originals(
        data, bounds, sets.values, sets.offsets, starts, ends, number.astype(np.int64), docs
    )


FILTER_STEPS: dict[type, Callable[[Any, CandidateReader], Step | None]] = {
    Margin: lambda one, reader: _below(one.gap, one.score, reader),
    Share: lambda one, reader: _below(-np.log(one.of), "logprob", reader),
    Between: _between,
    RankWindow: _ranks,
    Percentile: _shares,
    NearCopies: _near_copies,
}
