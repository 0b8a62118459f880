"""Fusion of runs: reciprocal ranks (RRF), CombSUM, CombMNZ, and linear weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ..actors import Execution
from ..collection.handles import Collection
from ..errors import UsageError
from ..names import nearest, parse
from ..options import Option
from ..parts.parameters import MEMBERS, SCORE_SCALING
from ..runs.run import Run, build_run, run_table
from ..runs.union import Lists, Union, union_of
from ..store import Artifact, Output, Shard, Workspace, open_artifact, split_by_work
from .base import SOURCES, check_written, mines

_SHARD_PAIRS = 4_000_000
_SCALINGS = ("min_max", "z", "raw")


@SOURCES.register("rrf")
@dataclass(frozen=True, slots=True)
class Rrf:
    """Sum of 1 / (k + rank) over the runs that hold the document.

    `of`: names of runs or sources. Source: Cormack, Clarke and Büttcher, SIGIR 2009, where k is 60.
    """

    of: Annotated[tuple[Any, ...], MEMBERS]
    k: Annotated[
        int, Option("Added to every rank: larger, and the first ranks count for less.")
    ] = 60

    def __post_init__(self) -> None:
        _check_members(self.of)
        if self.k < 0:
            raise UsageError(f"k={self.k} must be at least 0", where="source rrf")


@SOURCES.register("combsum")
@dataclass(frozen=True, slots=True)
class CombSum:
    """Sum of scores, each list normalised by itself: `min_max` unless said otherwise.

    `min_max` scales a list to 0…1 by its own smallest and largest score; a list of equal scores
    counts 1 for each document. `z` takes the list's mean and standard deviation to 0 and 1; a
    document that a list lacks counts as its lowest. `raw` sums scores as they are. Source: Fox and
    Shaw, TREC-2, 1994, with the scaling of Lee, SIGIR 1997.
    """

    of: Annotated[tuple[Any, ...], MEMBERS]
    normalise: Annotated[str | None, SCORE_SCALING] = None

    def __post_init__(self) -> None:
        _check_members(self.of)
        _check_scaling(self.normalise)


@SOURCES.register("combmnz")
@dataclass(frozen=True, slots=True)
class CombMnz:
    """CombSUM times the number of lists that hold the document.

    Source: Fox and Shaw, TREC-2, 1994.
    """

    of: Annotated[tuple[Any, ...], MEMBERS]
    normalise: Annotated[str | None, SCORE_SCALING] = None

    def __post_init__(self) -> None:
        _check_members(self.of)
        _check_scaling(self.normalise)


@SOURCES.register("linear")
@dataclass(frozen=True, slots=True)
class Linear:
    """Weighted sum of normalised scores, Σ w · s; `normalise` as for `combsum`."""

    of: Annotated[tuple[Any, ...], MEMBERS]
    weights: Annotated[tuple[float, ...], Option("A weight for each member.", example="[0.3,0.7]")]
    normalise: Annotated[str | None, SCORE_SCALING] = None

    def __post_init__(self) -> None:
        _check_members(self.of)
        _check_scaling(self.normalise)
        if len(self.weights) != len(self.of):
            raise UsageError(
                f"{len(self.weights)} weights for {len(self.of)} runs",
                where="source linear",
                do="write linear(of=[a,b],weights=[0.7,0.3])",
            )


def _check_scaling(normalise: str | None) -> None:
    if normalise not in (None, *_SCALINGS):
        raise UsageError(f"normalise={normalise} is not known", do=nearest(normalise, _SCALINGS))


def _check_members(of: tuple[Any, ...]) -> None:
    if len(of) < 2:
        raise UsageError(
            f"fusion needs at least two runs, of={list(map(str, of))} names {len(of)}",
            do="write for example rrf(of=[my-bm25,my-dense])",
        )
    for member in of:
        check_written(member)


@mines(Rrf)
@mines(CombSum)
@mines(CombMnz)
@mines(Linear)
def mine_fusion(
    workspace: Workspace,
    source: Rrf | CombSum | CombMnz | Linear,
    collection: Collection,
    split: str,
    depth: int,
    seed: int,
    executor: Execution,
) -> Artifact:
    """Fuse the member runs at whatever depth they have; members given as sources are mined.

    A member's label stands in the fused run's label, so that names given by the user do not enter
    the fingerprint.
    """
    from . import run_of

    members = [
        run_of(workspace, str(member), collection, split, depth=depth, seed=seed, executor=executor)
        for member in source.of
    ]
    label = str(dataclasses.replace(source, of=tuple(parse(run.label) for run in members)))
    pairs = np.sum([_lengths(run) for run in members], axis=0, dtype=np.int64)
    return build_run(
        workspace,
        label,
        collection,
        split,
        depth=depth,
        inputs={f"run[{number}]": run.artifact for number, run in enumerate(members)},
        worker=Fuser,
        options={
            "source": str(dataclasses.replace(source, of=("run",) * len(members))),
            "runs": [str(run.artifact.path) for run in members],
            "depth": depth,
        },
        shards=lambda: split_by_work(np.maximum(pairs, 1), _SHARD_PAIRS),
        executor=executor,
    )


def _lengths(run: Run) -> np.ndarray:
    return np.concatenate([np.diff(part.offsets) for part in run.parts()])


class Fuser:
    """Fuses the lists of a range of queries."""

    def __init__(self, source: str, runs: list[str], depth: int):
        value = SOURCES.stored(source)
        self.fuse = fuser_of(value, len(runs))
        self.runs = [Run(open_artifact(path)) for path in runs]
        self.depth = depth

    def __call__(self, shard: Shard) -> Output:
        """Return the fused run of queries `start…stop−1` of the split."""
        lists = [run.lists(shard.start, shard.stop) for run in self.runs]
        queries = self.runs[0].queries[shard.start : shard.stop]
        return Output(run_table(queries, *fuse_lists(lists, self.fuse, self.depth)))


def fuser_of(value: Rrf | CombSum | CombMnz | Linear, runs: int) -> Callable[[Union], np.ndarray]:
    """Return the function that gives the documents of a union of runs their fused scores."""
    return _Rrf(value.k) if isinstance(value, Rrf) else _Sum(value, runs)


def fuse_lists(lists: Sequence[Lists], fuse: Callable[[Union], np.ndarray], depth: int) -> Lists:
    """Return the fused lists of each query, at most `depth` long, best first, ties by document."""
    union = union_of(lists)
    scores = fuse(union).astype(np.float32)
    row = np.repeat(np.arange(len(union.offsets) - 1), np.diff(union.offsets))
    # float32 first, then sorted: the stored scores themselves obey the tie rule
    order = np.lexsort((union.docs, -scores, row))
    kept = order[np.arange(len(order)) - union.offsets[row] < depth]
    lengths = np.minimum(np.diff(union.offsets), depth)
    return np.concatenate([[0], np.cumsum(lengths)]), union.docs[kept], scores[kept]


class _Rrf:
    def __init__(self, k: int):
        self.k = k

    def __call__(self, union: Union) -> np.ndarray:
        total = np.zeros(len(union.docs))
        for ranks in union.ranks:  # in the order of the members: a sum has one order
            places = self.k + ranks.astype(np.float64)
            total += np.divide(1.0, places, out=np.zeros(len(total)), where=ranks > 0)
        return total


class _Sum:
    """Weighted sums of normalised scores, in the order of the members."""

    def __init__(self, source: CombSum | CombMnz | Linear, runs: int):
        self.weights = source.weights if isinstance(source, Linear) else (1.0,) * runs
        self.normalise = source.normalise or "min_max"
        self.times_lists = isinstance(source, CombMnz)

    def __call__(self, union: Union) -> np.ndarray:
        total = np.zeros(len(union.docs))
        if not len(total):
            return total
        filled = np.diff(union.offsets) > 0
        starts, lengths = union.offsets[:-1][filled], np.diff(union.offsets)[filled]
        for weight, scores in zip(self.weights, union.scores, strict=True):
            values = scores.astype(np.float64)
            total += weight * _SCALERS[self.normalise](values, starts, lengths)
        return total * (union.ranks > 0).sum(axis=0) if self.times_lists else total


def _min_max(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    low = np.repeat(np.fmin.reduceat(values, starts), lengths)
    high = np.repeat(np.fmax.reduceat(values, starts), lengths)
    wide = high > low
    scaled = np.where(wide, (values - low) / np.where(wide, high - low, 1.0), 1.0)
    return np.where(np.isnan(values), 0.0, scaled)


def _z(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    count = np.maximum(np.add.reduceat(known.astype(np.float64), starts), 1)
    filled = np.where(known, values, 0.0)
    centred = values - np.repeat(np.add.reduceat(filled, starts) / count, lengths)
    squares = np.add.reduceat(np.where(known, centred**2, 0.0), starts) / count
    deviation = np.repeat(np.sqrt(squares), lengths)
    scaled = np.divide(centred, deviation, out=np.zeros(len(values)), where=deviation > 0)
    lowest = np.repeat(np.fmin.reduceat(np.where(known, scaled, np.nan), starts), lengths)
    return np.where(known, scaled, np.nan_to_num(lowest))  # a list that found nothing counts 0


def _raw(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return np.nan_to_num(values)


_SCALERS = {"min_max": _min_max, "z": _z, "raw": _raw}
