"""Recipes: one TOML file says the whole way; unknown keys are refused with the nearest name.

The sections of a recipe are requests (`rankmill.stages`): their keys, types, defaults and limits
are the options declared there, without those that the study itself fills in. Beside them a section
has a few keys of its own, in `SECTIONS`. Sources, samplers, losses and domains have short names of
the recipe's own. A source may use another by its short name (`fusion = "rrf(of=[bm25,dense])"`),
a sampler names the source whose ranks it draws from (`bm25 = "uniform(source=bm25,last=50)"`), and
a blend the samplers whose groups it mixes (`mixed = "blend(of=[bm25,random],weights=[3,1])"`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from rankmill.mining import names
from rankmill.mining.errors import UsageError
from rankmill.mining.inputs.bounds.guards import shown
from rankmill.mining.options import Field, count_of, options_of
from rankmill.stages import REQUESTS
from rankmill.study.blends import BLENDS, SamplerBlend, is_blend
from rankmill.study.results import BM25_SOURCE
from rankmill.study.toml_files import MOST_PARTS, read_toml, tables_in

STUDY = "study"  # the section of a recipe that says what is varied: rankmill/study/grid
REQUIRED: Any = object()


@dataclass(frozen=True, slots=True)
class Key:
    """A key that only recipes have: its type, default, and what it says."""

    kind: Any  # str, int, float, bool; dict or list of them
    default: Any
    help: str


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the recipe: the options of its requests, and keys of its own.

    `without`: options that the study fills in. `defaults`: of options that a request requires.
    """

    requests: tuple[str, ...]
    without: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Key] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Field]:
        """The options of its requests by key."""
        made: dict[str, Field] = {}
        for request in self.requests:
            for option in options_of(REQUESTS[request]):
                if option.name not in {*self.without, "name", "seed"} and not _filled_in(option):
                    made.setdefault(option.name, option)
        return made

    @property
    def keys(self) -> list[str]:
        """All keys."""
        return [*self.options, *self.own]


def _filled_in(option: Field) -> bool:
    """Say whether the study itself gives an option its value: artifacts and paths."""
    return option.option.of is not None or option.type is Path or option.form == "mapping"


TOP = {
    "name": Key(str, REQUIRED, "Of the recipe: the beginning of all its aliases."),
    "title": Key(str, None, "Of the report; default: the name."),
    "collection": Key(str, REQUIRED, "What `rankmill collect` reads: beir:PATH, ir:ID, …"),
    "seed": Key(int, 0, "Seed of every draw of every stage."),
    "teacher": Key(str, REQUIRED, "Who scores: cross_encoder(model=PATH), a model folder, …"),
}
SECTIONS = {
    "collect": Section(("collect",), frozenset({"spec"})),
    "mine": Section(
        ("mine",),
        frozenset({"source"}),
        {"split": "train"},
        {"sources": Key(dict, REQUIRED, "Sources of candidates by short name.")},
    ),
    "pool": Section(("pool",)),
    "score": Section(("score",), frozenset({"teacher"})),
    "groups": Section(
        ("select",),
        frozenset({"strategy"}),
        own={
            "samplers": Key(dict, REQUIRED, "Strategies, and blends of them, by short name."),
            "cut": Key(str, None, "Keep groups by their statistics: where('\"ties\" = 0')."),
        },
    ),
    "statistics": Section(
        ("stats",),
        frozenset({"min_grade", "compat"}),
        own={"other": Key(dict, {}, "Other teachers by label: minilm = 'cross_encoder(model=…)'.")},
    ),
    "train": Section(
        ("train",),
        frozenset({"to", "weights"}),
        own={
            "losses": Key(dict, {}, "Several losses by short name, instead of loss."),
            "seeds": Key(list, [], "Training seeds, a student for each; default: the seed."),
            "redraw": Key(bool, False, "Each training seed draws its groups anew."),
            "target": Key(str, None, "Labels in the teacher's place: temperature(T=2), smooth, …"),
            "settings": Key(dict, {}, "Options of this section, gathered in a table."),
        },
    ),
    "evaluate": Section(
        ("evaluate", "compare"),
        frozenset({"split", "measure", "pairs"}),
        own={
            "first_stage": Key(str, BM25_SOURCE, "A source, or the short name of a mined one."),
            "retrieve": Key(bool, False, "Bi-encoders also search the corpus on their own."),
            "domains": Key(dict, None, "Evaluation sets by short name: collection, split, …"),
        },
    ),
}
DOMAIN = {
    "collection": Key(str, None, "Default: the collection that students are trained on."),
    "split": Key(str, "test", "Its judged queries."),
    "first_stage": Key(str, None, "Of this set alone, such as imported(path=run.txt)."),
}
MOVED = {
    "text": "collect.title",
    "direction": "score.direction",
    "statistics.columns": "statistics.statistics",
}


@dataclass(frozen=True, slots=True)
class Domain:
    """An evaluation set: a split of the recipe's collection (in-domain) or of another."""

    collection: str | None = None
    split: str = "test"
    first_stage: str | None = None


@dataclass(frozen=True)
class Recipe:
    """A study of samplers on one collection.

    `options[section]` are the request's options as keywords; `other` holds by label the teachers
    that statistics compare the teacher with; `trains` says whether students are trained at all.
    `where` is the file that it was read from, for errors.
    """

    where: str
    name: str
    title: str
    collection: str
    seed: int
    teacher: str
    sources: Mapping[str, str]
    samplers: Mapping[str, str]
    cut: str | None
    other: Mapping[str, str]
    trains: bool
    losses: Mapping[str, str]
    seeds: Sequence[int]
    redraw: bool
    target: str | None
    first_stage: str
    retrieve: bool
    domains: Mapping[str, Domain]
    options: Mapping[str, Mapping[str, Any]]
    written: Mapping[str, Any]

    def option(self, section: str, key: str) -> Any:
        """Return one option of a section."""
        return self.options[section][key]

    @property
    def strategies(self) -> dict[str, str]:
        """The samplers that draw groups: all but the blends."""
        return {name: text for name, text in self.samplers.items() if not is_blend(text)}

    def blend(self, sampler: str) -> SamplerBlend | None:
        """Return what a sampler blends; None for one that draws its own groups."""
        text = self.samplers[sampler]
        return BLENDS.parse(text) if is_blend(text) else None

    def parts(self, sampler: str) -> dict[str, float]:
        """Return whose groups a sampler's students see, and the share of the examples of each:
        names of samplers, or of groups of the workspace."""
        blend = self.blend(sampler)
        return {sampler: 1.0} if blend is None else blend.shares

    @property
    def borrowed(self) -> list[str]:
        """The names of groups of the workspace that blends name."""
        parts = [part for sampler in self.samplers for part in self.parts(sampler)]
        return [name for name in dict.fromkeys(parts) if name not in self.samplers]

    def source(self, name: str) -> str:
        """Return the full text of a named source, sources it is made of written out."""
        return written_out(self.sources[name], self.sources, (name,))

    def first_stage_of(self, domain: str) -> str:
        """Return the full text of the first stage of a domain."""
        named = self.domains[domain].first_stage or self.first_stage
        return self.source(named) if named in self.sources else named

    def in_domain(self, domain: str) -> bool:
        """Say whether a domain's collection is the one that students are trained on."""
        return self.domains[domain].collection in (None, self.collection)

    @property
    def measured(self) -> list[str]:
        """The measures: those named, and Judged@k with the cutoff of the first."""
        named = self.option("evaluate", "measures").split()
        cutoff = named[0].rpartition("@")[2] if named else ""
        judged = f"Judged@{cutoff if cutoff.isdigit() else 10}"
        return named if any(m.startswith("Judged@") for m in named) else [*named, judged]

    @property
    def student(self) -> str:
        """What is trained."""
        return str(self.options["train"]["student"])


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
    data = read_toml(
        path,
        "the recipe is",
        "there is no such recipe",
        "`rankmill recipes list` names some to copy",
    )
    return _overridden(data, overrides)


def builtin(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return a recipe that comes with the package, with values in the place of its own."""
    text = (resources.files("rankmill") / f"{name}.toml").read_text(encoding="utf-8")
    return recipe_of(_overridden(tomllib.loads(text), overrides), f"rankmill/{name}.toml")


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


def _overridden(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    known: set[str] = set()
    for text in overrides:
        key, equals, value = text.partition("=")
        if key.strip() in known:
            raise UsageError(f"--set {key.strip()} is given twice", do="keep one of the two")
        known.add(key.strip())
        if not equals:
            raise UsageError(f"--set {text!r} has no '='", do="write --set train.documents=20000")
        *tables, last = _dotted(key.strip())
        place = data
        for table in tables:
            place = place.setdefault(table, {})
            if not isinstance(place, dict):
                raise UsageError(f"--set {text!r}: {table!r} is not a table of the recipe")
        place[last] = _toml_value(value.strip())
    return data


def _dotted(key: str) -> list[str]:
    """Return the parts of a dotted key; one in quotes has its dots: study.axes."train.lr"."""
    parts: list[str] = []
    try:
        place: Any = tables_in(f"{key} = true")
        while isinstance(place, dict):
            ((part, place),) = place.items()
            parts.append(part)
    except (ValueError, RecursionError):  # no TOML, or not one key: `#x`
        parts = key.split(".")
    if len(parts) > MOST_PARTS:
        raise UsageError(
            f"--set: the key {shown(key)} has more than {MOST_PARTS} parts between dots",
            do="write --set KEY=VALUE with a key of the recipe, such as train.lr",
        )
    return parts


def _toml_value(text: str) -> Any:
    """Read a value as TOML would; anything that is not TOML is a plain string."""
    try:
        return tables_in(f"x = {text}")["x"]
    except (ValueError, RecursionError):
        return text


# ---- short names -----------------------------------------------------------------------------

MADE_OF = frozenset({"of"})  # parameters of a source that hold sources
DRAWN_FROM = frozenset({"source", "sources", "target", "a", "b"})  # those of what reads a pool


def written_out(text: str, sources: Mapping[str, str], seen: tuple[str, ...] = ()) -> str:
    """Return a source's text with the short names of sources that it is made of written out."""

    def written(word: str) -> Any:
        if word not in sources:
            return word
        if word in seen:
            raise UsageError(f"source {word!r} is made of itself", where=" → ".join(seen))
        return names.parse(written_out(sources[word], sources, (*seen, word)))

    from rankmill.mining.sources import SOURCES

    return names.text_of(_with(names.parse(text), SOURCES, MADE_OF, written))


def with_labels(text: str, family: names.Family, labels: Mapping[str, str]) -> str:
    """Return a text with the labels of runs where it names sources by the recipe's short names."""
    parsed = names.parse(text)
    return names.text_of(_with(parsed, family, DRAWN_FROM, lambda word: labels.get(word, word)))


def cut_with_labels(text: str, labels: Mapping[str, str]) -> str:
    """Return a cut's text with the labels of runs where its statistics name sources by the recipe's
    short names."""
    from rankmill.mining.derive import CUTS
    from rankmill.mining.statistics import STATISTICS

    def labelled(column: str) -> str:
        if column.partition("(")[0] not in STATISTICS.names():
            return column  # no statistic: nothing measures it
        said = with_labels(column, STATISTICS, labels)
        if said == with_labels(column, STATISTICS, {}):
            return column
        return STATISTICS.text(STATISTICS.parse(said))

    return str(CUTS.parse(text).renamed(labelled))


def _with(value: Any, family: names.Family, keys: frozenset[str], change: Any) -> Any:
    """Return a parsed value with the words under some parameters changed, positional ones too."""
    if not isinstance(value, names.Call):
        return value
    value = family.named(value)
    named = tuple(
        (key, (_words if key in keys else _with)(part, family, keys, change))
        for key, part in value.named
    )
    return names.Call(value.name, value.positional, named)


def _words(value: Any, family: names.Family, keys: frozenset[str], change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_words(v, family, keys, change) for v in value)
    return _with(value, family, keys, change)
