"""From TOML to a recipe: unknown keys are refused with the nearest name, values with the key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from rankmill.mining import names
from rankmill.mining.errors import UsageError
from rankmill.mining.options import Field, count_of
from rankmill.recipes_data import samples
from rankmill.study.recipe.overrides import overridden
from rankmill.study.recipe.sections import (
    DOMAIN,
    MOVED,
    REQUIRED,
    SECTIONS,
    STUDY,
    TOP,
    Key,
    Section,
)
from rankmill.study.recipe.value import Domain, Recipe
from rankmill.study.toml_files import read_toml


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file.

    Raises BadInput for a file that cannot be read and UsageError for a bad key or value.
    """
    data = tables_of(path, overrides)
    if STUDY in data:
        raise UsageError(
            "this recipe has a [study]: it is several recipes",
            where=path,
            do=f"rankmill study {path}, or take the section out",
        )
    return recipe_of(data, str(path))


def tables_of(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read the tables of a recipe file, with what `--set key=value` puts in their place.

    Raises BadInput for a file that cannot be read.
    """
    data = read_toml(path, "the recipe is", "there is no such recipe", _to_copy(path))
    return overridden(data, overrides)


def _to_copy(path: Path) -> str:
    """Say where a recipe comes from that is not there: those of rankmill are copied first."""
    name = Path(path).stem
    if not Path(path).exists() and name in {one.name for one in samples()}:
        return f"`rankmill recipes copy {name}` writes {name}.toml here"
    return "`rankmill recipes list` names some to copy"


def builtin(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return a recipe that comes with the package, with values in the place of its own."""
    text = (resources.files("rankmill") / f"{name}.toml").read_text(encoding="utf-8")
    return recipe_of(overridden(tomllib.loads(text), overrides), f"rankmill/{name}.toml")


def recipe_of(data: Mapping[str, Any], where: str) -> Recipe:
    """Read a recipe's tables; raises UsageError for the first key or value that does not fit."""
    refuse_unknown("", data, [*TOP, *SECTIONS], where)
    top = own_of("", TOP, data, where)
    tables = {name: _table(data, name, where) for name in SECTIONS}
    trains = "train" in data
    if trains:
        tables["train"] = _gathered(tables["train"], where)
    kept: dict[str, dict[str, Any]] = {}
    own: dict[str, dict[str, Any]] = {}
    for name, section in SECTIONS.items():
        if name == "train" and not trains:
            kept[name], own[name] = {}, {k: key.default for k, key in section.own.items()}
            continue
        refuse_unknown(name, tables[name], section.keys, where)
        kept[name] = _options(name, section, tables[name], where)
        own[name] = own_of(name, section.own, tables[name], where)
    loss = str(kept["train"].pop("loss", ""))
    losses = own["train"]["losses"]
    if losses and "loss" in tables["train"]:
        raise UsageError(
            "the recipe names both train.loss and train.losses", where=where, do="keep one of them"
        )
    seeds = own["train"]["seeds"]
    for name, seed in (("seed", top["seed"]), *(("train.seeds", one) for one in seeds)):
        if type(seed) is not int or not 0 <= seed < 2**63:
            raise UsageError(
                f"{name}: {str(seed)[:40]} is no seed",
                where=where,
                do="give whole numbers from 0 to 2^63 - 1",
            )
    if len(set(seeds)) != len(seeds):
        raise UsageError(
            f"train.seeds {seeds} holds a seed twice", where=where, do="name each seed once"
        )
    return Recipe(
        where=where,
        name=top["name"],
        title=top["title"] or top["name"],
        collection=top["collection"],
        seed=top["seed"],
        teacher=top["teacher"],
        sources=own["mine"]["sources"],
        samplers=own["groups"]["samplers"],
        cut=own["groups"]["cut"],
        other=own["statistics"]["other"],
        trains=trains,
        losses=(losses or {loss.partition("(")[0]: loss}) if trains else {},
        seeds=seeds or [top["seed"]],
        redraw=own["train"]["redraw"],
        target=own["train"]["target"],
        first_stage=own["evaluate"]["first_stage"],
        retrieve=own["evaluate"]["retrieve"],
        domains=_domains(own["evaluate"]["domains"], where),
        options=kept,
        written=data,
    )


def _table(data: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise UsageError(f"recipe key {name!r} is a table", where=where, do=f"write [{name}]")
    return table


def _gathered(train: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return [train] with the keys of [train.settings]."""
    settings = _table(train, "settings", where)
    known = SECTIONS["train"].options
    refuse_unknown("train.settings", settings, list(known), where)
    twice = sorted(settings.keys() & train.keys())
    if twice:
        raise UsageError(
            f"train.settings names {', '.join(twice)}, which [train] says too",
            where=where,
            do="write it once",
        )
    return {k: v for k, v in train.items() if k != "settings"} | dict(settings)


def refuse_unknown(
    section: str, table: Mapping[str, Any], known: Sequence[str], where: str
) -> None:
    """Raise UsageError, with the nearest name, for a key that a section does not know."""
    for key in table:
        if key not in known:
            full = f"{section}.{key}" if section else key
            do = names.nearest(key, list(known))
            if full in MOVED:
                do = f"it is called {MOVED[full]} now"
            elif section.startswith("train") and key == "seed":
                do = "the recipe has one seed, at its top; several: train.seeds"
            raise UsageError(f"unknown recipe key {full!r}", where=where, do=do)


def _options(name: str, section: Section, table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the options of a section as keywords of its requests, checked."""
    made = {}
    for key, option in section.options.items():
        default = section.defaults.get(key, option.default)
        if key not in table:
            if option.required and key not in section.defaults:
                raise _lacks(f"{name}.{key}", name, where)
            made[key] = default
            continue
        value = _number(option, table[key])
        try:
            option.check(value)
        except UsageError as error:
            raise UsageError(f"recipe key {name}.{error.what}", where=where, do=error.do) from error
        made[key] = tuple(value) if option.form == "list" else value
    return made


def _number(option: Field, value: Any) -> Any:
    """Read 100k and 1M where an option is a count; whole numbers where it is a number."""
    if isinstance(value, str) and (option.option.count or _is_count(option, value)):
        return count_of(value)
    if option.type is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def _is_count(option: Field, text: str) -> bool:
    """Say whether a text is a whole number with a unit, 50k or 1M, where one is wanted."""
    return option.type is int and option.form == "one" and bool(_COUNT.fullmatch(text.strip()))


_COUNT = re.compile(r"\d+(\.\d+)?\s*[kKmM]", re.ASCII)


def own_of(
    name: str, keys: Mapping[str, Key], table: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Return the values of a table's own keys, checked, gaps filled with their defaults."""
    made = {}
    for key, known in keys.items():
        full = f"{name}.{key}" if name else key
        if key not in table:
            if known.default is REQUIRED:
                raise _lacks(full, name, where)
            made[key] = known.default
            continue
        value: Any = table[key]
        if known.kind is float and type(value) is int:
            value = float(value)
        if isinstance(value, bool) != (known.kind is bool) or not isinstance(value, known.kind):
            raise UsageError(
                f"recipe key {full!r}: {value!r} is not {_SAID[known.kind]}",
                where=where,
                do=known.help,
            )
        if known.kind in (dict, list) and not value and key not in ("domains", "settings"):
            raise UsageError(f"recipe key {full!r} is empty", where=where, do=known.help)
        if known.kind is dict and key not in ("domains", "settings"):
            _texts(full, value, where)
        if known.kind is list and not all(type(v) is int for v in value):
            raise UsageError(
                f"recipe key {full!r}: {value!r} is not a list of whole numbers",
                where=where,
                do=known.help,
            )
        made[key] = value
    return made


_SAID = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}


def _texts(full: str, table: Mapping[str, Any], where: str) -> None:
    for key, value in table.items():
        if not isinstance(value, str):
            raise UsageError(
                f"recipe key {f'{full}.{key}'!r}: {value!r} is not a text",
                where=where,
                do="write it in quotes",
            )


def _domains(tables: Mapping[str, Any] | None, where: str) -> dict[str, Domain]:
    if tables is not None and not tables:
        raise UsageError("evaluate.domains is empty", where=where, do="name an evaluation set")
    made = {}
    for name, table in ({"test": {}} if tables is None else tables).items():
        full = f"evaluate.domains.{name}"
        if not isinstance(table, dict):
            raise UsageError(f"recipe key {full!r} is a table", where=where, do=f"write [{full}]")
        refuse_unknown(full, table, list(DOMAIN), where)
        made[name] = Domain(**own_of(full, DOMAIN, table, where))
    return made


def _lacks(full: str, section: str, where: str) -> UsageError:
    do = f"add it to [{section}]" if section else "add it at the top of the file"
    return UsageError(f"the recipe lacks {full!r}", where=where, do=do)
