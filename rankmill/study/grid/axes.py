"""The axes of a study: recipe keys with several values, under short names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any

from rankmill.mining import names
from rankmill.mining.errors import UsageError
from rankmill.study.recipe import SECTIONS, TOP

_ONE_TEST = "all cells are tested alike: write it into [evaluate]"
IN_RECIPE = {  # varied by the recipe itself, so no keys of axes
    "groups.samplers": "samplers are an axis already: name them in [groups.samplers]",
    "train.losses": "losses are an axis already: name them in [train.losses]",
    "train.loss": "losses are an axis already: name them in [train.losses], in the place of loss",
    "evaluate.domains": "every student is judged on all domains: name them in [evaluate.domains]",
}
NOT_VARIED = {
    "train.seeds": "seeds are an axis already, and one of the whole study: write train.seeds",
    "evaluate.measures": "all cells are measured alike: write evaluate.measures",
    "evaluate.margin": _ONE_TEST,
    "evaluate.alpha": _ONE_TEST,
    "evaluate.draws": _ONE_TEST,
    "name": "the study names its variants itself",
    "title": "the title is that of the study",
}
RESERVED = frozenset(  # columns of the results (outcome.py), which axes stand beside
    """
    study cell sampler loss domain kind measure mean low high over n_queries seeds by_seed
    against_start against_start_low against_start_high against_start_p_holm
    against_bm25 against_bm25_low against_bm25_high against_bm25_p_holm
    against_teacher against_teacher_low against_teacher_high against_teacher_p_holm
    documents_seen unique_pairs_seen positives_seen queries_seen
    mining_cpu_s mining_gpu_s mining_wall_s teacher_cpu_s teacher_gpu_s teacher_wall_s
    groups_cpu_s groups_gpu_s groups_wall_s training_cpu_s training_gpu_s training_wall_s
    alone_cpu_s alone_gpu_s alone_wall_s alone_joules alone_energy alone_money alone_money_without
    alone_grams_co2e charged_cpu_s charged_gpu_s charged_wall_s charged_joules charged_energy
    charged_money charged_money_without charged_grams_co2e charged_first_s charged_overhead_s
    charged_found_s charged_saved_s currency
    against gain gain_low gain_high gain_p_holm unit cost per_unit per_unit_low per_unit_high
    no_interval_because front verdict
    stopped stopped_after_seeds stopped_because groups_root student_root evaluation_root
    training_seed system query_id value
    """.split()
)
_SHORT = re.compile(r"\w[\w.+@-]*")
_LONGEST = 40
_SETTINGS = "train.settings"


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis: its name, and by the short name of a level the recipe keys that it sets."""

    name: str
    levels: Mapping[str, Mapping[str, Any]]


def axes_of(tables: Mapping[str, Any], where: str) -> list[Axis]:
    """Read `[study.axes]`; raises UsageError for a key, level or name that does not fit."""
    axes = [_axis(name, given, f"{where}: study.axes.{name}") for name, given in tables.items()]
    for place, axis in enumerate(axes):
        for other in axes[:place]:
            _check_apart(other, axis, where)
    return axes


def _check_apart(one: Axis, other: Axis, where: str) -> None:
    """Refuse two axes that set the same key: the last would decide, and the levels of the first say
    what is not so."""
    for key, same in product(_keys_of(one), _keys_of(other)):
        if _within(_place(key), _place(same)) or _within(_place(same), _place(key)):
            said = key if key == same else f"{key} and {same}, which overlap"
            raise UsageError(
                f"the axes {one.name!r} and {other.name!r} both set {said}",
                where=f"{where}: study.axes",
                do="let one axis set it: levels that are tables set several keys together",
            )


def _keys_of(axis: Axis) -> list[str]:
    return list(dict.fromkeys(key for level in axis.levels.values() for key in level))


def _place(key: str) -> str:
    """Return where a key stands in a recipe: [train.settings] is a way to write [train]."""
    return "train" + key.removeprefix(_SETTINGS) if _within(key, _SETTINGS) else key


def _within(key: str, table: str) -> bool:
    return f"{key}.".startswith(f"{table}.")


def _axis(name: str, given: Any, where: str) -> Axis:
    if name in RESERVED:
        raise UsageError(
            f"axis {name!r}: results have a column of that name",
            where=where,
            do="choose another name; samplers, losses and domains are named in the recipe",
        )
    if not isinstance(given, list | dict):
        raise UsageError(
            f"axis {name!r}: {given!r} is one value",
            where=where,
            do="give a list of values, or a table of short names and values",
        )
    if isinstance(given, list):
        given = _named(name, given, where)
    for short in given:
        if not _SHORT.fullmatch(short):
            raise UsageError(
                f"axis {name!r}: {short!r} is not a short name",
                where=where,
                do="use letters, digits, '.', '_', '-', '+', '@'",
            )
    if all(isinstance(value, dict) for value in given.values()) and given:
        levels = {short: dict(_flat(value)) for short, value in given.items()}
        if not _SHORT.fullmatch(name):
            raise UsageError(f"axis {name!r} is not a short name", where=where)
    else:
        if name in IN_RECIPE:
            raise UsageError(f"axis {name!r}", where=where, do=IN_RECIPE[name])
        levels = {short: {name: value} for short, value in given.items()}
    for key in dict.fromkeys(key for level in levels.values() for key in level):
        _check_key(key, where)
    _check_levels(name, levels, where)
    return Axis(name, levels)


def _named(name: str, values: Sequence[Any], where: str) -> dict[str, Any]:
    """Name the values of a list: by the name of the call where that tells them apart."""
    texts = [value if isinstance(value, str) else str(value) for value in values]
    if any(isinstance(value, dict | list) for value in values):
        raise UsageError(
            f"axis {name!r} is a list of tables or lists",
            where=where,
            do="give the values short names: a table of name = value",
        )
    calls = [text.partition("(")[0] for text in texts]
    shown = calls if len(set(calls)) == len(calls) else texts
    short = [re.sub(r"[^\w.+@]+", "-", text).strip("-.")[:_LONGEST] for text in shown]
    if len(set(texts)) == len(texts) and len(set(short)) < len(short):
        raise UsageError(
            f"axis {name!r}: {' and '.join(texts)[:200]} have no short names of their own",
            where=where,
            do="give the values short names: a table of name = value",
        )
    if len(set(texts)) < len(texts):
        raise _equal(name, texts, where)
    return dict(zip(short, values, strict=True))


def _flat(table: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Return the dotted keys of a level's table; tables that are values stay whole."""
    made: list[tuple[str, Any]] = []
    for key, value in table.items():
        full = f"{before}{key}"
        if isinstance(value, dict) and full in SECTIONS:
            made += _flat(value, f"{full}.")
        else:
            made.append((full, value))
    return made


def known_keys() -> list[str]:
    """Return every key of a recipe by its dotted name."""
    own = [f"{name}.{key}" for name, section in SECTIONS.items() for key in section.keys]
    return [*TOP, *own]


def _check_key(key: str, where: str) -> None:
    if key in NOT_VARIED:
        raise UsageError(f"{key} cannot be varied", where=where, do=NOT_VARIED[key])
    section, *rest = key.split(".")
    if section in SECTIONS and not rest:
        raise UsageError(
            f"{key!r} is a section of the recipe",
            where=where,
            do=f'name one of its keys in quotes, such as "{key}.{SECTIONS[section].keys[0]}"',
        )
    head = f"{section}.{rest[0]}" if section in SECTIONS else key
    if head not in known_keys():
        raise UsageError(
            f"there is no recipe key {key!r} to vary",
            where=where,
            do=names.nearest(key, known_keys()),
        )


def _check_levels(name: str, levels: Mapping[str, Mapping[str, Any]], where: str) -> None:
    if len(levels) < 2:
        raise UsageError(
            f"axis {name!r} has {len(levels)} value{'' if len(levels) == 1 else 's'}: nothing is "
            "varied",
            where=where,
            do="give it a second value, or write the one into its own section",
        )
    seen: list[tuple[str, Mapping[str, Any]]] = []
    for short, level in levels.items():
        for other, same in seen:
            if same == level:
                raise _equal(name, [other, short], where)
        seen.append((short, level))


def _equal(name: str, texts: Sequence[str], where: str) -> UsageError:
    return UsageError(
        f"axis {name!r} has a value twice: {', '.join(texts)}"[:300],
        where=where,
        do="keep one of the two",
    )


def with_keys(data: Mapping[str, Any], keys: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Return a recipe's tables with other values under some dotted keys.

    Raises UsageError for a key below what is no table in the recipe.
    """
    made: dict[str, Any] = deepcopy(dict(data))
    for key, value in keys.items():
        *tables, last = key.split(".")
        place = made
        for table in tables:
            place = place.setdefault(table, {})
            if not isinstance(place, dict):
                raise UsageError(
                    f"{key} is to be varied, but {table!r} is no table of the recipe",
                    where=where or None,
                    do=f"write [{'.'.join(tables)}]",
                )
        if tables == ["train"] and last in made["train"].get("settings", {}):
            del made["train"]["settings"][last]
        place[last] = deepcopy(value)
    return made
