"""κ of strategies over fused lists with a drawn member, estimated by drawing the lists again.

A document that no other member found stands in the fused list only when the draw brings it, and it
stands the better the more members found it. So π is smallest, and μ/ν largest, on the documents
that only the draw can bring, and these are alike: κ against the corpus needs one number, how many
of a group's negatives are of that kind on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..draws import generator
from ..runs.run import Run
from ..runs.union import Lists
from ..sources import SOURCES
from ..sources.fusion import Linear, fuse_lists, fuser_of
from ..sources.uniform import Urn
from .base import FIXED, MIXED, Candidates, Strategy
from .drawn import origin_of
from .strategies import Random, Top, Uniform

_FUSIONS = ("rrf", "combsum", "combmnz", "linear")


@dataclass(frozen=True, slots=True)
class Estimate:
    """κ against the corpus and its standard error."""

    kappa: float
    error: float


class Redraws:
    """Draws the lists of one run again, and what was made from them.

    `urn`: the corpus; `depth`: how much of the run's lists the pool took, None for all.
    """

    def __init__(self, run: Run, urn: Urn, depth: int | None):
        self.run, self.urn, self.depth = run, urn, depth

    @cached_property
    def possible(self) -> bool:
        """Say whether the run is a fusion, no weight negative, of lists that can be drawn again."""
        return _can_be_drawn_again(self.run)

    def estimate(
        self, strategy: Strategy, candidates: Candidates, row: int, size: int, number: int
    ) -> Estimate | None:
        """Estimate κ from `number` draws that depend on the query alone; row `row` of the run.

        None where the strategy is none of those that take documents by rank from the first on, and
        where no draw brought a document of its own into a group.
        """
        if not self.possible or not _takes_the_first_ranks(strategy):
            return None
        draws = generator(number, "density_ratio.lists", candidates.query_id)
        offsets, docs, _ = _lists(self.run, row, number, self.urn, draws, {})
        barred = candidates.doc[np.asarray(candidates.barred)]
        steady = np.setdiff1d(_steady_documents(self.run, row), barred)
        brought = np.zeros(number)
        for again in range(number):
            listed = docs[offsets[again] : offsets[again + 1]][: self.depth]
            given = _given(candidates, self.run.label, listed, barred)
            reach = strategy.reach(given, size)
            if len(reach) < size:
                brought[again] = np.nan  # no group
                continue
            pi = strategy.inclusion(given, reach, size)
            brought[again] = pi[~np.isin(given.doc[reach], steady)].sum()
        brought = brought[~np.isnan(brought)]
        mean = brought.mean() if len(brought) else 0.0
        if mean == 0.0:
            return None
        alike = candidates.population - len(steady)
        kappa = size / candidates.population / (mean / alike)
        return Estimate(kappa, kappa * brought.std() / mean / np.sqrt(len(brought)))


def _takes_the_first_ranks(strategy: Strategy) -> bool:
    first: int = getattr(strategy, "first", 1)
    return isinstance(strategy, Uniform | Random | Top) and first == 1


def _can_be_drawn_again(run: Run) -> bool:
    if origin_of(run) != MIXED:
        return True
    if run.label.partition("(")[0] not in _FUSIONS:
        return False  # a source that is made of a drawn one in some other way
    value = SOURCES.stored(run.label)
    if isinstance(value, Linear) and min(value.weights) < 0:
        return False
    members = _members(run)  # none of a run that was cleared afterwards
    return bool(members) and all(_can_be_drawn_again(member) for member in members)


def _members(run: Run) -> list[Run]:
    roles = [f"run[{number}]" for number in range(len(run.artifact.inputs))]
    return [Run(run.artifact.input(role)) for role in roles if role in run.artifact.inputs]


def _lists(
    run: Run, row: int, number: int, urn: Urn, draws: np.random.Generator, known: dict[str, Lists]
) -> Lists:
    """Return `number` lists of the run for one query; the same drawn run gives the same lists."""
    name = run.artifact.fingerprint
    if name in known:
        return known[name]
    origin = origin_of(run)
    if origin == MIXED:
        value, members = SOURCES.stored(run.label), _members(run)
        lists = [_lists(member, row, number, urn, draws, known) for member in members]
        depth = int(run.artifact.parameters["depth"])
        known[name] = fuse_lists(lists, fuser_of(value, len(members)), depth)
        return known[name]
    _, docs, scores = run.row(row)
    if origin == FIXED:
        docs = np.tile(docs, number)
    else:
        docs = np.concatenate([urn.draw(draws, len(scores)) for _ in range(number)])
    offsets = np.arange(number + 1) * len(scores)
    known[name] = offsets, docs.astype(np.uint32), np.tile(scores, number)
    return known[name]


def _steady_documents(run: Run, row: int) -> np.ndarray:
    """Return the documents that lists hold whatever is drawn."""
    if origin_of(run) == FIXED:
        return np.unique(run.row(row)[1])
    members = _members(run) if origin_of(run) == MIXED else []
    steady = [_steady_documents(member, row) for member in members]
    return np.unique(np.concatenate([np.empty(0, np.uint32), *steady]))


def _given(
    candidates: Candidates, label: str, listed: np.ndarray, barred: np.ndarray
) -> Candidates:
    """Return candidates of one list, given, as a strategy that looks at its ranks sees them."""
    order = np.argsort(listed)
    docs = listed[order]
    return Candidates(
        query_id=candidates.query_id,
        doc=docs,
        score=np.zeros(len(docs)),
        kind=candidates.kind,
        rank={label: (order + 1).astype(np.uint16)},
        allowed=~np.isin(docs, barred),
        positive=0,
    )
