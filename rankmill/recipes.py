"""Recipes: one TOML file says the whole way; unknown keys are refused with the nearest name.

Sources, samplers and domains have short names of the recipe's own. A source may use another by its
short name (`fusion = "rrf(of=[bm25,dense])"`), and a sampler names the source whose ranks it draws
from (`bm25 = "uniform(source=bm25,last=50)"`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rankmill.mining import names
from rankmill.mining.errors import BadInput, UsageError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mine(_Strict):
    """Which queries are mined, by which sources, how deep."""

    split: str = "train"
    depth: int = Field(default=100, ge=1)
    sources: dict[str, str] = Field(min_length=1)


class Groups(_Strict):
    """How groups are chosen: one data set per sampler, its candidates filtered and its queries cut.

    Positives are graded `min_grade` or more, in the pool, the groups and all that is measured.
    A sampler may be a cell of a blocked design, `blocked_cell(near=0,sure=1)`: cells of one design
    hold the same queries. They need an encoder in [statistics].
    `cut` keeps groups by their statistics, such as `where('"ties" = 0')`; it needs those columns.
    """

    size: int = Field(8, ge=2)
    samplers: dict[str, str] = Field(min_length=1)
    filters: list[str] = Field(default_factory=list)
    positives: str = "first"
    min_grade: int = Field(default=1, ge=1)
    cut: str | None = None


class Statistics(_Strict):
    """What is measured; an encoder (model folder or `bi_encoder(…)`) adds locality."""

    columns: list[str] | None = None
    encoder: str | None = None


class Train(_Strict):
    """The student and how it is trained on each sampler's groups.

    `losses`: several, by short names, instead of `loss`. `seeds`: training seeds, each a student
    of its own; none is the recipe's seed. `redraw`: each of them draws its groups anew, so that
    the spread of seeds is also that of the draw. `threads`: of a step; on a processor another
    number is another student, none is all that there are.
    """

    student: str
    loss: str = "kl"
    losses: dict[str, str] = Field(default_factory=dict)
    seeds: list[int] = Field(default_factory=list)
    redraw: bool = False
    documents: int = Field(50_000, ge=1)
    batch: int = Field(16, ge=1)
    lr: float = Field(2e-5, gt=0)
    threads: int | None = Field(default=None, ge=1)
    settings: dict[str, Any] = Field(default_factory=dict)


class Domain(_Strict):
    """An evaluation set: a split of the recipe's collection (in-domain) or of another.

    `first_stage`: of this set alone, such as `imported(path=run.txt)`.
    """

    collection: str | None = None
    split: str = "test"
    first_stage: str | None = None


class Evaluate(_Strict):
    """Where and how students are judged: they order `depth` documents of the first stage anew.

    `first_stage`: a source, or the short name of a mined one. `retrieve`: bi-encoders also search
    the corpus on their own. `margin`: a difference of the first measure that would not matter,
    declared before any run; samplers are then tested for equivalence at level `alpha`.
    """

    measures: str = "nDCG@10 AP R@100"
    first_stage: str = "bm25(k1=0.9,b=0.4)"
    depth: int = Field(default=100, ge=1)
    retrieve: bool = False
    margin: float | None = Field(default=None, gt=0)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    compute: str = "float32"
    domains: dict[str, Domain] = Field(default_factory=lambda: {"test": Domain()}, min_length=1)


class Recipe(_Strict):
    """A study of samplers on one collection.

    `direction = "trusted"`: do not ask which way the teacher's scores run.
    """

    name: str
    title: str | None = None
    collection: str
    text: str = "title text"
    seed: int = 0
    teacher: str
    direction: Literal["judged", "trusted"] = "judged"
    mine: Mine
    groups: Groups
    statistics: Statistics = Statistics()
    train: Train | None = None
    evaluate: Evaluate = Evaluate()

    def source(self, name: str) -> str:
        """Return the full text of a named source, sources it is made of written out."""
        return _written_out(self.mine.sources[name], self.mine.sources, (name,))

    def first_stage(self, domain: str) -> str:
        """Return the full text of the first stage of a domain."""
        named = self.evaluate.domains[domain].first_stage or self.evaluate.first_stage
        return self.source(named) if named in self.mine.sources else named

    def in_domain(self, domain: str) -> bool:
        """Say whether a domain's collection is the one that students are trained on."""
        return self.evaluate.domains[domain].collection in (None, self.collection)

    @property
    def measured(self) -> list[str]:
        """The measures: those named, and Judged@k with the cutoff of the first."""
        named = self.evaluate.measures.split()
        cutoff = named[0].rpartition("@")[2] if named else ""
        judged = f"Judged@{cutoff if cutoff.isdigit() else 10}"
        return named if judged in named else [*named, judged]

    @property
    def losses(self) -> dict[str, str]:
        """The losses by short name; one that has none is called by its own name."""
        if self.train is None:
            return {}
        return self.train.losses or {self.train.loss.partition("(")[0]: self.train.loss}

    @property
    def seeds(self) -> list[int]:
        """The training seeds."""
        return (self.train.seeds if self.train else []) or [self.seed]


def load(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file. Raises BadInput for a file that cannot be read and UsageError for a bad
    key."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput("there is no such recipe", where=path, do="see recipes/ for some") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"the recipe is not valid TOML: {error}", where=path) from error
    return _checked(_overridden(data, overrides), str(path))


def builtin(name: str) -> Recipe:
    """Return a recipe that comes with the package."""
    text = (resources.files("rankmill") / f"{name}.toml").read_text(encoding="utf-8")
    return _checked(tomllib.loads(text), f"rankmill/{name}.toml")


def _checked(data: Mapping[str, Any], where: str) -> Recipe:
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise _explained(error, where) from error
    for name in recipe.mine.sources:
        recipe.source(name)  # refuse circles before any work
    _check_training(recipe, where)
    return recipe


def _check_training(recipe: Recipe, where: str) -> None:
    train = recipe.train
    if train is None:
        return
    if train.losses and "loss" in train.model_fields_set:
        raise UsageError(
            "the recipe names both train.loss and train.losses", where=where, do="keep one of them"
        )
    if recipe.evaluate.retrieve and train.student.startswith("cross_encoder"):
        raise UsageError(
            "a cross-encoder cannot search a corpus", where=where, do="drop evaluate.retrieve"
        )
    twice = sorted(train.settings.keys() & {"documents", "batch", "lr", "seed", "threads"})
    if twice:
        raise UsageError(
            f"train.settings names {', '.join(twice)}, which the recipe says elsewhere",
            where=where,
            do="write it in [train] itself, the seed in train.seeds",
        )
    if len(set(train.seeds)) != len(train.seeds):
        raise UsageError(
            f"train.seeds {train.seeds} holds a seed twice", where=where, do="name each seed once"
        )


def _explained(error: ValidationError, where: str) -> UsageError:
    """Say the first fault in our words, with the nearest key."""
    fault = error.errors()[0]
    *place, last = [str(step) for step in fault["loc"]] or [""]
    section = ".".join(place)
    if fault["type"] == "extra_forbidden":
        known = _keys_at(place)
        what, do = f"unknown recipe key {'.'.join([*place, last])!r}", names.nearest(last, known)
    elif fault["type"] == "missing":
        what = f"the recipe lacks {'.'.join([*place, last])!r}"
        do = f"add it to [{section}]" if section else "add it at the top of the file"
    else:
        what = f"recipe key {'.'.join([*place, last])!r}: {fault['msg']}, got {fault['input']!r}"
        do = "see recipes/nfcorpus.toml for an example"
    return UsageError(what, where=where, do=do)


def _keys_at(place: Sequence[str]) -> list[str]:
    model: Any = Recipe
    tables = {"mine": Mine, "groups": Groups, "statistics": Statistics, "train": Train}
    tables |= {"evaluate": Evaluate, "domains": Domain}
    for step in place:
        model = tables.get(step, model)
    return list(model.model_fields)


def _overridden(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    for text in overrides:
        key, found, value = text.partition("=")
        if not found:
            raise UsageError(f"--set {text!r} has no '='", do="write --set train.documents=20000")
        *tables, last = key.strip().split(".")
        place = data
        for table in tables:
            place = place.setdefault(table, {})
            if not isinstance(place, dict):
                raise UsageError(f"--set {text!r}: {table!r} is not a table of the recipe")
        place[last] = _toml_value(value.strip())
    return data


def _toml_value(text: str) -> Any:
    """Read a value as TOML would; anything that is not TOML is a plain string."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def _written_out(text: str, sources: Mapping[str, str], seen: tuple[str, ...]) -> str:
    return names.text_of(_replace(names.parse(text), sources, seen, top=True))


def _replace(value: Any, sources: Mapping[str, str], seen: tuple[str, ...], *, top: bool) -> Any:
    if isinstance(value, names.Call):
        named = tuple(
            (k, _replace(v, sources, seen, top=False) if k == "of" else v) for k, v in value.named
        )
        return names.Call(value.name, value.positional, named)
    if isinstance(value, tuple):
        return tuple(_replace(v, sources, seen, top=False) for v in value)
    if isinstance(value, str) and not top and value in sources:
        if value in seen:
            raise UsageError(f"source {value!r} is made of itself", where=" → ".join(seen))
        return names.parse(_written_out(sources[value], sources, (*seen, value)))
    return value
