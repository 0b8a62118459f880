"""Cost against gain: what each student would have cost alone, beside what training it gained.

The pool and its scores are shared by all samplers. A sampler is charged for the runs that its
strategy names, for those of the teacher's pairs that a pool of these runs alone would hold, each
once (rankmill.study.costs.teacher_pairs), for its own groups and for its students; what was found
in the workspace counts as if it had been made. A blend is charged of what each of its parts costs
the share of the examples that it gives; of groups of the workspace everything that they were made
from. Seconds are those of the ledger (processor time of the machine that did the work, compiling
and overhead apart; accelerators too), so they compare only within one machine.

That is the price of a sampler alone. What the study cost is less, as its samplers share work:
`charged` splits that (rankmill.study.costs.charges).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rankmill.mining.runs.run import Run
from rankmill.study.costs.charges import Charges, lines_of, share_out
from rankmill.study.costs.lineage import behind, seconds_of
from rankmill.study.costs.teacher_pairs import (
    cost_of_pairs,
    own_pairs,
    paid_on_the_way,
    pairs_alone,
    saved_by,
    would_have_cost,
)
from rankmill.study.results import START, Results, System, Trained

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.study.recipe import Recipe
    from rankmill.study.standings import Standings
    from rankmill.training.comparison import Comparison

FIRST = ("compile_s", "start_s")
"""Lines that the first user pays for all: compiling kernels, importing packages."""
SECONDS = ("cpu_s", *FIRST, "overhead_s", "gpu_s")
"""The lines of a ledger that add up to what was spent; elapsed time is none of them."""
_JOULES = ("cpu_joules", "gpu_joules")


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

    `spent`: had it been the only one; `charged`: its part of what the study cost, in seconds of
    processor and accelerator, all lines. `front`: no other student of the domain has a larger mean
    gain for less or the same cost.
    """

    system: System
    domain: str
    spent: Spent
    gained: Comparison
    front: bool
    charged: float = 0.0

    @property
    def per_hour(self) -> float:
        """Mean gain per hour of processor and accelerator time."""
        return 3600 * self.gained.difference.mean / max(self.spent.seconds, 1e-9)


def gains(
    recipe: Recipe, results: Results, standings: Standings, shares: Charges | None
) -> list[Gain]:
    """Return every student on every domain, cheapest first within a domain; `shares`: see
    `charged`."""
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
            share = shares.total(system.name, *SECONDS) if shares else 0.0
            rows.append(Gain(system, domain, spent[system], gained, mean > best, share))
            best = max(best, mean)
    return rows


@dataclass(frozen=True, slots=True)
class Way:
    """What a sampler's way to its students is made of: by phase every artifact with the part of it
    that one student needs; the students themselves, one by seed; pairs to be scored.

    A part is 1, or of teacher scores what the pairs that it needs took: found work counts as if it
    had been made. In a blend it is times the share of the examples.
    `uses`: by fingerprint, the weight of the use of all that comes before the students.
    """

    mining: Sequence[tuple[Artifact, float]]
    teacher: Sequence[tuple[Artifact, float]]
    groups: Sequence[tuple[Artifact, float]]
    students: Sequence[Artifact]
    pairs: int
    uses: Mapping[str, float]


def way_to(recipe: Recipe, results: Results, trained: Trained) -> Way:
    """Return what the students of one sampler and loss need, had they been the only ones."""
    students, named = list(trained.seeds.values()), recipe.parts(trained.sampler)
    parts = []
    for number, (name, share) in enumerate(named.items(), 1):
        role = "groups" if number == 1 else f"groups[{number}]"
        drawn = [student.input(role) for student in students]
        parts.append((share, _way_of(recipe, results, name, drawn)))
    uses: dict[str, float] = {}
    for share, part in parts:
        for key, weight in part.uses.items():
            uses[key] = uses.get(key, 0.0) + share * weight

    def shared(phase: str) -> list[tuple[Artifact, float]]:
        return [(one, share * of) for share, part in parts for one, of in getattr(part, phase)]

    return Way(
        mining=shared("mining"),
        teacher=shared("teacher"),
        groups=shared("groups"),
        students=students,
        pairs=round(sum(share * part.pairs for share, part in parts)),
        uses=uses,
    )


def _way_of(recipe: Recipe, results: Results, name: str, drawn: Sequence[Artifact]) -> Way:
    """Return the way to the groups of one sampler, or to groups of the workspace; `drawn`: those
    that each student saw."""
    if name not in recipe.strategies:
        return _way_to_borrowed(results, drawn[0])
    assert results.pool is not None
    assert results.scores is not None
    way = way_through(results.pool, results.scores, _runs_of(recipe, results, name), drawn)
    own = [results.groups[name]]
    if name in results.statistics:
        own.append(results.statistics[name])
    uses = {**dict.fromkeys((one.fingerprint for one in own), 1.0), **way.uses}
    return replace(way, uses=uses)


def way_through(
    pool: Artifact, scores: Artifact, runs: Sequence[Artifact], drawn: Sequence[Artifact]
) -> Way:
    """Return the way from some of a pool's runs to groups that were `drawn` from the pool, with the
    teacher's pairs that a pool of these runs alone would hold."""
    mined = behind(runs, stop=())
    encoded = behind([scores], stop=(pool,))
    paid = {scores.fingerprint, *mined}
    ranked = paid_on_the_way(runs, scores)
    pairs = pairs_alone(pool, [Run(run).label for run in runs], ranked)
    scoring = cost_of_pairs(scores, pairs)
    groups = groups_needed(drawn, (pool, scores))
    own = [pool, *(one for one, _ in groups)]
    uses = dict.fromkeys([*mined, *encoded, *(one.fingerprint for one in own)], 1.0)
    return Way(
        mining=[piece for one in mined.values() for piece in would_have_cost(one)],
        teacher=[*scoring, *((one, 1.0) for key, one in encoded.items() if key not in paid)],
        groups=[(o, part) for o, part in groups if o.fingerprint not in {*paid, *encoded}],
        students=(),
        pairs=pairs + sum(map(own_pairs, ranked)),
        uses=uses | {scores.fingerprint: float(pairs)},
    )


def groups_needed(
    drawn: Sequence[Artifact], given: Sequence[Artifact]
) -> list[tuple[Artifact, float]]:
    """Return what the groups of students took, each artifact with the part of it that one student
    needs: the groups, and from what is `given` on all that they were made of (groups before a cut,
    what a target changed, vectors)."""
    ways = [behind([groups], stop=given) for groups in drawn]
    every = {key: one for way in ways for key, one in way.items()}
    return [(one, sum(key in way for way in ways) / len(ways)) for key, one in every.items()]


def _way_to_borrowed(results: Results, groups: Artifact) -> Way:
    """Return all that groups of the workspace were made from."""
    made = behind([groups], stop=())
    phases: dict[str, list[tuple[Artifact, float]]] = {"mining": [], "teacher": [], "groups": []}
    for one in made.values():
        phase = {"scores": "teacher", "groups": "groups"}.get(one.kind, "mining")
        phases[phase] += would_have_cost(one)
    uses = dict.fromkeys(made, 1.0)
    pairs = {key: own_pairs(one) for key, one in made.items() if one.kind == "scores"}
    if results.scores is not None and results.scores.fingerprint in uses:
        uses[results.scores.fingerprint] = float(pairs[results.scores.fingerprint])
    return Way(**phases, students=(), pairs=sum(pairs.values()), uses=uses)


def spent_on(recipe: Recipe, results: Results, trained: Trained) -> Spent:
    """Return what the students of one sampler and loss would have cost alone, in seconds of
    processor and accelerator."""
    return spent_along(way_to(recipe, results, trained), seconds_of)


def spent_along(way: Way, of: Callable[[Artifact], float]) -> Spent:
    """Return what a way took; `of` says what of an artifact's cost is summed."""

    def summed(parts: Sequence[tuple[Artifact, float]]) -> float:
        return sum(of(one) * part for one, part in parts)

    return Spent(
        mining=summed(way.mining),
        teacher=summed(way.teacher),
        groups=summed(way.groups),
        training=sum(map(of, way.students)) / len(way.students),
        pairs=way.pairs,
    )


def charged(recipe: Recipe, results: Results, artifacts: Sequence[Artifact]) -> Charges:
    """Split what the artifacts of a study cost among its students' systems.

    Lines: those of the ledger in seconds and joules, and `found_s`: processor and accelerator
    seconds of teacher scores that were found and would have been spent. Compiling and
    importing are work of all.
    """
    costs = {a.fingerprint: lines_of(a.cost(), (*SECONDS, *_JOULES)) for a in artifacts}
    for line in FIRST:
        costs[line] = {line: math.fsum(lines.pop(line, 0.0) for lines in costs.values())}
    if results.scores is not None:
        saved = saved_by(results.scores)
        costs.setdefault(results.scores.fingerprint, {})["found_s"] = saved
    uses = {
        trained.system.name: {k: w for k, w in used.items() if k in costs}
        for trained in results.students.values()
        for used in [used_by(way_to(recipe, results, trained), results, trained)]
    }
    return share_out(costs, uses)


def used_by(way: Way, results: Results, trained: Trained) -> dict[str, float]:
    """Return by fingerprint what the students of one system use, with the weight of that use."""
    judged = [one for one in results.judged if one.system == trained.system]
    own = [*trained.seeds.values(), *(one.evaluation for one in judged)]
    own += [one.run for one in judged]
    return {**way.uses, **dict.fromkeys((one.fingerprint for one in own), 1.0)}


def _runs_of(recipe: Recipe, results: Results, sampler: str) -> list[Artifact]:
    """Return the runs that a sampler's strategy names; all of them where it names none."""
    named = sources_of(recipe.strategies[sampler]) & set(results.runs)
    return [results.runs[name] for name in (named or results.runs)]


def sources_of(strategy: str) -> set[str]:
    """Return the short names of sources that a strategy draws from, as far as it names them."""
    from rankmill.mining.selection import STRATEGIES

    value = STRATEGIES.parse(strategy)
    single = (getattr(value, field, None) for field in ("source", "target"))
    several = getattr(value, "sources", None) or ()
    return {name for name in (*single, *several) if name}
