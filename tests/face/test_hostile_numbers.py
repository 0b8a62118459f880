"""Every number of every option has a range: nan, infinite, too small and too large is refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

import rankmill.mining.derive
import rankmill.mining.exports.base
import rankmill.mining.selection
import rankmill.mining.sources
import rankmill.mining.statistics
import rankmill.mining.teachers
import rankmill.training.losses
import rankmill.training.measures
import rankmill.training.students  # noqa: F401  (they make the families)
from rankmill import stages
from rankmill.mining import names
from rankmill.mining.actors import Execution
from rankmill.mining.errors import UsageError
from rankmill.mining.options import options_of
from rankmill.mining.ranges import range_of
from rankmill.study.recipe import recipe_of

NEEDED = {
    "of": ("bm25", "random"),
    "weights": (1.0, 1.0),
    "near": 0,
    "sure": 0,
    "kind": "logit",
    "sources": ("bm25", "random"),
    "url": "http://h",
    "api": "tei",
    "preset": "minilm",
}
ALSO = {"between": {"low": 0.0, "high": 1.0}, "bands": {"ranks": ("1-32", "100-200")}}


def _numbers() -> list[tuple[str, type, dataclasses.Field[Any], str]]:
    """Return every parameter that is declared as a number, of every member of every family."""
    found = []
    for family in names.family._families.values():
        for name, member in family.usable():
            kind: str
            if not member.__module__.startswith("rankmill."):
                continue
            for field in dataclasses.fields(member):
                kinds, items = names.parameters.declared(field)
                for kind in ("float", "int"):
                    if kind in kinds or items == kind:
                        found.append((name, member, field, kind))
                        break
    return found


NUMBERS = _numbers()


def test_no_number_of_a_value_is_without_a_range():
    assert [(n, f.name) for n, _, f, _ in NUMBERS if range_of(n, f.name) is None] == []
    assert len(NUMBERS) > 80


@pytest.mark.parametrize(
    ("name", "member", "field", "kind"), NUMBERS, ids=[f"{n}-{f.name}" for n, _, f, _ in NUMBERS]
)
def test_values_refuse_numbers_out_of_range(name, member, field, kind):
    within = range_of(name, field.name)
    given = {
        f.name: NEEDED.get(f.name, "x")
        for f in dataclasses.fields(member)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    } | ALSO.get(name, {})
    member(**given)  # without the odd number it is sound
    odd: list[Any] = [10**23, -(10**23), within.least - 1, within.most + 1]
    if kind == "float":
        odd = [math.nan, math.inf, -math.inf, 1e300, -1e300, *map(float, odd)]
    for number in odd:
        listed = names.parameters.declared(field)[1] == kind
        with pytest.raises(UsageError):
            member(**given | {field.name: (number, 1) if listed else number})


def _options() -> list[tuple[Any, Any]]:
    return [
        (request, option)
        for request in stages.REQUESTS.values()
        for option in options_of(request)
        if option.type in (int, float)
    ]


@pytest.mark.parametrize(
    ("request_", "option"), _options(), ids=[f"{r.verb}-{o.name}" for r, o in _options()]
)
def test_requests_refuse_numbers_out_of_range(request_, option):
    limits = option.option
    if option.form == "one":
        assert limits.least is not None or limits.above is not None, "no least is declared"
    odd: list[Any] = [10**23, -(10**23), True, "5"]
    odd += [math.nan, math.inf, -math.inf, 1e300] if option.type is float else [0.5, 2.0]
    if limits.least is not None:
        odd.append(limits.least - 1)
    if limits.above is not None:
        odd.append(limits.above)
    for number in odd:
        value = [number] * (option.length or 1) if option.form == "list" else number
        with pytest.raises(UsageError, match=option.name):
            option.check(value)


@pytest.mark.parametrize("workers", [True, -1, 1.0, "2", None, 10**23])
def test_workers_are_a_number_of_workers(workers):
    with pytest.raises(UsageError, match="workers="):
        Execution(workers=workers)


@pytest.mark.parametrize(
    ("section", "table"),
    [
        ("", {"seed": -1}),
        ("", {"seed": 10**23}),
        ("", {"seed": True}),
        ("train", {"student": "bi_encoder(model=x)", "seeds": [1, -1]}),
        ("train", {"student": "bi_encoder(model=x)", "seeds": [1, 2.5]}),
        ("train", {"student": "bi_encoder(model=x)", "seeds": [[1], [2]]}),
        ("train", {"student": "bi_encoder(model=x)", "batch": 10**23}),
        ("train", {"student": "bi_encoder(model=x)", "documents": "9e99"}),
        ("groups", {"size": 1}),
        ("mine", {"depth": 0}),
        ("mine", {"depth": 1.5}),
    ],
)
def test_recipes_refuse_numbers_out_of_range(section, table):
    recipe: dict[str, Any] = {"name": "x", "collection": "beir:x", "teacher": "x"}
    recipe |= {"mine": {"sources": {"r": "random"}}, "groups": {"samplers": {"r": "top"}}}
    recipe[section] = recipe.get(section, {}) | table if section else None
    if not section:
        recipe = {k: v for k, v in recipe.items() if k} | table
    with pytest.raises(UsageError):
        recipe_of(recipe, "r.toml")


def test_numbers_of_requests_are_found():
    assert len(_options()) > 50
