"""How systems stand: means with intervals on every domain and over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rankmill.mining.store import Artifact
from rankmill.study.recipe import Recipe
from rankmill.study.results import REFERENCES, TEACHER, Results, Role, System
from rankmill.training.bounded import cut, mean_interval, range_of
from rankmill.training.comparison import Comparison, read_comparisons
from rankmill.training.evaluation import Evaluation, mean_of_defined
from rankmill.training.significance import Interval, macro_interval


@dataclass(frozen=True, slots=True)
class Standing:
    """A system on a domain: mean of the first measure with its interval, and paired differences.

    `measures`: the mean of each; a risk that no query has is left out. `against`: by the name of
    what was there before (`results.REFERENCES`), for students.
    """

    system: System
    domain: str
    mean: Interval
    measures: Mapping[str, float]
    seeds: int = 1
    against: Mapping[Role, Comparison] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overall:
    """A system over several domains: `macro`, the mean of the domains' means; `micro`, the mean
    over all their queries."""

    system: System
    domains: tuple[str, ...]
    queries: int
    macro: Interval
    micro: float

    @property
    def without_interval(self) -> str:
        """Why the macro mean has no interval, which is so for all systems alike; empty: it has."""
        return "" if self.macro.low is not None else str(self.macro.reason)


class Standings:
    """All standings of one recipe's results."""

    def __init__(self, recipe: Recipe, results: Results):
        self.recipe, self.results = recipe, results
        self.measure = recipe.measured[0]

    def values(self, domain: str, measure: str | None = None) -> dict[System, np.ndarray]:
        """Return per-query values by system, [seeds, queries], all over the same queries."""
        rows: dict[System, list[np.ndarray]] = {}
        for judged in self.results.judged:
            if judged.domain == domain:
                values = Evaluation(judged.evaluation).values(measure or self.measure)
                rows.setdefault(judged.system, []).append(values)
        return {system: np.stack(seeds) for system, seeds in rows.items()}

    @property
    def domains(self) -> list[str]:
        """The domains that were judged, in-domain first."""
        judged = {j.domain for j in self.results.judged}
        named = [d for d in self.recipe.domains if d in judged]
        return sorted(named, key=lambda domain: not self.recipe.in_domain(domain))

    @cached_property
    def all(self) -> list[Standing]:
        """Every system on every domain."""
        return [s for domain in self.domains for s in self._of_domain(domain)]

    def _of_domain(self, domain: str) -> Iterator[Standing]:
        by_measure = {m: self.values(domain, m) for m in self.recipe.measured}
        against: dict[System, dict[Role, Comparison]] = {}
        systems = self.results.systems
        for row in self._comparisons(self.results.against.get(domain)):
            against.setdefault(systems[row.a], {})[systems[row.b].role] = row
        for system, values in by_measure[self.measure].items():
            yield Standing(
                system,
                domain,
                mean_interval(values, self.measure),
                {
                    m: mean_of_defined(by_system[system])
                    for m, by_system in by_measure.items()
                    if not np.isnan(by_system[system]).all()
                },
                seeds=len(values),
                against=against.get(system, {}),
            )

    @cached_property
    def overall(self) -> dict[str, list[Overall]]:
        """By what they are over: all domains, and those out of domain, where there are several."""
        outside = [d for d in self.domains if not self.recipe.in_domain(d)]
        wanted = {"all sets": self.domains, "out-of-domain sets": outside}
        if outside == self.domains:
            del wanted["all sets"]
        return {
            over: [self._over(system, domains) for system in self._everywhere(domains)]
            for over, domains in wanted.items()
            if len(domains) > 1
        }

    def _everywhere(self, domains: list[str]) -> list[System]:
        """Return the systems that were judged on all of the domains."""
        judged = [self.values(domain) for domain in domains]
        return [system for system in judged[0] if all(system in one for one in judged)]

    def unanswered(self) -> list[str]:
        """Return the domains where the teacher has no score: a file's, say, of other queries."""
        return [d for d in self.domains if System(TEACHER) not in self.values(d)]

    def _over(self, system: System, domains: list[str]) -> Overall:
        tables = [self.values(domain)[system] for domain in domains]
        return Overall(
            system,
            tuple(domains),
            sum(table.shape[1] for table in tables),
            cut(macro_interval(tables), range_of(self.measure)),
            float(np.concatenate([table.mean(axis=0) for table in tables]).mean()),
        )

    def pairs(self, domain: str) -> list[Comparison]:
        """Return the comparisons of samplers against each other on a domain."""
        return self._comparisons(self.results.samplers.get(domain))

    @staticmethod
    def _comparisons(made: Artifact | None) -> list[Comparison]:
        return [] if made is None else read_comparisons(made)


def references(standing: Standing) -> Iterator[Comparison]:
    """Yield a standing's differences in the order in which they are shown."""
    for name in REFERENCES:
        if name in standing.against:
            yield standing.against[name]
