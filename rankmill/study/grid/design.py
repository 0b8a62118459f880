"""What a study is: the recipes that its axes make, its cells, and what was declared beforehand.

A *variant* is the recipe with one level of every axis; a *cell* is a variant with one sampler and
one loss, of which a student is trained for every seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from rankmill.mining import names
from rankmill.mining.errors import UsageError
from rankmill.study.costs.prices import Prices, prices_of
from rankmill.study.grid.axes import Axis, axes_of, with_keys
from rankmill.study.grid.declared import (
    Budget,
    Factor,
    Race,
    budget_of,
    correlate_of,
    factors_of,
    race_of,
    table_of,
)
from rankmill.study.grid.hypotheses import Hypothesis, hypotheses_of, members
from rankmill.study.recipe import STUDY, Recipe, recipe_of, refuse_unknown
from rankmill.study.results import REFERENCES

KEYS = (
    *("axes", "only", "without", "part", "budget", "race", "factors", "correlate", "prices"),
    "hypotheses",
)
SAMPLER, LOSS = "sampler", "loss"  # the recipe's own axes
_BASELINES = frozenset(role.casefold() for role in REFERENCES)
_LONGEST = 90  # characters of a variant's name: aliases have 128


@dataclass(frozen=True, slots=True)
class Variant:
    """A recipe of the study, and the level of every axis that made it."""

    recipe: Recipe
    levels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cell:
    """A variant with one sampler and one loss; `levels` has these two beside those of the axes."""

    number: int
    variant: int
    sampler: str
    loss: str
    levels: Mapping[str, str]

    @property
    def name(self) -> str:
        """The cell in words: small, bm25, kl."""
        return ", ".join(self.levels.values())


@dataclass(frozen=True)
class Study:
    """A study: its variants share a recipe but for the keys of the axes. `correlate`: evaluation
    sets whose queries' groups are measured, for partial correlations; `text`: the recipe as it was
    written; `overrides`: what was set beside it. `hypotheses`: the declared claims whose cells are
    all in this part of the study."""

    where: str
    name: str
    title: str
    axes: Sequence[Axis]
    variants: Sequence[Variant]
    cells: Sequence[Cell]
    budget: Budget
    race: Race | None
    factors: Sequence[Factor]
    written: Mapping[str, Any]
    prices: Prices = Prices()
    hypotheses: Sequence[Hypothesis] = ()
    text: str = ""
    correlate: Sequence[str] = ()
    declared: Sequence[Hypothesis] = ()
    overrides: Sequence[str] = ()

    @property
    def seeds(self) -> Sequence[int]:
        """Training seeds: every cell has a student for each."""
        return self.variants[0].recipe.seeds

    @property
    def levels(self) -> dict[str, list[str]]:
        """The levels that cells have, by axis, samplers and losses last."""
        return _levels_of(self.cells)

    @property
    def elsewhere(self) -> list[Hypothesis]:
        """Claims about cells that this part of the study has not."""
        return [one for one in self.declared if one not in self.hypotheses]

    @property
    def varied(self) -> list[str]:
        """Axes that have more than one level: a single one tells no cell apart."""
        several = [axis for axis, levels in self.levels.items() if len(levels) > 1]
        return several or [SAMPLER]

    def short(self, cell: Cell) -> str:
        """Return a cell's name by the axes that are varied: small, bm25; with its axis, sampler
        bm25, where the level alone is what a baseline is called."""
        levels = [cell.levels[axis] for axis in self.varied]
        if len(levels) == 1 and levels[0].casefold() in _BASELINES:
            return f"{self.varied[0]} {levels[0]}"
        return ", ".join(levels)

    @property
    def measures(self) -> list[str]:
        """What every variant measures; the first is tested."""
        return self.variants[0].recipe.measured

    def of_variant(self, number: int) -> list[Cell]:
        """Return the cells of one variant."""
        return [cell for cell in self.cells if cell.variant == number]

    def with_threads(self, threads: int) -> Study:
        """Return the study with the number of threads written out where a recipe leaves it open:
        what another process, which has other processors, must train with."""

        def settled(recipe: Recipe) -> Recipe:
            train = dict(recipe.options["train"])
            train["threads"] = train["threads"] or threads
            return replace(recipe, options={**recipe.options, "train": train})

        variants = [replace(one, recipe=settled(one.recipe)) for one in self.variants]
        return replace(self, variants=variants)


def study_of(data: Mapping[str, Any], where: str) -> Study:
    """Read a recipe with its `[study]`; raises UsageError for the first thing that does not fit.

    A recipe without the section is a study of its samplers, losses and seeds.
    """
    data = dict(data)
    said = data.pop(STUDY, {})
    if not isinstance(said, dict):
        raise UsageError("recipe key 'study' is a table", where=where, do="write [study]")
    refuse_unknown(STUDY, said, list(KEYS), where)
    axes = axes_of(table_of("study.axes", said.get("axes", {}), where), where)
    if "train" not in data:
        raise UsageError("a study trains students", where=where, do="add [train] with a student")
    every = product(*(axis.levels for axis in axes))
    variants = [_variant(data, axes, chosen, where) for chosen in every]
    whole = _cells(variants, said, where)
    claims = _claims(variants, whole, said.get("hypotheses", {}), where)
    cells = _part(whole, said.get("part", []), where)
    here = {cell.name for cell in cells}
    used = sorted({cell.variant for cell in cells})
    variants = [variants[number] for number in used]
    cells = [replace(cell, variant=used.index(cell.variant)) for cell in cells]
    _check_different(variants, where)
    _check_aliases(variants, cells, where)
    study = Study(
        where=where,
        name=str(data["name"]),
        title=str(data.get("title") or data["name"]),
        axes=axes,
        variants=variants,
        cells=cells,
        budget=budget_of(said.get("budget", {}), where),
        race=race_of(said["race"], where) if "race" in said else None,
        factors=[],
        written={**data, STUDY: said} if said else data,
        prices=prices_of(said.get("prices", {}), f"{where}: study.prices"),
        correlate=correlate_of(
            said.get("correlate", []), list(variants[0].recipe.domains), f"{where}: study.correlate"
        ),
    )
    factors = factors_of(said.get("factors", {}), _levels_of(whole), where)
    return replace(
        study,
        factors=factors,
        hypotheses=[one for one, of in claims if of <= here],
        declared=[one for one, _ in claims],
    )


def _claims(
    variants: Sequence[Variant], cells: Sequence[Cell], said: Any, where: str
) -> list[tuple[Hypothesis, set[str]]]:
    """Read the claims, each with the names of all cells that it, or a change of it, is about."""
    levels = [{axis: [level] for axis, level in cell.levels.items()} for cell in cells]
    used = [variants[number].recipe for number in sorted({cell.variant for cell in cells})]
    domains = {name: domain for one in used for name, domain in one.domains.items()}
    margin = used[0].option("evaluate", "margin")
    return [
        (
            one,
            {
                cells[place].name
                for contrast in (one.contrast, *one.instead.values())
                for side in members(contrast, levels)
                for place in side
            },
        )
        for one in hypotheses_of(said, levels, domains, margin, where)
    ]


def _levels_of(cells: Sequence[Cell]) -> dict[str, list[str]]:
    made: dict[str, dict[str, None]] = {}
    for cell in cells:
        for axis, level in cell.levels.items():
            made.setdefault(axis, {})[level] = None
    return {axis: list(levels) for axis, levels in made.items()}


def _variant(
    data: Mapping[str, Any], axes: Sequence[Axis], chosen: Sequence[str], where: str
) -> Variant:
    """Make the recipe of one level of every axis, named after them."""
    made = dict(data)
    for axis, level in zip(axes, chosen, strict=True):
        made = with_keys(made, axis.levels[level], where)
    said = ", ".join(f"{axis.name}={level}" for axis, level in zip(axes, chosen, strict=True))
    if isinstance(made.get("name"), str) and chosen:
        made["name"] = "-".join([made["name"], *chosen])
        if len(made["name"]) > _LONGEST:
            raise UsageError(
                f"the name {made['name']!r} is too long for aliases",
                where=where,
                do="give the levels of the axes shorter names: tables of name = value",
            )
    recipe = recipe_of(made, f"{where} with {said}" if said else where)
    return Variant(recipe, {a.name: level for a, level in zip(axes, chosen, strict=True)})


def _check_different(variants: Sequence[Variant], where: str) -> None:
    """Refuse levels that make the same recipe: a cell would be compared with itself."""
    recipes: dict[str, Variant] = {}
    for variant in variants:
        nameless = replace(variant.recipe, where="", name="", title="", written={})
        other = recipes.setdefault(repr(nameless), variant)
        if other is not variant:
            said = (
                ", ".join(f"{a}={v}" for a, v in one.levels.items()) for one in (other, variant)
            )
            raise UsageError(
                f"{' and '.join(said)} are the same recipe",
                where=f"{where}: study.axes",
                do="keep one of the two: a level that sets nothing has the recipe's own value",
            )


def _check_aliases(variants: Sequence[Variant], cells: Sequence[Cell], where: str) -> None:
    """Refuse cells whose students would have the same alias."""
    aliases: dict[str, Cell] = {}
    for cell in cells:
        alias = "-".join([variants[cell.variant].recipe.name, cell.sampler, cell.loss])
        other = aliases.setdefault(alias, cell)
        if other is not cell:
            raise UsageError(
                f"the cells ({other.name}) and ({cell.name}) would both be called {alias}",
                where=where,
                do="give levels, samplers or losses other short names: aliases join them with '-'",
            )


def _cells(variants: Sequence[Variant], said: Mapping[str, Any], where: str) -> list[Cell]:
    """Return the cells that `only` and `without` leave."""
    every = list(_every_cell(variants))
    levels = _levels_of(every)
    only, without = (
        _conditions(key, said.get(key, []), levels, where) for key in ("only", "without")
    )
    kept = [
        cell
        for cell in every
        if (not only or any(_fits(cell, one) for one in only))
        and not any(_fits(cell, one) for one in without)
    ]
    if not kept:
        raise UsageError(
            f"study.only and study.without leave none of {len(every)} cells", where=where
        )
    return kept


def _part(cells: Sequence[Cell], said: Any, where: str) -> list[Cell]:
    """Return the cells of the part that is carried out now, numbered: all of them by default."""
    wanted = _conditions("part", said, _levels_of(cells), where)
    kept = [cell for cell in cells if not wanted or any(_fits(cell, one) for one in wanted)]
    if not kept:
        raise UsageError(f"study.part has none of the {len(cells)} cells of the study", where=where)
    return [replace(cell, number=number) for number, cell in enumerate(kept)]


def _every_cell(variants: Sequence[Variant]) -> Iterator[Cell]:
    for number, variant in enumerate(variants):
        for sampler, loss in product(variant.recipe.samplers, variant.recipe.losses):
            levels = {**variant.levels, SAMPLER: sampler, LOSS: loss}
            yield Cell(0, number, sampler, loss, levels)


Condition = Mapping[str, Sequence[str]]


def _conditions(
    key: str, said: Any, levels: Mapping[str, Sequence[str]], where: str
) -> list[Condition]:
    if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
        raise UsageError(
            f"study.{key} is a list of tables",
            where=where,
            do=f'write {key} = [{{sampler = "bm25", loss = ["kl", "lce"]}}]',
        )
    made: list[Condition] = []
    for one in said:
        wanted = {a: [str(v) for v in (v if isinstance(v, list) else [v])] for a, v in one.items()}
        for axis, chosen in wanted.items():
            if axis not in levels:
                raise UsageError(
                    f"study.{key}: {axis!r} is no axis",
                    where=where,
                    do=names.nearest(axis, list(levels)),
                )
            for level in chosen:
                if level not in levels[axis]:
                    raise UsageError(
                        f"study.{key}: axis {axis!r} has no level {level!r}",
                        where=where,
                        do=names.nearest(level, sorted(levels[axis])),
                    )
        made.append(wanted)
    return made


def _fits(cell: Cell, condition: Condition) -> bool:
    return all(cell.levels[axis] in chosen for axis, chosen in condition.items())
