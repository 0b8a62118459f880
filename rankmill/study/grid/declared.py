"""What a study declares beforehand: equal budgets, when to stop a cell, two factors."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rankmill.mining import names
from rankmill.mining.errors import UsageError
from rankmill.mining.options import count_of
from rankmill.study.recipe import REQUIRED, Key, own_of, refuse_unknown
from rankmill.training.measures import parse_measures

COUNTED = ("documents", "unique_pairs", "positives", "queries")
FOR_CHOOSING = {"dev", "devel", "development", "val", "valid", "validation", "train"}

BUDGET = {
    **{name: Key(int, None, f"Different {name.replace('_', ' ')} seen.") for name in COUNTED},
    "tolerance": Key(float, 0.0, "Share by which a cell may miss a budget; 0: not at all."),
}
RACE = {
    "domain": Key(str, REQUIRED, "The evaluation set that decides: its split is for development."),
    "margin": Key(float, REQUIRED, "How far below the best a whole interval must lie."),
    "measure": Key(str, None, "Default: the first of evaluate.measures."),
    "after": Key(int, 2, "Seeds that every cell has before the first is stopped."),
    "level": Key(float, 0.95, "Level of the intervals."),
}


@dataclass(frozen=True, slots=True)
class Budget:
    """What every student must see, None where nothing is declared; `tolerance` is a share."""

    documents: int | None = None
    unique_pairs: int | None = None
    positives: int | None = None
    queries: int | None = None
    tolerance: float = 0.0

    @property
    def declared(self) -> dict[str, int]:
        """The budgets that were declared."""
        counts = {name: getattr(self, name) for name in COUNTED}
        return {name: count for name, count in counts.items() if count is not None}

    @property
    def within(self) -> str:
        """The tolerance for people: 2 %, 0.1 %."""
        return f"{100 * self.tolerance:.6g} %"

    def missed(self, seen: Mapping[str, int]) -> list[str]:
        """Say which of the declared budgets what is seen does not meet; `seen` may lack some."""
        return [
            f"{name.replace('_', ' ')} {seen[name]:,}, declared {wanted:,}"
            for name, wanted in self.declared.items()
            if name in seen and abs(seen[name] - wanted) > round(self.tolerance * wanted, 6)
        ]


@dataclass(frozen=True, slots=True)
class Race:
    """When a cell is not trained further: after `after` seeds or more its interval (at `level`, of
    its difference from the best cell, on `domain`) lies wholly below −margin."""

    domain: str
    margin: float
    measure: str | None = None
    after: int = 2
    level: float = 0.95


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor: by the name of its level the levels of the axis `axis` that belong to it."""

    name: str
    axis: str
    levels: Mapping[str, Sequence[str]]


def budget_of(said: Any, where: str) -> Budget:
    """Read `[study.budget]`."""
    table = table_of("study.budget", said, where)
    refuse_unknown("study.budget", table, list(BUDGET), where)
    counts = {}
    for name in COUNTED:
        if name in table:
            value = table[name]
            count = count_of(value) if isinstance(value, str) else value
            if type(count) is not int or count < 1:
                raise UsageError(
                    f"study.budget.{name}={value!r} is no budget",
                    where=where,
                    do="give a whole number from 1, or 12M",
                )
            counts[name] = count
    own = own_of("study.budget", {"tolerance": BUDGET["tolerance"]}, table, where)
    if not 0 <= own["tolerance"] < 1:
        raise UsageError(
            f"study.budget.tolerance={own['tolerance']} is no share",
            where=where,
            do="give it between 0 and 1: 0.05 lets a cell miss a budget by 5 %",
        )
    return Budget(**counts, tolerance=own["tolerance"])


def race_of(said: Any, where: str) -> Race:
    """Read `[study.race]`; whether its domain is there, and for choosing, `check_race` says."""
    table = table_of("study.race", said, where)
    refuse_unknown("study.race", table, list(RACE), where)
    race = Race(**own_of("study.race", RACE, table, where))
    for key, good, wanted in (
        ("margin", 0 <= race.margin < math.inf, "0 or more, in units of the measure"),
        ("after", race.after >= 1, "1 or more rounds of seeds"),
        ("level", 0 < race.level < 1, "between 0 and 1"),
    ):
        if not good:
            raise UsageError(
                f"study.race.{key}={getattr(race, key)}", where=where, do=f"give {wanted}"
            )
    if race.measure is not None:
        try:
            parse_measures(race.measure)
        except UsageError as error:
            raise UsageError(
                f"study.race.measure: {error.what}",
                where=where,
                do="name one of evaluate.measures, such as nDCG@10",
            ) from error
    return race


def for_choosing(split: str) -> bool:
    """Say whether a split's name says that it is for choosing: dev, validation, train-held-out."""
    words = set(re.split(r"[^a-z]+", split.lower()))
    return bool(words & FOR_CHOOSING) and "test" not in words


def correlate_of(said: Any, domains: Sequence[str], where: str) -> list[str]:
    """Read `study.correlate`: evaluation sets for whose queries groups are drawn and measured."""
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        raise UsageError(
            f"study.correlate={said!r} is no list of evaluation sets",
            where=where,
            do='write correlate = ["test"]',
        )
    for name in said:
        if name not in domains:
            raise UsageError(
                f"study.correlate: {name!r} is no evaluation set",
                where=where,
                do=f"{names.nearest(name, list(domains))}; the sets are those of evaluate.domains",
            )
    return list(dict.fromkeys(said))


def factors_of(said: Any, levels: Mapping[str, Sequence[str]], where: str) -> list[Factor]:
    """Read `[study.factors]`: `levels` are those of every axis, samplers and losses among them."""
    table = table_of("study.factors", said, where)
    if table and len(table) != 2:
        raise UsageError(
            f"study.factors names {len(table)}: {', '.join(table)}",
            where=where,
            do="name two: their main effects and their interaction are estimated",
        )
    factors = [_factor(name, given, levels, where) for name, given in table.items()]
    if len(factors) == 2 and factors[0].axis == factors[1].axis:
        _check_crossed(factors[0], factors[1], where)
    elif len(factors) == 2:
        _check_single(factors, where)
    return factors


def _factor(name: str, given: Any, levels: Mapping[str, Sequence[str]], where: str) -> Factor:
    chosen: dict[str, list[str]]
    if isinstance(given, list):  # the name of an axis, and levels of it in order
        axis, chosen = name, {str(level): [str(level)] for level in given}
        _check_once(name, [str(level) for level in given], where)
        if axis not in levels:
            raise UsageError(
                f"study.factors.{name} is no axis",
                where=where,
                do=f"{names.nearest(name, list(levels))}; or a table of levels, each a list of "
                "samplers",
            )
    elif isinstance(given, dict):
        axis, chosen = "sampler", {k: _members(name, k, v, where) for k, v in given.items()}
        _check_once(name, [one for members in chosen.values() for one in members], where)
    else:
        raise UsageError(
            f"study.factors.{name}: {given!r}",
            where=where,
            do="give the levels of an axis as a list, or levels = lists of samplers",
        )
    if len(chosen) < 2:
        raise UsageError(f"study.factors.{name} has one level", where=where, do="name two or more")
    for member in (one for members in chosen.values() for one in members):
        if member not in levels[axis]:
            raise UsageError(
                f"study.factors.{name}: no cell has the {axis} {member!r}",
                where=where,
                do=f"{names.nearest(str(member), list(levels[axis]))}; study.only and "
                "study.without may have left it out",
            )
    return Factor(name, axis, chosen)


def _members(name: str, level: str, given: Any, where: str) -> list[str]:
    """Return the samplers of one level of a factor."""
    members = [given] if isinstance(given, str) else given
    named = isinstance(members, list) and all(isinstance(one, str) for one in members)
    if not named or not members:
        raise UsageError(
            f"study.factors.{name}.{level}: {given!r} names no samplers",
            where=where,
            do=f'write {level} = ["bm25", "random"], the short names of samplers',
        )
    return list(members)


def _check_once(name: str, members: Sequence[str], where: str) -> None:
    twice = sorted({one for one in members if members.count(one) > 1})
    if twice:
        raise UsageError(
            f"study.factors.{name} names {', '.join(twice)} twice",
            where=where,
            do="a cell has one level of a factor: name it once",
        )


def _check_single(factors: Sequence[Factor], where: str) -> None:
    """See to it that a level of a factor is one level of its axis, where the other factor is
    another axis: else two cells stand where one is compared."""
    for factor in factors:
        for level, members in factor.levels.items():
            if len(members) > 1:
                raise UsageError(
                    f"study.factors.{factor.name} {level} is {' and '.join(members)}",
                    where=where,
                    do="name one sampler; several belong to a level only where both factors are "
                    "of the samplers",
                )


def _check_crossed(a: Factor, b: Factor, where: str) -> None:
    """See to it that every pair of levels of two factors of the samplers is one sampler."""
    for one, first in a.levels.items():
        for other, second in b.levels.items():
            both = [sampler for sampler in first if sampler in second]
            if len(both) != 1:
                raise UsageError(
                    f"{a.name} {one} with {b.name} {other} is {' and '.join(both) or 'no sampler'}",
                    where=f"{where}: study.factors",
                    do="cross them: one sampler for every pair of levels",
                )


def table_of(name: str, said: Any, where: str) -> Mapping[str, Any]:
    """Return a table of the section; raises UsageError for what is none."""
    if not isinstance(said, dict):
        raise UsageError(f"recipe key {name!r} is a table", where=where, do=f"write [{name}]")
    return said
