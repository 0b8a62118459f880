"""How far the sampler's distribution ν is from a declared target μ (docs/quantities.md §5,
P3 and P4; §6, 11–13).

ν(x) = π_x/Σπ comes from the strategy's inclusion probabilities over everything that it could have
chosen, not only over what it chose. μ is always declared: uniform over the corpus, over the first
ranks of a source of the pool, or over the judged documents; positives, exact copies of them and
empty documents belong to neither. Documents outside the pool are one stratum: the corpus is never
listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from ...native import scales
from ..errors import BadInput, UsageError
from ..options import Option
from ..parts.parameters import COVERED, DRAWS
from ..store import Artifact
from .base import (
    DRAWN_LIST,
    EMPTY_TARGET,
    NO_MIXTURE,
    SAMPLE_OUTSIDE_TARGET,
    STATISTICS,
    UNKNOWN_INCLUSION,
    Column,
    Rows,
)

if TYPE_CHECKING:
    from ..selection.base import Candidates
    from ..selection.redrawn import Estimate, Redraws
    from ..selection.selector import Chooser


@dataclass(frozen=True, slots=True)
class Strata:
    """Target and sampler over strata of documents: `number` of them, μ and ν of one document."""

    number: np.ndarray
    mu: np.ndarray
    nu: np.ndarray

    def kappa(self) -> float:
        """max μ/ν over the support of μ; infinite as soon as ν misses part of it (P3)."""
        inside = (self.number > 0) & (self.mu > 0)
        if (self.nu[inside] == 0).any():
            return float("inf")
        return float((self.mu[inside] / self.nu[inside]).max())

    def coverage(self) -> float:
        """μ(supp ν): the share of the target that the sampler can reach."""
        return float((self.number * self.mu)[self.nu > 0].sum())

    def kappa_covered(self) -> float:
        """max μ/ν where ν > 0; μ is not made to sum to 1 there, so this may be below 1."""
        at = self.tightest()
        return float("nan") if at is None else float(self.mu[at] / self.nu[at])

    def tightest(self) -> int | None:
        """Return the stratum where μ/ν is largest among those with ν > 0."""
        inside = np.flatnonzero((self.number > 0) & (self.mu > 0) & (self.nu > 0))
        if not inside.size:
            return None
        return int(inside[np.argmax(self.mu[inside] / self.nu[inside])])


def selected(rows: Rows) -> list[tuple[Candidates, np.ndarray, np.ndarray, float]]:
    """Return what `Selection.of` says of every group, read once."""
    groups: list[tuple[Candidates, np.ndarray, np.ndarray, float]]
    groups = rows.once("selected", lambda: list(rows.selection.of(rows)))
    return groups


def importance_ess(weight: np.ndarray) -> float:
    """(Σw)²/Σw² of the importance weights w = μ/ν of a sample: how many documents it is worth."""
    squares = float((weight * weight).sum())
    return float(weight.sum()) ** 2 / squares if squares > 0 else float("nan")


@dataclass(frozen=True, slots=True)
class _AgainstTarget:
    """The target: `corpus`, `judged`, or a source of the pool with its first `last` ranks.

    `draws`: how often the lists of a fusion with a drawn member are drawn again, to estimate what
    has no closed form; without, that is null.
    """

    target: Annotated[str, COVERED] = "corpus"
    last: Annotated[
        int | None, Option("Of a source as target: its first ranks; default: all.", unit="rank")
    ] = None
    draws: Annotated[int | None, DRAWS] = None

    def __post_init__(self) -> None:
        if self.draws is not None and (self.draws < 2 or self.target != "corpus"):
            raise UsageError(
                f"target={self.target},draws={self.draws} cannot be estimated",
                do="write target=corpus,draws=1000",
            )
        whole = self.target in ("corpus", "judged")
        if self.last is not None and (whole or self.last < 1):
            raise UsageError(
                f"target={self.target},last={self.last} is not a target",
                do="write target=corpus, target=judged, or target=<source>,last=<rank>",
            )

    @property
    def needs(self) -> frozenset[str]:
        """Return what must be declared: groups that rankmill selected, so that π is known."""
        return frozenset({"selection"})

    def column(self, rows: Rows, name: str) -> Column:
        """Return one of the quantities; they share the reading of the pool."""
        key = ("density", self.target, self.last, self.draws)
        return rows.once(key, lambda: self._read(rows))[name]

    def _read(self, rows: Rows) -> dict[str, Column]:
        names = ("kappa", "coverage", "kappa_covered", "ess", "error")
        values = {name: np.full(len(rows), np.nan) for name in names}
        status = {name: np.full(len(rows), UNKNOWN_INCLUSION, np.uint8) for name in names}
        for row, (candidates, allowed, pi, beyond) in enumerate(selected(rows)):
            if np.isnan(pi).any() or np.isnan(beyond):
                if rows.selection.chooser.by_draws(candidates):
                    for name, value in self._estimated(rows, row, candidates).items():
                        values[name][row] = value
                        known = not np.isnan(value)
                        status[name][row] = scales.DEFINED if known else DRAWN_LIST
                continue
            strata = strata_of(candidates, allowed, pi, beyond, self.target, self.last)
            if strata is None:
                for name in names:
                    status[name][row] = EMPTY_TARGET
                continue
            values["kappa"][row], values["coverage"][row] = strata.kappa(), strata.coverage()
            values["kappa_covered"][row] = strata.kappa_covered()
            at, chooser = strata.tightest(), rows.selection.chooser
            doubt = 0.0 if at is None else doubt_of(chooser, candidates, np.append(pi, beyond), at)
            values["error"][row] = doubt * strata.kappa_covered() if doubt else 0.0
            items = slice(int(rows.offsets[row]) + 1, int(rows.offsets[row + 1]))
            chosen = rows.doc[items][rows.positive[items] == 0]
            place = np.searchsorted(candidates.doc, chosen)
            values["ess"][row] = importance_ess(strata.mu[place] / strata.nu[place])
            for name in names:
                undefined = np.isnan(values[name][row])
                status[name][row] = SAMPLE_OUTSIDE_TARGET if undefined else scales.DEFINED
        return {name: (values[name], status[name]) for name in names}

    def _estimated(self, rows: Rows, row: int, candidates: Candidates) -> dict[str, float]:
        """Return what drawing the lists again can say, NaN for the rest: where a draw can bring
        every document of the corpus, the sampler reaches all of the target."""
        names = ("kappa", "coverage", "kappa_covered", "ess", "error")
        unknown: dict[str, float] = {name: np.nan for name in names}
        if self.draws is None:
            return unknown
        redrawn = rows.selection.redrawn(candidates, int(rows.query[row]), self.draws)
        if redrawn is None:
            return unknown
        kappa, error = redrawn.kappa, redrawn.error
        return unknown | {"kappa": kappa, "coverage": 1.0, "kappa_covered": kappa, "error": error}


@STATISTICS.register("density_ratio")
@dataclass(frozen=True, slots=True)
class DensityRatio(_AgainstTarget):
    """κ = max μ/ν over the target's support: at least 1 where ν covers it, infinite where it does
    not.

    `covered` restricts the maximum to documents that the sampler can reach. `error` gives its
    standard error instead, 0 where every π has a closed form.
    """

    covered: Annotated[bool | None, Option("Only over documents that the sampler can reach.")] = (
        None
    )
    error: Annotated[bool | None, Option("The standard error instead of the value.")] = None

    def __post_init__(self) -> None:
        _AgainstTarget.__post_init__(self)
        object.__setattr__(self, "covered", True if self.covered else None)
        object.__setattr__(self, "error", True if self.error else None)

    @property
    def unit(self) -> str:
        """A ratio."""
        return "ratio"

    def measure(self, rows: Rows) -> Column:
        """Return κ of every group."""
        if self.error:
            return self.column(rows, "error")
        return self.column(rows, "kappa_covered" if self.covered else "kappa")


@STATISTICS.register("coverage")
@dataclass(frozen=True, slots=True)
class Coverage(_AgainstTarget):
    """The share of the target distribution that the sampler can reach, in [0, 1]."""

    @property
    def unit(self) -> str:
        """A share."""
        return "share"

    def measure(self, rows: Rows) -> Column:
        """Return the coverage of every group."""
        return self.column(rows, "coverage")


@STATISTICS.register("importance_ess")
@dataclass(frozen=True, slots=True)
class ImportanceEss(_AgainstTarget):
    """Effective number of negatives when they are weighted by μ/ν: in [1, k − 1], null if all w are
    0.
    """

    @property
    def unit(self) -> str:
        """Documents."""
        return "documents"

    def measure(self, rows: Rows) -> Column:
        """Return the effective sample size of every group."""
        return self.column(rows, "ess")


@STATISTICS.register("mixing_guard")
@dataclass(frozen=True, slots=True)
class MixingGuard:
    """1/λ: no κ against a mixture's own target can be larger (P4), λ its share of the negatives.

    The target of a source that draws its lists itself is the corpus; what the filters remove is in
    no target of the mixture. Null for strategies that mix nothing in, and for groups filled up.
    """

    @property
    def unit(self) -> str:
        """A ratio."""
        return "ratio"

    @property
    def needs(self) -> frozenset[str]:
        """Groups that rankmill selected."""
        return frozenset({"selection"})

    def measure(self, rows: Rows) -> Column:
        """Return the bound of every group; it depends on the strategy and the group's positives."""
        from ..selection.weighted import Mixture

        out = np.full(len(rows), np.nan)
        chooser = rows.selection.chooser
        if isinstance(chooser.strategy, Mixture):
            positives = np.add.reduceat(rows.positive.astype(np.int64), rows.offsets[:-1])
            out = (np.diff(rows.offsets) - np.maximum(positives, 1)) / chooser.strategy.number
            for row, (candidates, *_) in enumerate(selected(rows)):
                wanted = chooser.negatives(candidates)
                if len(chooser.strategy.reach(candidates, wanted)) < wanted:
                    out[row] = np.nan
        undefined = np.isnan(out)
        return out, np.where(undefined, NO_MIXTURE, scales.DEFINED).astype(np.uint8)


def strata_of(
    candidates: Candidates,
    allowed: np.ndarray,
    pi: np.ndarray,
    beyond: float,
    target: str,
    last: int | None,
) -> Strata | None:
    """Return the strata: every pool document by itself, then the documents outside the pool, first
    those that may be chosen, then those that the filters would remove.

    `allowed`: pool documents that may be negatives before any filter; `pi`: probability of each;
    `beyond`: of each document outside. None where the target is empty.
    """
    kept = round(candidates.outside * candidates.share_outside)
    outside = np.array([kept, candidates.outside - kept])
    number = np.append(np.ones(len(candidates)), outside)
    pi = np.append(np.where(allowed, pi, 0.0), [beyond if kept else 0.0, 0.0])
    nowhere = np.zeros(2, bool)
    if target == "corpus":
        inside = np.append(allowed, outside > 0)
    elif target == "judged":
        inside = np.append(allowed & candidates.judged, nowhere)
    else:
        from ..selection.base import label_of

        rank = candidates.rank[label_of(target, list(candidates.rank), "density_ratio")]
        inside = np.append(allowed & (rank > 0) & (rank <= (last or 65535)), nowhere)
    total, mass = float((number * inside).sum()), float((number * pi).sum())
    if total == 0 or mass == 0:
        return None
    return Strata(number, inside / total, pi / mass)


def doubt_of(chooser: Chooser, candidates: Candidates, pi: np.ndarray, at: int) -> float:
    """Return the relative standard error of π of stratum `at`, 0 where π has a closed form.

    `pi`: of the pool's documents, then of one outside. Estimated are the shares of repeated
    searches (`entropy_target(draws)`), and how much filters leave outside of the pool
    (docs/inclusion.md).
    """
    searches = getattr(chooser.strategy, "draws", None)
    if searches is not None:
        share = float(pi[min(at, len(pi) - 1)])
        return float(np.sqrt((1 - share) / (share * (searches + 1))))
    p = candidates.share_outside
    if p == 1.0 or not chooser.by_draws(candidates):
        return 0.0
    seen = int((candidates.by_draw_alone & ~np.asarray(candidates.barred)).sum())
    return float(candidates.outside / candidates.population * np.sqrt(p * (1 - p) / seen))


class Selection:
    """How groups were selected, read back from their manifest and inputs: `made` is the artifact
    that the strategy chose, `reader` gives its candidates.
    """

    def __init__(self, groups: Artifact):
        from ..runs.itself import KEEP
        from ..selection.candidates import EXACT
        from ..selection.reader import CandidateReader, paths_of
        from ..selection.selector import Chooser

        made = groups
        while "strategy" not in made.parameters:
            if "groups" not in made.inputs:
                raise BadInput(
                    "these groups do not say how they were selected",
                    where=groups.path,
                    do="density ratios need groups that rankmill selected",
                )
            made = made.input("groups")
        self.made, given = made, made.parameters
        roles = ("pool", "scores", "corpus", "queries", "qrels", "vectors", "copy_keys")
        paths = paths_of({role: made.input(role) for role in roles if role in made.inputs})
        self.reader = CandidateReader(
            {role: str(Path(path)) for role, path in paths.items()},
            size=given["size"],
            min_grade=given["min_grade"],
            positives=given["positives"],
            missing=given["missing"],
            copies=given.get("copies", EXACT),
            self_rule=given.get("self_rule", KEEP),
        )
        self.chooser = Chooser(
            given["strategy"], given["filters"], given["size"], given["when_short"]
        )
        self._redraws: dict[str, Redraws] = {}

    def redrawn(self, candidates: Candidates, query: int, draws: int) -> Estimate | None:
        """Estimate κ against the corpus by drawing the lists of the strategy's source again.

        None where that cannot be done: filters or the group's positive look at the draw as well, or
        the strategy or its source is none of those that `selection.redrawn` knows.
        """
        from ..runs.run import Run
        from ..selection.redrawn import Redraws
        from ..sources.uniform import Urn

        label = getattr(self.chooser.strategy, "source", None)
        plain = not self.chooser.filters and candidates.share_outside == 1.0
        if not plain or label is None or self.made.parameters["positives"] == "best":
            return None
        if label not in self._redraws:
            pool = self.made.input("pool")
            runs = [Run(pool.input(role)) for role in pool.inputs if role.startswith("run[")]
            urn = Urn(len(self.reader.corpus), self.reader.empty)
            run = next(run for run in runs if run.label == label)
            self._redraws[label] = Redraws(run, urn, pool.parameters["depth"])
        at, wanted = self._row_of(query), self.chooser.negatives(candidates)
        return self._redraws[label].estimate(self.chooser.strategy, candidates, at, wanted, draws)

    def _row_of(self, query: int) -> int:
        at = self.reader.pool.row_of(query)
        assert at is not None, "groups are made of queries of their pool"
        return at

    def of(self, rows: Rows) -> Iterator[tuple[Candidates, np.ndarray, np.ndarray, float]]:
        """Yield (candidates, which may be negatives, π of each, π outside the pool) per group."""
        asked: Any = None
        for row in range(len(rows)):
            if asked is None or asked.query != rows.query[row]:
                at = self._row_of(int(rows.query[row]))
                asked = next(iter(self.reader.rows(at, at + 1)))
            positive = rows.doc[rows.offsets[row]]
            candidates = next(c for c in asked.around if c.doc[c.positive] == positive)
            candidates.judged = np.isin(candidates.doc, asked.judged)
            allowed = candidates.allowed.copy()
            yield candidates, allowed, *self.chooser.probabilities(candidates)
