"""`[study.hypotheses]`: what is expected of the cells, and by which margin, declared beforehand."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from rankmill.mining import names
from rankmill.mining.errors import UsageError
from rankmill.study.grid.declared import for_choosing, table_of
from rankmill.study.recipe import REQUIRED, Domain, Key, own_of, refuse_unknown
from rankmill.study.results import REFERENCES, START, TEACHER, Role
from rankmill.training.strata import EXPECTED, Expect

SPREAD = "score_spread"
OF_TRAINING = ("loss", "excess", "gradient_norm", "gradient_norm_variance", SPREAD)
OF_RANKS = ("power_law_lead",)
ZERO: Literal["zero"] = "zero"  # in the place of b: a itself
SYSTEMS: tuple[Role, ...] = (TEACHER, START)  # whose lists a claim may be about, but for students
SIDES = ("a", "b", "within")
Levels = Mapping[str, Sequence[str]]

KEYS = {
    "claim": Key(str, REQUIRED, "The claim, in words."),
    "source": Key(str, "", "Who makes it."),
    "expect": Key(str, REQUIRED, f"Of a − b: {', '.join(EXPECTED)}."),
    "margin": Key(float, None, "A difference that would not matter; default: evaluate.margin."),
    "of": Key(str, None, "A measure (default: the first), a statistic of groups, training, ranks."),
    "against": Key(str, None, f"In the place of b: {', '.join((*REFERENCES, ZERO))}."),
    "system": Key(str, None, f"Against zero: whose lists, for students': {', '.join(SYSTEMS)}."),
}


@dataclass(frozen=True, slots=True)
class Contrast:
    """The cells `a` and `b`, by levels of axes, among those `within`; `of`: what is compared, ""
    for the first measure. `against`: in the place of b, what no student is: the teacher, BM25; or
    zero. `system`: whose lists `of` looks at, in the place of those of the cells' students."""

    a: Levels
    b: Levels
    within: Levels
    of: str
    against: Role | Literal["zero"] | None = None
    system: Role | None = None


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A claim about the difference of two sets of cells.

    `domains`: evaluation sets, empty for all that are not for choosing. `instead`: the same claim
    with other cells or another quantity, by what the change is called.
    """

    name: str
    claim: str
    source: str
    expect: Expect
    margin: float
    contrast: Contrast
    domains: Sequence[str]
    instead: Mapping[str, Contrast] = field(default_factory=dict)


def hypotheses_of(
    said: Any,
    cells: Sequence[Levels],
    domains: Mapping[str, Domain],
    margin: float | None,
    where: str,
) -> list[Hypothesis]:
    """Read the section; `cells` are the levels of every cell, one each, `domains` the evaluation
    sets, `margin` that of [evaluate].

    Raises UsageError for what is no claim about cells of the study.
    """
    tables = table_of("study.hypotheses", said, where)
    return [
        _hypothesis(name, given, cells, domains, margin, f"{where}: study.hypotheses.{name}")
        for name, given in tables.items()
    ]


def statistic_of(text: str) -> Any:
    """Return a statistic of groups, the reference's variants among them; raises UsageError."""
    from rankmill.mining.statistics import STATISTICS
    from rankmill.mining.statistics.compat import COMPAT

    family = COMPAT if text.partition("(")[0] in COMPAT.names() else STATISTICS
    return family.parse(text)


def declared_hash(hypotheses: Sequence[Hypothesis]) -> str:
    """Return a hash of all that was declared: a claim that was changed afterwards shows."""
    said = json.dumps([_said(one) for one in hypotheses], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def _said(one: Hypothesis) -> list[Any]:
    def of(c: Contrast) -> list[Any]:
        system = [] if c.system is None else [c.system]
        return [dict(c.a), dict(c.b), dict(c.within), c.of, c.against, *system]

    instead = {name: of(c) for name, c in one.instead.items()}
    told = [one.name, one.claim, one.expect, one.margin, list(one.domains)]
    return [*told, of(one.contrast), instead]


def _hypothesis(
    name: str,
    given: Any,
    cells: Sequence[Levels],
    domains: Mapping[str, Domain],
    margin: float | None,
    where: str,
) -> Hypothesis:
    table = table_of(f"study.hypotheses.{name}", given, where)
    refuse_unknown(f"study.hypotheses.{name}", table, [*KEYS, *SIDES, "domains", "instead"], where)
    own = own_of(f"study.hypotheses.{name}", KEYS, table, where)
    if own["expect"] not in get_args(Expect):
        raise UsageError(
            f"expect={own['expect']!r} is no expectation",
            where=where,
            do=f"of a − b: {', '.join(EXPECTED)}",
        )
    margin = own["margin"] if own["margin"] is not None else margin
    if margin is None or not 0 < margin < math.inf:
        raise UsageError(
            f"the claim has the margin {margin}",
            where=where,
            do="say which difference would not matter: margin = 0.02, here or in [evaluate]",
        )
    contrast = _contrast(table, None, own["of"] or "", cells, where)
    instead = table_of("instead", table.get("instead", {}), where)
    return Hypothesis(
        name=name,
        claim=own["claim"],
        source=own["source"],
        expect=cast(Expect, own["expect"]),
        margin=margin,
        contrast=contrast,
        domains=_domains(table.get("domains", []), domains, where),
        instead={
            change: _contrast(
                _known(change, other, where), contrast, "", cells, f"{where}.instead.{change}"
            )
            for change, other in instead.items()
        },
    )


def _known(change: str, other: Any, where: str) -> Mapping[str, Any]:
    table = table_of(f"instead.{change}", other, where)
    refuse_unknown(f"instead.{change}", table, [*SIDES, "of", "against", "system"], where)
    return table


def _contrast(
    table: Mapping[str, Any],
    default: Contrast | None,
    of: str,
    cells: Sequence[Levels],
    where: str,
) -> Contrast:
    """Read both sides; `default` has what a change does not say."""
    sides: dict[str, Levels] = {}
    for side in SIDES:
        if side in table:
            sides[side] = _levels(side, table[side], cells, where)
        elif default is not None:
            sides[side] = getattr(default, side)
        elif side == "within" or (side == "b" and "against" in table):
            sides[side] = {}
        else:
            raise UsageError(
                f"the claim does not say which cells are {side!r}",
                where=where,
                do=f'write {side} = {{ sampler = "bm25" }}',
            )
    said = table.get("of", of) if default is None else table.get("of", default.of)
    role, system = (
        table.get(key, None if default is None else getattr(default, key))
        for key in ("against", "system")
    )
    against = _role("against", role, (*REFERENCES, ZERO), where)
    of_lists = cast("Role | None", _role("system", system, SYSTEMS, where))
    made = Contrast(sides["a"], sides["b"], sides["within"], str(said or ""), against, of_lists)
    if made.against is None:
        _check_balanced(made, cells, where)
    else:
        _check_against(made, cells, where)
    return made


def _role(key: str, role: Any, known: Sequence[str], where: str) -> Role | Literal["zero"] | None:
    if role is None or role in known:
        return cast("Role | Literal['zero'] | None", role)
    raise UsageError(
        f"{key}={role!r} is nothing that students stand beside",
        where=where,
        do=names.nearest(str(role), list(known)),
    )


def _check_against(contrast: Contrast, cells: Sequence[Levels], where: str) -> None:
    """Refuse a claim against the teacher, say, that names a second side, or no cells, or asks for
    what only students have."""
    if contrast.b:
        raise UsageError(
            f"the claim names both b and against={contrast.against!r}",
            where=where,
            do="keep one of them",
        )
    if not members(contrast, cells)[0]:
        raise UsageError(
            "no cell is 'a'", where=where, do="look at the levels, at within and at only"
        )


def _levels(side: str, given: Any, cells: Sequence[Levels], where: str) -> Levels:
    table = table_of(side, given, where)
    made = {
        axis: [str(one) for one in (levels if isinstance(levels, list) else [levels])]
        for axis, levels in table.items()
    }
    for axis, levels in made.items():
        if axis not in cells[0]:
            raise UsageError(
                f"{side}: {axis!r} is no axis",
                where=where,
                do=names.nearest(axis, list(cells[0])),
            )
        known = list(dict.fromkeys(cell[axis][0] for cell in cells))
        for level in levels:
            if level not in known:
                raise UsageError(
                    f"{side}: no cell has the {axis} {level!r}",
                    where=where,
                    do=names.nearest(level, known),
                )
    return made


def members(contrast: Contrast, cells: Sequence[Levels]) -> tuple[list[int], list[int]]:
    """Return the places of the cells of either side."""

    def fits(cell: Levels, side: Levels) -> bool:
        return all(cell[axis][0] in levels for axis, levels in side.items())

    inside = [place for place, cell in enumerate(cells) if fits(cell, contrast.within)]
    a, b = ([p for p in inside if fits(cells[p], side)] for side in (contrast.a, contrast.b))
    return a, [] if contrast.against else b


def _check_balanced(contrast: Contrast, cells: Sequence[Levels], where: str) -> None:
    """See to it that both sides have cells, that no cell is on both, and that what is not compared
    is the same on both."""
    a, b = members(contrast, cells)
    for side, places in (("a", a), ("b", b)):
        if not places:
            raise UsageError(
                f"no cell is {side!r}", where=where, do="look at the levels, at within and at only"
            )
    if set(a) & set(b):
        raise UsageError(
            "a cell is on both sides of the claim", where=where, do="name levels that differ"
        )
    compared = contrast.a.keys() | contrast.b.keys()
    for axis in compared - (contrast.a.keys() & contrast.b.keys()):
        raise UsageError(
            f"{axis} is named on one side of the claim only",
            where=where,
            do="name it on both sides, or in within",
        )

    def others(places: Sequence[int]) -> dict[tuple[str, ...], int]:
        counts: dict[tuple[str, ...], int] = {}
        for place in places:
            key = tuple(v[0] for axis, v in cells[place].items() if axis not in compared)
            counts[key] = counts.get(key, 0) + 1
        return counts

    of_a, of_b = others(a), others(b)
    uneven = {len(set(of.values())) > 1 for of in (of_a, of_b)}
    if of_a.keys() != of_b.keys() or True in uneven:
        raise UsageError(
            "the two sides of the claim differ in more than it compares: other levels of "
            f"{', '.join(axis for axis in cells[0] if axis not in compared)}",
            where=where,
            do="narrow the cells by within",
        )


def _domains(said: Any, domains: Mapping[str, Domain], where: str) -> list[str]:
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        raise UsageError(f"domains={said!r} is no list of evaluation sets", where=where)
    for name in said:
        if name not in domains:
            raise UsageError(
                f"{name!r} is no evaluation set",
                where=where,
                do=names.nearest(name, list(domains)),
            )
        if for_choosing(domains[name].split):
            raise UsageError(
                f"{name!r} is a set for choosing (split {domains[name].split!r}): a claim is "
                "judged by queries that chose nothing",
                where=where,
                do="name a set for testing",
            )
    return list(said)
