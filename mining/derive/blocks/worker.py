"""The worker that chooses blocks: candidates read, groups searched, measured, and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from ....native import blocks as native
from ....native import scales
from ...draws import key_of
from ...errors import BadInput
from ...processors import in_threads
from ...selection.base import STRATEGIES, Candidates
from ...selection.reader import Asked, CandidateReader
from ...selection.selector import Chooser
from ...statistics import STATISTICS
from ...statistics.base import Rows
from ...statistics.locality import VectorRows
from ...store import Output, Shard, open_artifact
from ...store.tables import design_schema
from .values import BlockedCell

STAGE = "blocks"
REASONS = {
    native.LOCALITY_NARROW: "locality_too_narrow",
    native.ENTROPY_NARROW: "entropy_too_narrow",
    native.NOT_ATTAINED: "cell_not_attained",
}


@dataclass(slots=True)
class Lists:
    """Items of many queries, positives first: what the search reads, and what a group carries.

    query uint32 [n], query_ids, positives int64 [n], offsets int64 [n+1]; doc uint32, score float32
    (as stored), grade int64 [items]; scaled float64 [items]: the score on the entropy's scale.
    """

    query: np.ndarray
    query_ids: list[str]
    positives: np.ndarray
    offsets: np.ndarray
    doc: np.ndarray
    score: np.ndarray
    grade: np.ndarray
    scaled: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.query)

    def keep(self, items: np.ndarray) -> Lists:
        """Return the lists without the items (bool) that are not kept; positives all stay."""
        owner = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        lengths = np.bincount(owner[items], minlength=len(self))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        names = ("doc", "score", "grade", "scaled")
        flat = {name: getattr(self, name)[items] for name in names}
        return Lists(self.query, self.query_ids, self.positives, offsets, **flat)

    def rows(self, kept: np.ndarray) -> Lists:
        """Return the lists of some queries (bool)."""
        if not len(self):
            return self
        items = np.repeat(kept, np.diff(self.offsets))
        offsets = np.concatenate([[0], np.cumsum(np.diff(self.offsets)[kept])]).astype(np.int64)
        names = ("doc", "score", "grade", "scaled")
        flat = {name: getattr(self, name)[items] for name in names}
        ids = [name for name, stays in zip(self.query_ids, kept, strict=True) if stays]
        return Lists(self.query[kept], ids, self.positives[kept], offsets, **flat)


class Blocker:
    """Chooses the blocks of a range of queries; all that is random is keyed by (seed, query)."""

    def __init__(
        self,
        paths: dict[str, str],
        design: str,
        filters: list[str],
        size: int,
        seed: int,
        **reading: Any,
    ):
        self.cell: BlockedCell = STRATEGIES.stored(design)
        self.reader = CandidateReader(paths, size=size, **reading)
        self.chooser = Chooser(design, filters, size, "drop_query")
        self.vectors = VectorRows(open_artifact(paths["vectors"]))
        self.size, self.seed = size, seed
        self.dropped: dict[str, list[int]] = {}

    def __call__(self, shard: Shard) -> Output:
        """Return the blocks of pool rows start…stop−1."""
        self.reader.counts, self.dropped = {}, {}
        lists = self._usable(self._lists(shard))
        chosen, levels, status = self._search(lists)
        for code, reason in REASONS.items():
            self._drop(lists, status == code, reason)
        attained = status == native.FOUND
        lists, chosen, levels = lists.rows(attained), chosen[attained], levels[attained]
        items = lists.offsets[:-1, None, None] + chosen
        measured = self._measure(lists, items)
        good = np.isfinite(measured).all(axis=(1, 2)) & self._attained(measured, levels)
        self._drop(lists, ~good, "cell_not_attained")
        table = self._table(lists.query[good], lists, items[good], measured[good], levels[good])
        self.reader.count("blocks", int(good.sum()))
        self.reader.count("pairs", int(good.sum()) * len(self.cell.cells) * self.size)
        return Output(table, dropped=self.dropped, counts=self.reader.counts)

    def _drop(self, lists: Lists, rows: np.ndarray, reason: str) -> None:
        self.dropped.setdefault(reason, []).extend(lists.query[rows].tolist())

    def _lists(self, shard: Shard) -> Lists:
        """Read the candidates of every query: the same rules as for any selection."""
        rows: list[tuple[Asked, Candidates, np.ndarray]] = []
        for asked in self.reader.rows(shard.start, shard.stop):
            if asked.reason is not None:
                self.dropped.setdefault(asked.reason, []).append(asked.query)
                continue
            around = asked.around[0]
            for name, removed in self.chooser.narrow(around).items():
                self.reader.count(f"filtered:{name}", removed)
            first = np.concatenate([[around.positive], around.also]).astype(np.int64)
            rows.append((asked, around, np.append(first, np.flatnonzero(around.allowed))))
        docs = [around.doc[items] for _, around, items in rows]
        return Lists(
            query=np.array([asked.query for asked, _, _ in rows], np.uint32),
            query_ids=[asked.query_id for asked, _, _ in rows],
            positives=np.array([1 + len(around.also) for _, around, _ in rows], np.int64),
            offsets=np.cumsum([0, *(len(items) for _, _, items in rows)]).astype(np.int64),
            doc=_joined(docs, np.uint32),
            score=_joined([around.score[items] for _, around, items in rows], np.float32),
            grade=_joined([r[0].grade_of(d) for r, d in zip(rows, docs, strict=True)], np.int64),
        )

    def _usable(self, lists: Lists) -> Lists:
        """Leave out what has no direction or no finite score, then queries with too little left."""
        lists.scaled = np.empty(len(lists.score))
        native.to_scale(lists.score, self.cell.scale_for(self.reader.scores.kind), lists.scaled)
        norms = self._square_norms(lists)
        bad = {"zero_vector": norms == 0.0, "saturated": ~np.isfinite(lists.scaled)}
        place = np.arange(len(lists.doc)) - np.repeat(lists.offsets[:-1], np.diff(lists.offsets))
        fixed = place < np.repeat(lists.positives, np.diff(lists.offsets))
        owner = np.repeat(np.arange(len(lists)), np.diff(lists.offsets))
        lost = np.zeros(len(lists), bool)
        reasons = {"zero_vector": "positive_without_direction", "saturated": "positive_saturated"}
        for name, items in bad.items():
            rows = np.bincount(owner[items & fixed], minlength=len(lists)).astype(bool) & ~lost
            self._drop(lists, rows, reasons[name])
            self.reader.count(f"excluded:{name}", int((items & ~fixed).sum()))
            lost |= rows
        kept = lists.keep(~(bad["zero_vector"] | bad["saturated"]) | fixed)
        short = (np.diff(kept.offsets) < self.size) & ~lost
        self._drop(kept, short, "too_few_candidates")
        return kept.rows(~(lost | short))

    def _square_norms(self, lists: Lists) -> np.ndarray:
        half, single, index = self.vectors.view(lists.doc)
        norms = np.empty(len(lists.doc), np.float32)
        native.square_norms(half, single, index, 0, len(norms), norms)
        for item in np.flatnonzero(~np.isfinite(norms))[:1]:
            raise BadInput(
                "a vector holds NaN, infinity or components too large to square",
                where=f"{self.vectors.artifact.path}, document {lists.doc[item]}",
                do="encode again, or leave that document out",
            )
        return norms

    def _search(self, lists: Lists) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (chosen int32 [n, cells, size], levels float64 [n, 2, bins], status uint8 [n])."""
        cell, n = self.cell, len(lists)
        chosen = np.zeros((n, len(cell.cells), self.size), np.int32)
        levels, status = np.full((n, 2, cell.bins), np.nan), np.zeros(n, np.uint8)
        keys = np.array([key_of(self.seed, STAGE, q) for q in lists.query_ids], np.uint64)
        temperature = STATISTICS.stored(cell.entropy).T
        least = np.array([cell.locality_step, cell.entropy_step])
        items = native.Items(
            lists.scaled / temperature,
            *self.vectors.view(lists.doc),
            lists.offsets,
            lists.positives,
            keys,
        )
        kind, cosine, role = cell.search_arguments()
        levels_of = cell.bins, cell.span, cell.tolerance, least
        design = native.Design(kind, cosine, role, *levels_of, self.size, cell.steps)
        in_threads(partial(_between, items, design, (chosen, levels, status)), lists.offsets)
        return chosen, levels, status

    def _measure(self, lists: Lists, items: np.ndarray) -> np.ndarray:
        """Locality and entropy of every group by the statistics themselves: [n, cells, 2]."""
        groups = items.reshape(-1, self.size)
        first = np.arange(self.size) < np.repeat(lists.positives, items.shape[1])[:, None]
        rows = Rows(
            query=np.repeat(lists.query, items.shape[1]),
            offsets=np.arange(len(groups) + 1, dtype=np.int64) * self.size,
            doc=lists.doc[groups].reshape(-1),
            scores=lists.score[groups].reshape(-1),
            positive=first.reshape(-1).astype(np.uint8),
            kind=self.reader.scores.kind,
            vectors=self.vectors,
        )
        measured = np.full((len(groups), 2), np.nan)
        for place, text in enumerate((self.cell.locality, self.cell.entropy)):
            values, status = STATISTICS.stored(text).measure(rows)
            defined = status == scales.DEFINED
            measured[defined, place] = values[defined]
        return measured.reshape(*items.shape[:2], 2)

    def _attained(self, measured: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Say of which blocks (bool [n]) every group is within the tolerance of its targets."""
        step = (levels[:, :, -1] - levels[:, :, 0]) / (self.cell.bins - 1)
        off = np.abs(measured - targets_of(levels)) / step[:, None, :]
        return np.asarray((off <= self.cell.tolerance).all(axis=(1, 2)))

    def _table(
        self,
        query: np.ndarray,
        lists: Lists,
        items: np.ndarray,
        measured: np.ndarray,
        levels: np.ndarray,
    ) -> pa.Table:
        cells = np.array(self.cell.cells, np.uint8)
        groups, aims = items.reshape(-1, self.size), targets_of(levels).reshape(-1, 2)
        kept = np.isin(lists.query, query)
        grade = lists.grade[groups].clip(-128, 127).astype(np.int8)
        values = measured.reshape(-1, 2)
        plain = [
            np.repeat(query, len(cells)),
            np.tile(cells[:, 0], len(query)),
            np.tile(cells[:, 1], len(query)),
            np.repeat(lists.positives[kept], len(cells)).astype(np.uint16),
        ]
        wide = [lists.doc[groups], lists.score[groups], grade]
        last = [aims[:, 0], values[:, 0], aims[:, 1], values[:, 1]]
        columns: list[pa.Array] = [pa.array(column) for column in plain]
        columns += [
            pa.FixedSizeListArray.from_arrays(pa.array(c.reshape(-1)), self.size) for c in wide
        ]
        columns += [pa.array(np.ascontiguousarray(column)) for column in last]
        return pa.Table.from_arrays(columns, schema=design_schema(self.size))


def targets_of(levels: np.ndarray) -> np.ndarray:
    """Return the targets (locality, entropy) of every cell, [n, bins², 2], from levels
    [n, 2, bins]."""
    bins = levels.shape[2]
    near = np.repeat(levels[:, 0, :], bins, axis=1)
    return np.stack([near, np.tile(levels[:, 1, :], (1, bins))], axis=2)


def _joined(arrays: Sequence[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *arrays]).astype(dtype)


def _between(
    items: native.Items, design: native.Design, into: tuple[Any, ...], start: int, stop: int
) -> None:
    native.search_blocks(items, design, start, stop, *into)
