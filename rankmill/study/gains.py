"""Cost against gain: what each student would have cost alone, beside what training it gained.

The pool and its scores are shared by all samplers. A sampler is charged for the runs that its
strategy names, for the share of the teacher's pairs that those runs found, for its own groups and
for its students; what was found in the workspace counts as if it had been made. Seconds are those
of the ledger (processor time of the machine that did the work, accelerators apart), so they
compare only within one machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.compute as pc

from rankmill.mining.runs.run import Run
from rankmill.study.results import START, Results, System, Trained

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.study.recipe import Recipe
    from rankmill.study.standings import Standings
    from rankmill.training.comparison import Comparison

_GIVEN = {"corpus", "queries", "qrels", "collection"}  # there before any sampler


@dataclass(frozen=True, slots=True)
class Spent:
    """Processor and accelerator seconds of one sampler's way to one student; pairs it needs scored.

    `training` is the mean over training seeds.
    """

    mining: float
    teacher: float
    groups: float
    training: float
    pairs: int

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.mining + self.teacher + self.groups + self.training


@dataclass(frozen=True, slots=True)
class Gain:
    """One student on one domain: what it cost, what it gained over its untrained start.

    `front`: no other student of the domain has a larger mean gain for less or the same cost.
    """

    system: System
    domain: str
    spent: Spent
    gained: Comparison
    front: bool

    @property
    def per_hour(self) -> float:
        """Mean gain per hour of processor and accelerator time."""
        return 3600 * self.gained.difference.mean / max(self.spent.seconds, 1e-9)


def gains(recipe: Recipe, results: Results, standings: Standings) -> list[Gain]:
    """Return every student on every domain, cheapest first within a domain."""
    spent = {s.system: spent_on(recipe, results, s) for s in results.students.values()}
    rows = []
    for domain in standings.domains:
        students = [
            (spent[s.system].seconds, s.system, s.against[START])
            for s in standings.all
            if s.domain == domain and s.system in spent and START in s.against
        ]
        best = float("-inf")
        for _, system, gained in sorted(students, key=lambda f: (f[0], -f[2].difference.mean)):
            mean = gained.difference.mean
            rows.append(Gain(system, domain, spent[system], gained, front=mean > best))
            best = max(best, mean)
    return rows


def seconds_of(artifact: Artifact) -> float:
    """Return processor and accelerator seconds that making an artifact took."""
    cost = artifact.cost()
    return float(cost["cpu_s"]) + float(cost["gpu_s"] or 0.0)


def spent_on(
    recipe: Recipe,
    results: Results,
    trained: Trained,
    of: Callable[[Artifact], float] = seconds_of,
) -> Spent:
    """Return what the students of one sampler and loss would have cost alone; `of` says what of an
    artifact's cost is summed."""
    assert results.pool is not None
    assert results.scores is not None
    named = sources_of(recipe.samplers[trained.sampler]) & set(results.runs)
    runs = [results.runs[name] for name in (named or results.runs)]
    mined = _behind(runs, stop=())
    pool, scores = results.pool, results.scores
    encoded = _behind([scores], stop=(pool,))
    paid = {scores.fingerprint, *mined}
    asked, pairs = _pairs(pool, [Run(run).label for run in runs])
    scoring = of(scores) * _reused(scores) * pairs / max(asked, 1)
    groups = results.groups[trained.sampler]
    students = list(trained.seeds.values())
    return Spent(
        mining=sum(map(of, mined.values())),
        teacher=scoring + sum(of(a) for key, a in encoded.items() if key not in paid),
        groups=of(groups),
        training=sum(map(of, students)) / len(students),
        pairs=pairs,
    )


def sources_of(strategy: str) -> set[str]:
    """Return the short names of sources that a strategy draws from, as far as it names them."""
    from rankmill.mining.selection import STRATEGIES

    value = STRATEGIES.parse(strategy)
    single = (getattr(value, field, None) for field in ("source", "target"))
    several = getattr(value, "sources", None) or ()
    return {name for name in (*single, *several) if name}


def _behind(artifacts: Iterable[Artifact], stop: Iterable[Artifact]) -> Mapping[str, Artifact]:
    """Return artifacts and all they were made of, but for what was given and what lies past
    `stop`."""
    seen: dict[str, Artifact] = {}
    barred = {artifact.fingerprint for artifact in stop}

    def visit(one: Artifact) -> None:
        if one.kind in _GIVEN or one.fingerprint in barred or one.fingerprint in seen:
            return
        seen[one.fingerprint] = one
        for role in one.inputs:
            visit(one.input(role))

    for artifact in artifacts:
        visit(artifact)
    return seen


def _pairs(pool: Artifact, labels: list[str]) -> tuple[int, int]:
    """Return how many pairs the pool holds, and how many of them the labelled runs found or no run
    did (the positives that were added)."""
    asked = found = 0
    for table in pool.tables():
        every = [c for c in table.column_names if c.startswith("rank[")]
        ranks = {c: pc.list_flatten(table[c]).to_numpy() > 0 for c in every}
        mine = np.any([ranks[f"rank[{label}]"] for label in labels], axis=0)
        by_any = np.any(list(ranks.values()), axis=0)
        asked += len(by_any)
        found += int((mine | ~by_any).sum())
    return asked, found


def _reused(scores: Artifact) -> float:
    """Return pairs asked / pairs scored: what finding some of them saved. 1 where less than half
    were scored, from which nothing can be told."""
    usage = scores.cost()["usage"]
    asked, scored = usage.get("pairs_asked", 0), usage.get("pairs_scored", 0)
    return asked / scored if 2 * scored >= asked > 0 else 1.0
