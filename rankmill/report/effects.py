"""What distillation changed, from standings to the plain values of the report."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rankmill.mining.parts.told import counted
from rankmill.report import content
from rankmill.report.depths import counts_the_list, reaches_beyond
from rankmill.study.outcome import Outcome
from rankmill.study.results import BM25, FIRST_STAGE, SEARCH, START, TEACHER, System
from rankmill.study.standings import Standing, references
from rankmill.training.comparison import Comparison
from rankmill.training.significance import Interval

_ROLES: Mapping[str, content.Role] = {
    FIRST_STAGE: "first stage",
    BM25: "first stage",
    TEACHER: "teacher",
    START: "start",
}


def title_of(outcome: Outcome, system: System) -> str:
    """Return what the report calls a system: students by what they were trained on."""
    if system.is_student:
        searching = SEARCH if system.searches else ""
        return f"student, {system.trained_as}{searching}"
    if system.role == START:
        return f"untrained student{SEARCH if system.searches else ''}"
    return outcome.title_of(system)


def systems(outcome: Outcome) -> list[content.System]:
    """Return one row per system, all its domains in it."""
    by_system: dict[System, dict[str, Standing]] = {}
    for standing in outcome.standings.all:
        by_system.setdefault(standing.system, {})[standing.domain] = standing
    return [_system(outcome, system, standings) for system, standings in by_system.items()]


def _system(outcome: Outcome, system: System, standings: Mapping[str, Standing]) -> content.System:
    depth = outcome.recipe.option("evaluate", "depth")
    lists_itself = system.searches or system.role in (FIRST_STAGE, BM25)
    foreign = reaches_beyond if lists_itself else counts_the_list

    def owns(measure: str) -> bool:
        return not foreign(measure, depth)

    return content.System(
        name=title_of(outcome, system),
        role=_ROLES.get(system.role, "student"),
        scores={d: _interval(s.mean) for d, s in standings.items()},
        differences={
            domain: [_difference(c, _title(outcome, c.b)) for c in references(s)]
            for domain, s in standings.items()
        },
        sampler=system.sampler if system.is_student else None,
        measures={
            domain: {m: v for m, v in s.measures.items() if m != outcome.measure and owns(m)}
            for domain, s in standings.items()
        },
        searches=system.searches,
    )


def _title(outcome: Outcome, name: str) -> str:
    return title_of(outcome, outcome.results.systems[name])


def _interval(mean: Interval) -> content.Interval:
    return content.Interval(mean.mean, mean.low, mean.high, mean.reason)


def _difference(compared: Comparison, against: str) -> content.Difference:
    d = compared.difference
    return content.Difference(against, d.mean, compared.p_adjusted, d.low, d.high, d.reason)


def overall(outcome: Outcome) -> list[content.Overall]:
    """Return the columns over several domains: macro with its interval, and micro."""
    columns = []
    for over, means in outcome.standings.overall.items():
        reason = means[0].without_interval
        macro = {
            title_of(outcome, one.system): one.macro.mean if reason else _interval(one.macro)
            for one in means
        }
        micro = {title_of(outcome, one.system): one.micro for one in means}
        sets, queries = len(means[0].domains), means[0].queries
        columns.append(content.Overall(f"macro mean, {over} ({sets})", macro, reason))
        columns.append(
            content.Overall(f"micro mean, {over} ({counted(queries, 'query', 'queries')})", micro)
        )
    return columns


def pairs(outcome: Outcome) -> list[content.Pair]:
    """Return the samplers' students against each other, on every domain."""
    return [
        _pair(outcome, domain, compared)
        for domain in outcome.standings.domains
        for compared in outcome.standings.pairs(domain)
    ]


def _pair(outcome: Outcome, domain: str, compared: Comparison) -> content.Pair:
    equal, parts = compared.equivalence, compared.effects
    return content.Pair(
        domain,
        compared.a,
        compared.b,
        _difference(compared, compared.b),
        compared.p_randomisation_adjusted,
        margin=equal.margin if equal else None,
        verdict=equal.outcome if equal else None,
        p_equivalence=equal.p_adjusted if equal else None,
        power=equal.power if equal else None,
        deviations={
            "queries": math.sqrt(parts.queries),
            "seeds": math.sqrt(parts.seeds),
            "interaction": math.sqrt(parts.interaction),
        }
        if parts
        else {},
        seeds_share=parts.seeds_share if parts else None,
    )


def gains(outcome: Outcome) -> list[content.Gain]:
    """Return every student's cost beside its gain, on every domain."""
    return [
        content.Gain(
            gain.domain,
            title_of(outcome, gain.system),
            gain.spent.mining,
            gain.spent.teacher,
            gain.spent.groups,
            gain.spent.training,
            gain.spent.pairs,
            _difference(gain.gained, title_of(outcome, System(START))),
            gain.per_hour,
            gain.front,
        )
        for gain in outcome.gains
    ]
