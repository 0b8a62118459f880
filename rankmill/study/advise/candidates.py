"""Designs that a pool allows: their groups are drawn and measured, no student is trained.

Stages are asked for as ever, so what a design needs is in the workspace when it is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from rankmill import stages
from rankmill.mining.actors import Execution
from rankmill.mining.errors import BadInput, Incomplete, UsageError
from rankmill.mining.runs.run import Run
from rankmill.mining.selection import STRATEGIES
from rankmill.mining.selection.base import label_of
from rankmill.mining.store import Artifact, Workspace
from rankmill.study.advise.records import SIZE, Record
from rankmill.study.costs.gains import sources_of, way_through
from rankmill.study.costs.lineage import seconds_of
from rankmill.study.grid.answer.evidence import family_of, means_of

_LAST = 100  # ranks that samplers draw from unasked
_DRAWN = "random"
_UNFIT = (UsageError, BadInput, Incomplete)  # this design or column cannot be made; others may


@dataclass(frozen=True, slots=True)
class Candidate:
    """A design with its groups, the means of its statistics, and what its way to the groups cost:
    seconds of processor and accelerator of mining, of its share of the teacher's pairs, and of
    drawing; found work counts as if it had been made."""

    sampler: str
    size: int
    family: str
    groups: Artifact
    statistics: Mapping[str, float]
    queries: int
    mining: float
    teacher: float
    drawing: float

    @property
    def name(self) -> str:
        """The design in words."""
        return f"{self.sampler}, {self.size}"

    @property
    def spent(self) -> float:
        """Seconds before the training."""
        return self.mining + self.teacher + self.drawing

    def record(self, cost: float) -> Record:
        """Return it as a design of a block of its own collection, its gain not known."""
        told = {**self.statistics, SIZE: math.log2(self.size)}
        return Record("", "", "", self.name, self.family, math.nan, cost, self.queries, told)


@dataclass(frozen=True, slots=True)
class Pooled:
    """A scored pool, with its runs by the names that samplers have for them."""

    pool: Artifact
    scores: Artifact

    @property
    def runs(self) -> dict[str, Artifact]:
        """The pool's runs by label."""
        inputs = (role for role in self.pool.inputs if role.startswith("run["))
        runs = (self.pool.input(role) for role in inputs)
        return {Run(run).label: run for run in runs}

    def samplers(self, size: int) -> Iterator[str]:
        """Yield what is looked at unasked: a uniform draw from every source and the first ones of
        each that is no draw itself, strata and anchors of the teacher's scores."""
        labels = list(self.runs)
        for label, run in self.runs.items():
            word = label.partition("(")[0]
            alone = [one for one in labels if one.partition("(")[0] == word]
            named = word if len(alone) == 1 else label
            depth = run.parameters.get("depth") or _LAST
            yield f"uniform(source={named},last={min(depth, _LAST)})"
            if word != _DRAWN:
                yield f"top(source={named})"
        yield "stratified(bins=8)"
        top = size // 4
        yield f"anchors(top={top},count={size - 1 - top})"

    def runs_of(self, sampler: str) -> list[Artifact]:
        """Return the runs that a sampler draws from, all of them where it names none."""
        runs, labels = self.runs, list(self.runs)
        named = [label_of(one, labels, sampler) for one in sorted(sources_of(sampler))]
        return [runs[label] for label in dict.fromkeys(named or labels)]


def pooled_of(
    about: Artifact, scores: Artifact | None, workspace: Workspace, word: str = ""
) -> Pooled:
    """Return the scored pool of a pool, or the one that a collection has.

    Raises BadInput where there is none and UsageError where there are several.
    """
    pools = [about]
    if about.kind == "collection":
        pools = [
            one
            for one in workspace.artifacts("pool")
            if all(one.inputs.get(r) == about.inputs.get(r) for r in ("corpus", "queries"))
        ]
        if scores is not None:
            pools = [one for one in pools if one.fingerprint == scores.inputs.get("pool")]
    if len(pools) != 1:
        said = ", ".join(_called(one, workspace) for one in pools)
        if pools:
            raise UsageError(
                f"{word or 'the collection'} has {len(pools)} pools", do=f"name one: {said}"
            )
        raise BadInput(
            f"{word or 'the collection'} has no pool" + (" of these scores" if scores else ""),
            where=workspace.root,
            do="mine it and pool the runs: rankmill mine, rankmill pool, rankmill score",
        )
    (pool,) = pools
    if scores is None:
        scores = _scores_of(pool, workspace)
    elif scores.inputs.get("pool") != pool.fingerprint:
        raise UsageError(
            f"the scores are of another pool: {scores!r}",
            do="leave out scores, or name those of the pool",
        )
    return Pooled(pool, scores)


def _scores_of(pool: Artifact, workspace: Workspace) -> Artifact:
    every = workspace.artifacts("scores")
    scores = [one for one in every if one.inputs.get("pool") == pool.fingerprint]
    if not scores:
        raise BadInput(
            "the pool has no teacher scores, so no group can be drawn and measured",
            where=pool.path,
            do="score it: rankmill score TEACHER --pool NAME",
        )
    if len(scores) > 1:
        said = ", ".join(_called(one, workspace) for one in scores)
        raise UsageError(f"the pool has {len(scores)} scores", do=f"name one: --scores {said}")
    return scores[0]


def _called(artifact: Artifact, workspace: Workspace) -> str:
    """Return what an artifact is called, or the beginning of its fingerprint."""
    known = workspace.names().items()
    names = (name for name, alias in known if alias.fingerprint == artifact.fingerprint)
    return next(names, artifact.fingerprint[:12])


def candidates_of(
    pooled: Pooled,
    samplers: Sequence[str],
    sizes: Sequence[int],
    columns: Sequence[str] | None,
    *,
    encoder: str | None,
    seed: int,
    executor: Execution,
) -> tuple[list[Candidate], list[str]]:
    """Draw and measure every design; returns them, and what could not be made, in words.

    `samplers` empty: those of `Pooled.samplers`. `columns`: what is measured, None for the usual.
    Raises UsageError for a sampler that is none, BadInput where no design could be made.
    """
    made: list[Candidate] = []
    refused: list[str] = []
    asked = [(one, size) for size in sizes for one in (samplers or pooled.samplers(size))]
    for sampler, _ in asked:
        STRATEGIES.parse(sampler)  # a wrong one before the first is drawn
        pooled.runs_of(sampler)
    for sampler, size in dict.fromkeys(asked):
        try:
            groups = stages.Select(
                sampler,
                pooled.pool,
                pooled.scores,
                size=size,
                seed=seed,
                encoder=encoder if "vectors" in STRATEGIES.parse(sampler).needs else None,
                executor=executor,
            ).make()
        except _UNFIT as error:
            refused.append(f"{sampler}, {size}: {error.what}")
            continue
        measured, unmeasured = _measured(groups, columns, encoder, executor)
        refused += [f"{sampler}, {size}: {one}" for one in unmeasured]
        made.append(_candidate(pooled, sampler, size, groups, measured))
    if not made:
        raise BadInput(
            f"no design could be made: {refused[0]}",
            where=pooled.pool.path,
            do="mine deeper, or name groups smaller than "
            + (f"{min(sizes)}: --size 3" if min(sizes) > 3 else "they are"),
        )
    return made, refused


def _measured(
    groups: Artifact, columns: Sequence[str] | None, encoder: str | None, executor: Execution
) -> tuple[list[Artifact], list[str]]:
    """Measure groups: columns one by one, since one that these groups cannot have must not take
    the others with it; returns the statistics, and what could not be measured."""
    if columns is None:
        return [stages.Stats(groups, encoder=encoder, executor=executor).make()], []
    made, refused = [], []
    for column in columns:
        asked = stages.Stats(groups, statistics=[column], encoder=encoder, executor=executor)
        try:
            made.append(asked.make())
        except _UNFIT as error:
            refused.append(f"{column} could not be measured: {error.what}")
    return made, refused


def _candidate(
    pooled: Pooled, sampler: str, size: int, groups: Artifact, measured: Sequence[Artifact]
) -> Candidate:
    way = way_through(pooled.pool, pooled.scores, pooled.runs_of(sampler), [groups])
    mining, teacher, drawing = (
        sum(part * seconds_of(one) for one, part in parts)
        for parts in (way.mining, way.teacher, way.groups)
    )
    means: dict[str, float] = {}
    for one in measured:
        means |= means_of(one)
    query = pa.concat_tables(groups.tables())["query"]
    kinds = {name: label for label in pooled.runs for name in (label, label.partition("(")[0])}
    return Candidate(
        sampler,
        size,
        family_of(sampler, kinds),
        groups,
        means,
        pc.count_distinct(query).as_py(),
        mining,
        teacher,
        drawing,
    )


def encoder_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns that an encoder is needed for."""
    return [one for one in columns if one.partition("(")[0] in ("diameter", "radius")]
