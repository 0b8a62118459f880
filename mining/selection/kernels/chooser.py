"""Strategies and filters that kernels know, and how they choose for a whole range of pool rows.

A built-in strategy or filter declares itself in `STRATEGY_PLANS` or `FILTER_STEPS`: what its kernel
needs to know. Any other one, a plug-in say, goes query by query (`selector.Chooser`), and so does
every query that a kernel declines: it would raise an error, or rounding could decide. So kernels
choose the same groups, bit for bit, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....native import candidates as read
from ....native import choosing as native
from ...groups.format import GroupArrays
from ...processors import in_threads
from ..anchored import Anchors, Bands
from ..base import DRAWN, FIXED, MIXED, Filter, Strategy
from ..drawn import unsteady_lists
from ..quotas import Quotas
from ..reader import CandidateReader
from ..strategies import Random, Stratified, Top, Uniform
from ..weighted import Softmax
from .columns import EXCLUSIONS, Around, CandidateColumns
from .steps import MOST_RANK, Step, step_of

_MOST_BINS = 1024
_SHORT = {"drop_query": native.DROP, "error": native.ASK, "fill": native.FILL}


@dataclass(frozen=True, slots=True)
class Rank:
    """What a kernel needs to know: its code, a source (None: the whole pool), a window of ranks."""

    code: int
    source: str | None
    first: int = 1
    last: int | None = None
    bins: int = 0
    T: float = 1.0
    by_rank: bool = False
    quotas: tuple[str, ...] = ()
    take: tuple[int, ...] | None = None
    bands: tuple[tuple[int, int], ...] = ()
    head: int = 0
    most: int = 0
    by_width: bool = False


STRATEGY_PLANS: dict[type, Callable[[Any], Rank | None]] = {
    Uniform: lambda s: Rank(native.UNIFORM, s.source, s.first, s.last),
    Random: lambda s: Rank(native.UNIFORM, s.source),
    Top: lambda s: Rank(native.TOP, s.source, s.first),
    Stratified: lambda s: (
        Rank(native.STRATIFIED, s.source, last=s.last, bins=s.bins)
        if s.bins <= _MOST_BINS
        else None
    ),
    Softmax: lambda s: Rank(native.SOFTMAX, s.source, last=s.last, T=s.T, by_rank=s.by == "rank"),
    Quotas: lambda s: Rank(native.QUOTAS, None, last=s.last, quotas=s.sources, take=s.take),
    Bands: lambda s: Rank(native.BANDS, s.source, bands=tuple(s.windows), take=s.take),
    Anchors: lambda s: Rank(
        native.ANCHORS, s.source, last=s.last, head=s.top, most=s.count, by_width=s.by == "width"
    ),
}


@dataclass(slots=True)
class Made:
    """What a range of rows became: groups with the row (int64) of each, rows to be asked query by
    query, rows dropped by reason, and counts for the manifest."""

    groups: GroupArrays
    row: np.ndarray
    declined: np.ndarray
    dropped: dict[str, np.ndarray]
    counts: dict[str, int]


class KernelChooser:
    """Chooses for ranges of rows with one strategy and its filters."""

    def __init__(
        self,
        reader: CandidateReader,
        rank: Rank,
        filters: dict[str, Step],
        drawn_filters: bool,
        by_draws: bool,
        when_short: str,
    ):
        self.reader, self.rank, self.filters = reader, rank, filters
        self.drawn_filters, self.by_draws = drawn_filters, by_draws
        drawn = any(origin != FIXED for origin in reader.origin.values())
        self.drawn = drawn
        self.short = native.ASK if drawn and when_short == "fill" else _SHORT[when_short]

    def __call__(self, start: int, stop: int, seed: int) -> Made:
        """Choose the groups of pool rows start…stop−1."""
        columns = CandidateColumns(self.reader, start, stop)
        around = columns.around(seed)
        n = len(around)
        undecided, removed = np.zeros(n, np.uint8), {}
        for text, step in self.filters.items():
            removed[text] = np.zeros(n, np.int64)
            step(columns, around, removed[text], undecided)
        choice = self._choose(columns, around)
        declined = np.zeros(len(columns), bool)
        declined[columns.marked.status == read.DECLINED] = True
        declined[around.row[(undecided > 0) | (choice.status == native.DECLINED)]] = True
        return self._made(columns, around, choice, removed, declined)

    def _choose(self, columns: CandidateColumns, around: Around) -> native.Choice:
        n, most = len(around), self.reader.size - 1
        plan, ranks = self._plan(columns)
        needs = plan.chance == native.EVEN or (self.drawn and self.by_draws)
        given = native.Columns(
            columns.score,
            ranks,
            columns.marked.marks,
            columns.alone if needs else np.zeros(0, np.uint8),
            columns.marked.outside,
            around.row,
            around.key,
        )
        out = native.Choice(
            np.zeros((n, most), np.int64),
            np.zeros((n, most), np.float32),
            np.zeros(n, np.uint8),
            np.zeros(n, np.int64),
            np.zeros(n, np.int64),
            np.ones(n),
        )

        def work(start: int, stop: int) -> None:
            native.choose(around.flags, given, plan, needs, around.wanted, start, stop, out)

        in_threads(work, around.flags.offsets)
        return out

    def _plan(self, columns: CandidateColumns) -> tuple[native.Plan, np.ndarray]:
        """Return the plan and the ranks (uint16 [columns, pairs]) that it reads."""
        rank, origin = self.rank, self.reader.origin
        sources = list(rank.quotas) or ([] if rank.source is None else [rank.source])
        if rank.quotas:  # fixed lists choose first
            sources.sort(key=lambda one: origin.get(one, FIXED) != FIXED)
        named = rank.quotas or rank.bands
        take: dict[Any, int] = dict(zip(named, rank.take or [-1] * len(named), strict=True))
        codes = {FIXED: 0, DRAWN: 1, MIXED: 2}
        quota = [(*band, take[band]) for band in rank.bands]
        if rank.quotas:
            quota = [
                (number, take[source], codes[origin.get(source, FIXED)])
                for number, source in enumerate(sources)
            ]
        plan = native.Plan(
            rank.code,
            native.WHOLE_POOL if rank.source is None else 0,
            rank.first,
            MOST_RANK if rank.last is None else rank.last,
            self._chance(),
            self.short,
            rank.bins,
            float(rank.T),
            rank.by_rank,
            np.array(quota, np.int64).reshape(-1, 3),
            np.array([sources.index(source) for source in rank.quotas], np.int64),
            rank.head,
            rank.most,
            rank.by_width,
        )
        ranks = [columns.rank(source)[None] for source in sources]
        empty = np.empty((0, len(columns.rows.doc)), np.uint16)
        return plan, ranks[0] if len(ranks) == 1 else np.concatenate([empty, *ranks])

    def _chance(self) -> int:
        """Say how π follows from what the lists are (docs/inclusion.md)."""
        if self.drawn_filters:
            return native.UNKNOWN
        rank, origin = self.rank, self.reader.origin
        if rank.quotas:
            kinds = {origin.get(source, FIXED) for source in rank.quotas}
            return native.CLOSED if kinds == {FIXED} else native.EVEN
        if rank.source is None:
            kinds = set(origin.values()) or {FIXED}
        else:
            kinds = {origin.get(rank.source, FIXED)}
        if kinds == {FIXED}:
            return native.CLOSED
        by_place = rank.code in (native.UNIFORM, native.TOP, native.BANDS) or rank.by_rank
        return native.EVEN if kinds == {DRAWN} and by_place and rank.source else native.UNKNOWN

    def _made(
        self,
        columns: CandidateColumns,
        around: Around,
        choice: native.Choice,
        removed: dict[str, np.ndarray],
        declined: np.ndarray,
    ) -> Made:
        ours, rows, marked = ~declined[around.row], columns.rows, columns.marked
        good = ours & (choice.status == native.CHOSEN)
        counts = self._counts(columns, around, choice, removed, declined)
        answered = np.zeros(len(columns), bool)
        answered[around.row[good]] = True
        ready = marked.status == read.READY
        dropped = {
            "no_positive": rows.query[marked.status == read.NO_POSITIVE],
            "unscored": rows.query[marked.status == read.UNSCORED],
            "too_few_candidates": rows.query[ready & ~declined & ~answered],
        }
        first = np.concatenate([around.positive[:, None], around.also], axis=1)[good]
        fixed = first >= 0
        size = self.reader.size
        items, inclusion = np.zeros((2, int(good.sum()), size))
        items = items.astype(np.int64)
        place = np.arange(size)
        heads = fixed.sum(axis=1)[:, None]
        items[place < heads] = first[fixed]
        inclusion[place < heads] = 1.0
        tail = np.arange(size - 1) < around.wanted[good][:, None]
        items[place >= heads] = choice.item[good][tail]
        inclusion[place >= heads] = choice.inclusion[good][tail]
        at = around.flags.first[good][:, None] + items
        groups = GroupArrays(
            rows.query[around.row[good]],
            rows.doc[at],
            columns.score[at].astype(np.float32),
            marked.grade[at].clip(-128, 127).astype(np.int8),
            inclusion.astype(np.float32),
        )
        return Made(groups, around.row[good], np.flatnonzero(declined), dropped, counts)

    def _counts(
        self,
        columns: CandidateColumns,
        around: Around,
        choice: native.Choice,
        removed: dict[str, np.ndarray],
        declined: np.ndarray,
    ) -> dict[str, int]:
        ours, marked = ~declined[around.row], columns.marked
        good = ours & (choice.status == native.CHOSEN)
        by_bit = np.zeros(8, np.int64)
        counted = (marked.status == read.READY) & ~declined
        read.count_marks(marked.marks, columns.rows.offsets, counted, by_bit)
        counts = {name: int(by_bit[bit.bit_length() - 1]) for name, bit in EXCLUSIONS.items()}
        counts |= columns.unscored(counted)
        counts |= {f"filtered:{text}": int(taken[ours].sum()) for text, taken in removed.items()}
        counts["groups_short"] = int((ours & (choice.status == native.SHORT)).sum())
        counts["filled"] = int(choice.filled[good].sum())
        if self.drawn and self.by_draws:
            unknown = np.atleast_1d(np.isnan(choice.inclusion[good]).any(axis=1))
            estimated = np.full(len(unknown), bool(self.filters)) | (choice.share[good] < 1.0)
            counts["inclusion:unknown"] = int(unknown.sum())
            counts["inclusion:estimated"] = int((estimated & ~unknown).sum())
        return counts


def kernel_chooser(
    reader: CandidateReader, strategy: Strategy, filters: dict[str, Filter], when_short: str
) -> KernelChooser | None:
    """Return what chooses by kernels, None where the strategy or a filter is not one they know."""
    plan = STRATEGY_PLANS.get(type(strategy), lambda _: None)(strategy)
    steps = {text: step_of(one, reader) for text, one in filters.items()}
    if plan is None or any(step is None for step in steps.values()):
        return None
    labels = reader.pool.labels
    drawn = [unsteady_lists(reader.origin, one.reads(labels)) for one in filters.values()]
    by_draws = any(drawn) or unsteady_lists(reader.origin, strategy.reads(labels))
    known = {text: step for text, step in steps.items() if step is not None}
    return KernelChooser(reader, plan, known, any(drawn), by_draws, when_short)


def in_order(pieces: Sequence[tuple[np.ndarray, GroupArrays]]) -> GroupArrays:
    """Join groups by the row that each is of; those of one row keep their order."""
    row = np.concatenate([rows for rows, _ in pieces])
    order = np.argsort(row, kind="stable")
    columns = (
        np.concatenate([getattr(groups, name) for _, groups in pieces])[order]
        for name in ("query", "doc", "score", "grade", "inclusion")
    )
    return GroupArrays(*columns)
