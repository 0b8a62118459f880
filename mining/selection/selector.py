"""The worker that chooses: a range of pool rows in, their groups out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..draws import generator
from ..errors import BadInput
from ..groups.format import GroupArrays, groups_table
from ..meter.underway import so_far
from ..store import Output, Shard, split_by_work
from .base import FILTERS, FIXED, STRATEGIES, Candidates, Filter, Strategy, draw_uniformly
from .drawn import spare_chances, unsteady
from .kernels.chooser import in_order, kernel_chooser
from .reader import Asked, CandidateReader

_BLOCK_PAIRS = 2_000_000


@dataclass(slots=True)
class _Books:
    """Groups made and queries dropped by one shard."""

    size: int
    min_grade: int
    rows: list[tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = field(
        default_factory=list
    )
    dropped: dict[str, list[int]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    made: list[tuple[np.ndarray, GroupArrays]] = field(default_factory=list)
    place: list[int] = field(default_factory=list)  # the pool row of each of `rows`

    def drop(self, query: int, reason: str) -> None:
        self.dropped.setdefault(reason, []).append(query)

    def output(self) -> Output:
        def stack(column: int, dtype: Any) -> np.ndarray:
            lists = [row[column] for row in self.rows]
            return np.array(lists, dtype=dtype).reshape(len(lists), self.size)

        query = np.array([row[0] for row in self.rows], dtype=np.uint32)
        arrays = GroupArrays(
            query,
            stack(1, np.uint32),
            stack(2, np.float32),
            stack(3, np.int8),
            stack(4, np.float32),
        )
        if self.made:
            arrays = in_order([*self.made, (np.array(self.place, np.int64), arrays)])
        self.counts["pairs"] = arrays.doc.size
        return Output(
            groups_table(arrays, self.min_grade),
            dropped=self.dropped,
            counts=self.counts,
            usage={"pairs_used": arrays.doc.size},
        )


class Chooser:
    """Strategy, filters, and what happens when candidates are too few: one group at a time."""

    def __init__(self, strategy: str, filters: Sequence[str], size: int, when_short: str):
        self.strategy: Strategy = STRATEGIES.stored(strategy)
        self.filters: dict[str, Filter] = {text: FILTERS.stored(text) for text in filters}
        self.wanted, self.when_short = size - 1, when_short

    def narrow(self, candidates: Candidates) -> dict[str, int]:
        """Take what the filters remove from `allowed`; returns how many each removed."""
        removed = {}
        for text, one in self.filters.items():
            kept = one.keeps(candidates)
            removed[text] = int((candidates.allowed & ~kept).sum())
            candidates.allowed &= kept
        candidates.removed = removed
        return removed

    def probabilities(self, candidates: Candidates) -> tuple[np.ndarray, float]:
        """Narrow, then return π over the candidates (float64) and of a document outside the pool.

        π is what could have happened: where a source draws its lists itself, documents that this
        list happens not to hold have a probability too. NaN where it has no closed form.
        """
        self.narrow(candidates)
        wanted = self.negatives(candidates)
        return self._chances(candidates, self.strategy.reach(candidates, wanted), wanted)

    def by_draws(self, candidates: Candidates) -> bool:
        """Say whether strategy or filters look at lists that depend on what a source drew."""
        return unsteady(candidates, self.reads(list(candidates.rank)))

    def reads(self, labels: Sequence[str]) -> frozenset[str]:
        """Return the pool's columns on which the choice depends."""
        parts: list[Strategy | Filter] = [self.strategy, *self.filters.values()]
        return frozenset().union(*(part.reads(labels) for part in parts))

    def _chances(
        self, candidates: Candidates, reach: np.ndarray, wanted: int
    ) -> tuple[np.ndarray, float]:
        """Return π over narrowed candidates, given that a group is made of them.

        Where `fill` makes up for too few, it is given that this group was, or was not, filled up.
        """
        chances, labels = np.zeros(len(candidates)), list(candidates.rank)
        short = len(reach) < wanted
        drawn_filters = any(
            unsteady(candidates, one.reads(labels)) for one in self.filters.values()
        )
        if drawn_filters or (short and unsteady(candidates, self.strategy.reads(labels))):
            chances[candidates.allowed] = np.nan
            return chances, float("nan")
        if short:
            spare = self._spare(candidates, reach)
            chances[reach] = 1.0
            chances[spare], beyond = spare_chances(candidates, spare, wanted - len(reach))
            return chances, beyond
        beyond = self.strategy.beyond(candidates, reach, wanted)
        chances[candidates.allowed] = beyond
        chances[reach] = self.strategy.inclusion(candidates, reach, wanted)
        return chances, beyond

    def negatives(self, candidates: Candidates) -> int:
        """Return how many negatives the group takes beside its positives."""
        return self.wanted - len(candidates.also)

    def choose(
        self, candidates: Candidates, draws: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, int] | None:
        """Return (indices of the negatives, their π, how many were filled up); None drops the
        group.

        `fill` takes all that can be reached and draws the rest uniformly from the other allowed
        candidates of the pool. Raises BadInput for too few candidates under `error`.
        """
        wanted = self.negatives(candidates)
        reach = self.strategy.reach(candidates, wanted)
        if len(reach) >= wanted:
            chosen = self.strategy.choose(candidates, reach, wanted, draws)
            return chosen, self._chances(candidates, reach, wanted)[0][chosen], 0
        missing = wanted - len(reach)
        if self.when_short == "error":
            raise BadInput(
                f"query {candidates.query_id!r} has {len(reach)} candidates, "
                f"a group of {self.wanted + 1} needs {wanted}",
                where=str(self.strategy),
                do="mine deeper, filter less, choose smaller groups, or another when_short",
            )
        spare = self._spare(candidates, reach)
        if self.when_short == "drop_query" or len(spare) < missing:
            return None
        chosen = np.concatenate([reach, draw_uniformly(spare, missing, draws)])
        return chosen, self._chances(candidates, reach, wanted)[0][chosen], missing

    @staticmethod
    def _spare(candidates: Candidates, reach: np.ndarray) -> np.ndarray:
        return np.setdiff1d(np.flatnonzero(candidates.allowed), reach)


class Selector:
    """The worker: chooses the groups of a range of queries."""

    def __init__(
        self,
        paths: dict[str, str],
        strategy: str,
        filters: list[str],
        size: int,
        seed: int,
        when_short: str,
        **reading: Any,
    ):
        self.reader = CandidateReader(paths, size=size, **reading)
        self.chooser = Chooser(strategy, filters, size, when_short)
        self.size, self.seed = size, seed
        chooser = self.chooser
        self.kernels = kernel_chooser(self.reader, chooser.strategy, chooser.filters, when_short)

    def __call__(self, shard: Shard) -> Output:
        """Return the groups of pool rows start…stop−1."""
        self.reader.counts = {}
        books = _Books(self.size, self.reader.min_grade, counts=self.reader.counts)
        if self.kernels is None:
            self._one_by_one(books, shard.start, shard.stop)
            return books.output()
        for start, stop in self._blocks(shard):
            made = self.kernels(start, stop, self.seed)
            books.made.append((start + made.row, made.groups))
            for reason, queries in made.dropped.items():
                books.dropped.setdefault(reason, []).extend(queries.tolist())
            for name, number in made.counts.items():
                self.reader.count(name, number)
            for row in (start + made.declined).tolist():
                self._one_by_one(books, row, row + 1)
            so_far(stop - shard.start, shard.stop - shard.start)
        return books.output()

    def _blocks(self, shard: Shard) -> list[tuple[int, int]]:
        """Cut the shard into ranges whose columns take some 100 MB."""
        lengths = self.reader.pool.lengths(shard.start, shard.stop)
        cuts = split_by_work(lengths + 1, _BLOCK_PAIRS)
        return [(shard.start + cut.start, shard.start + cut.stop) for cut in cuts]

    def _one_by_one(self, books: _Books, start: int, stop: int) -> None:
        """Choose query by query: whatever strategy and filters are."""
        for row, asked in enumerate(self.reader.rows(start, stop), start):
            so_far(row - start, stop - start)
            if asked.reason is not None:
                books.drop(asked.query, asked.reason)
                continue
            made = [self._group(asked, number, books) for number in range(len(asked.around))]
            books.place += [row] * sum(made)
            self.reader.count("groups_short", len(made) - sum(made))
            if not any(made):
                books.drop(asked.query, "too_few_candidates")

    def _group(self, asked: Asked, number: int, books: _Books) -> bool:
        """Add the group around positive `number`; False when there are too few candidates."""
        candidates = asked.around[number]
        for name, removed in self.chooser.narrow(candidates).items():
            self.reader.count(f"filtered:{name}", removed)
        key = asked.query_id if number == 0 else f"{asked.query_id}\x00{number}"
        choice = self.chooser.choose(candidates, generator(self.seed, "select", key))
        if choice is None:
            return False
        first = [candidates.positive, *candidates.also]
        items = np.concatenate([first, choice[0]]).astype(np.int64)
        inclusion = np.concatenate([np.ones(len(first)), choice[1]])
        self.reader.count("filled", choice[2])
        drawn = any(origin != FIXED for origin in candidates.origin.values())
        if drawn and (choice[2] or self.chooser.by_draws(candidates)):
            unknown = bool(np.isnan(inclusion).any())
            estimated = bool(self.chooser.filters) or candidates.share_outside < 1.0
            self.reader.count("inclusion:unknown", unknown)
            self.reader.count("inclusion:estimated", estimated and not unknown)
        doc = candidates.doc[items]
        grade = asked.grade_of(doc).clip(-128, 127)
        books.rows.append((asked.query, doc, candidates.score[items], grade, inclusion))
        return True
