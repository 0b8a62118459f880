"""Runs without the query itself: what a source found, searched deeper, less what is left out."""

from __future__ import annotations

import numpy as np

from ..actors import Execution
from ..collection.handles import Collection
from ..store import Artifact, Output, Shard, Workspace, open_artifact, split_by_work
from . import itself
from .run import WITHOUT_CANDIDATES, Run, build_run, run_table

_SHARD_PAIRS = 4_000_000


def deeper(collection: Collection, pairs: np.ndarray, depth: int) -> int:
    """Return how deep to search so that `depth` documents stay without `pairs`."""
    most = int(np.unique(itself.queries_of(pairs), return_counts=True)[1].max(initial=0))
    written = len(collection.corpus) - len(collection.corpus.empty)
    return max(depth, min(depth + most, written))


def cleared_run(
    workspace: Workspace,
    run: Artifact,
    collection: Collection,
    split: str,
    *,
    pairs: np.ndarray,
    depth: int,
    cut: bool = True,
    executor: Execution,
) -> Artifact:
    """Return the run without `pairs`, its lists `cut` at `depth`; it keeps the label of its source.

    The lists of a drawn run stay uniform draws: of the documents that are not left out.
    """
    opened = Run(run)
    kept = {k: v for k, v in run.metadata.items() if k not in ("source", "split")}
    return build_run(
        workspace,
        opened.label,
        collection,
        split,
        depth=depth,
        worker=Clearer,
        options={
            "run": str(run.path),
            "pairs": pairs,
            "depth": depth if cut else None,
            "written": len(collection.corpus) - len(collection.corpus.empty),
        },
        shards=lambda: split_by_work(
            np.concatenate([np.diff(p.offsets) for p in opened.parts()]) + 1, _SHARD_PAIRS
        ),
        parameters={"self_rule": collection.self_rule},
        inputs={"of": run},
        metadata=kept,
        drawn=opened.drawn,
        executor=executor,
    )


class Clearer:
    """Leaves pairs out of the lists of a run, and cuts them."""

    def __init__(self, run: str, pairs: np.ndarray, depth: int | None, written: int):
        self.run, self.pairs, self.depth = Run(open_artifact(run)), pairs, depth
        self.written = written

    def __call__(self, shard: Shard) -> Output:
        """Return rows start…stop−1; counts what was left out, and what the run had counted."""
        queries = self.run.queries[shard.start : shard.stop]
        lists = self.run.lists(shard.start, shard.stop)
        offsets, docs, scores = itself.without(self.pairs, queries, lists)
        counts = {itself.COUNT: len(lists[1]) - len(docs)}
        place = np.arange(len(docs)) - np.repeat(offsets[:-1], np.diff(offsets))
        if self.depth is not None:
            docs, scores, place = (c[place < self.depth] for c in (docs, scores, place))
            lengths = np.minimum(np.diff(offsets), self.depth)
            offsets = np.concatenate([[0], np.cumsum(lengths)])
        inclusion = None
        if self.run.drawn:
            scores = -place.astype(np.float32)  # minus the place of the draw, see `random`
            own = itself.counts_of(self.pairs, queries)
            pool = self.written - own  # 0: nothing was left to be drawn from, and nothing was drawn
            share = np.diff(offsets) / np.maximum(pool, 1)
            inclusion = np.repeat(share, np.diff(offsets)).astype(np.float32)
        if shard.number == 0:
            counts |= self.run.artifact.counts
            counts.pop(WITHOUT_CANDIDATES, None)  # counted anew
        return Output(
            run_table(queries, offsets, docs, scores, inclusion),
            counts={name: n for name, n in counts.items() if n},
        )
