"""What a recipe asks of its data, compared with a glimpse of them: the rules are those of the
stages, called before the first of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rankmill.mining.collection import Collection
from rankmill.mining.collection.divisions import check_enough, divisions_of
from rankmill.mining.errors import BadInput, NothingMade, RankmillError, UsageError
from rankmill.mining.sources import SOURCES
from rankmill.mining.sources.mine import fitting_depth
from rankmill.mining.sources.uniform import check_available
from rankmill.study.before.glimpse import Glimpse, Judgements, glimpse, glimpse_of
from rankmill.study.before.sizes import check_sizes
from rankmill.study.recipe import Recipe

EVERY = "*"
NOT_HERE = "it is not on this machine"
Glimpses = dict[str, Glimpse | str]
"""What was seen, or why nothing was, by what was looked at; the recipes of a study share it."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What looking at the data of a recipe gave, where nothing was refused.

    `looked`: by what is read, what was seen of it. `unseen`: what was not looked at, and why.
    `notes`: what is other than one may think. `bounds`: the most that a student can see, by name
    (`queries`, `positives`, `groups`), where it is known.
    """

    looked: Mapping[str, Glimpse | str] = field(default_factory=dict)
    unseen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    bounds: Mapping[str, int] = field(default_factory=dict)


def lines_of_looking(unseen: Iterable[str], notes: Iterable[str]) -> Iterator[str]:
    """Yield a line for all that was not looked at, and for all that is to be said of the data."""
    yield from (f"not looked at: {one}" for one in unseen)
    yield from (f"note: {one}" for one in notes)


def look_at_data(recipe: Recipe, here: Callable[[str], bool], seen: Glimpses) -> Looked:
    """Compare a recipe with its data; raises BadInput or UsageError, with the recipe's key, for
    what a stage would refuse hours later. `here` says whether a collection is on this machine.
    """
    looked: Glimpses = {}
    for key, spec in specs_of(recipe).items():
        with at(recipe, key):
            looked[spec] = _seen(recipe, spec, here, seen)
    return compare(recipe, looked)


def compare(recipe: Recipe, looked: Mapping[str, Glimpse | str]) -> Looked:
    """Compare a recipe with what was seen of its collections, by what they are read from."""
    unseen = []
    for key, spec in specs_of(recipe).items():
        said = looked[spec]
        lacks = (said,) if isinstance(said, str) else said.unseen
        unseen += [f"{key} ({spec}): {one}" for one in lacks]
    notes: list[str] = []
    bounds: Mapping[str, int] = {}
    own = looked[recipe.collection]
    if isinstance(own, Glimpse):
        compared = _Compared(recipe, own)
        compared.divisions()
        notes += compared.mined()
        compared.positives()
        notes += [*compared.trained(), *compared.judged_too()]
        bounds = compared.bounds
    for spec in dict.fromkeys(specs_of(recipe).values()):
        held = looked[spec]
        if isinstance(held, Glimpse) and recipe.trains:
            notes += _evaluated(recipe, spec, held)
    return Looked(looked, tuple(unseen), tuple(dict.fromkeys(notes)), bounds)


def compare_held(recipe: Recipe, held: Collection, looked: Mapping[str, Glimpse | str]) -> Looked:
    """Compare a recipe with its collection as it was read; `looked`: what was seen of others."""
    drawn = divisions_of(recipe.option("collect", "divide"))
    seen = glimpse_of(held, [name for one in drawn for name in one.parts])
    others = dict.fromkeys(specs_of(recipe).values(), "it is looked at when it is collected")
    return compare(recipe, {**others, **looked, recipe.collection: seen})


def specs_of(recipe: Recipe) -> dict[str, str]:
    """Return what is read, each once, by the first key that names it."""
    specs = {"collection": recipe.collection}
    for name, domain in recipe.domains.items():
        if domain.collection is not None and domain.collection not in specs.values():
            specs[f"evaluate.domains.{name}.collection"] = domain.collection
    return specs


@contextlib.contextmanager
def at(recipe: Recipe, key: str) -> Iterator[None]:
    """Say in an error which key of the recipe it is about; what it is of stays."""
    try:
        yield
    except RankmillError as error:
        kind = UsageError if isinstance(error, UsageError) else BadInput
        where = f"{recipe.where}: {key}" + (f", {error.where}" if error.where else "")
        raise kind(error.what, where=where, do=error.do) from error


@contextlib.contextmanager
def made_for(recipe: Recipe, key: str) -> Iterator[None]:
    """Say in an error of a stage for which key of the recipe it was carried out; its kind stays."""
    try:
        yield
    except (UsageError, BadInput, NothingMade) as error:
        if recipe.where not in (error.where or ""):
            error.where = f"{recipe.where}: {key}" + (f", {error.where}" if error.where else "")
        raise


def _seen(recipe: Recipe, spec: str, here: Callable[[str], bool], seen: Glimpses) -> Glimpse | str:
    asked = recipe.options["collect"]
    if spec != recipe.collection:  # rankmill/study/run.py
        judging = {d.split for d in recipe.domains.values() if d.collection == spec}
        asked = {**asked, "splits": tuple(sorted(judging))}
    up_to = max(
        recipe.option("mine", "depth"),
        recipe.option("evaluate", "depth"),
        recipe.option("groups", "size"),
    )
    key = f"{spec} {sorted(asked.items())} {up_to}"
    if key not in seen:
        seen[key] = glimpse(spec, asked, up_to) if here(spec) else NOT_HERE
    return seen[key]


class _Compared:
    """A recipe beside a glimpse of the collection that students are trained on."""

    def __init__(self, recipe: Recipe, held: Glimpse):
        self.recipe, self.held = recipe, held
        self.split = recipe.option("mine", "split")

    def divisions(self) -> None:
        """Refuse divisions of more queries than a split has."""
        for one in divisions_of(self.recipe.option("collect", "divide")):
            judged = self.held.judged.get(one.split)
            if judged is not None:
                with at(self.recipe, "collect.divide"):
                    check_enough(one, judged.queries, self.recipe.collection)

    def mined(self) -> list[str]:
        """Refuse depths that the corpus does not have, and groups larger than it; return what is
        said of a default."""
        depth, most = self.recipe.option("mine", "depth"), self.held.most
        if most is None:
            return []
        notes = []
        for name in self.recipe.sources:
            with at(self.recipe, f"mine.depth, mine.sources.{name}"):
                value = SOURCES.parse(self.recipe.source(name))
                fits, said = fitting_depth(depth, most, value)
                if value.canonical_name == "random":
                    check_available(fits, self.held.visible, self.recipe.collection)
                notes += [f"mine.depth: {said}"] if said is not None else []
        check_sizes(self.recipe, most)
        return notes

    def positives(self) -> None:
        """Refuse judgements of which none makes a positive."""
        from rankmill.mining.selection.empty import without_positives

        if self._judged is None or self.recipe.option("groups", "positives") == "best":
            return
        key = "groups" if self.recipe.option("groups", "min_grade") is not None else "pool"
        with at(self.recipe, f"{key}.min_grade"):
            where = self.recipe.collection
            if lacks := without_positives(self._judged.grade, self._min_grade, self._from, where):
                raise lacks

    def trained(self) -> list[str]:
        """Return how often students see a group at the least, where it is more than once."""
        if not self.recipe.trains or "groups" not in self.bounds or self.recipe.borrowed:
            return []
        from rankmill.training.budget import positions_of

        negatives = self.recipe.option("train", "negatives")
        size = self.recipe.option("groups", "size") if negatives is None else negatives + 1
        documents, most = self.recipe.option("train", "documents"), self.bounds["groups"]
        seen = positions_of(documents, size)
        if seen <= most:
            return []
        epochs = f"{seen / most:,.0f}" if seen >= 100 * most else f"{seen / most:.3g}"
        return [
            f"train.documents={documents:,} is {seen:,} groups of {size}: {epochs} epochs "
            f"or more, since {self.split!r} has positives for at most {most:,} groups"
        ]

    def judged_too(self) -> Iterator[str]:
        """Yield which evaluation sets are judged by queries that are trained on."""
        for name, domain in self.recipe.domains.items() if self.recipe.trains else ():
            if not self.recipe.in_domain(name) or self.split == EVERY:
                continue
            judged = self.held.judged.get(domain.split)
            if domain.split == self.split or domain.split == self._from:
                yield (
                    f"evaluate.domains.{name}: its split {domain.split!r} holds the queries that "
                    f"students are trained on (mine.split={self.split!r}), so it says little of "
                    "new queries"
                )
            elif judged is not None and self._judged is not None and self._drawn is None:
                if both := judged.shared(self._judged):
                    yield (
                        f"evaluate.domains.{name}: {both:,} of the {judged.queries:,} queries of "
                        f"the split {domain.split!r} are in {self._from!r} too, on which students "
                        "are trained"
                    )

    @cached_property
    def bounds(self) -> dict[str, int]:
        """The most queries, positives and groups that the split gives."""
        if self._judged is None or self.recipe.option("groups", "positives") == "best":
            return {}
        judged, least = self._judged, self._min_grade
        most = {"queries": judged.with_positive(least), "positives": judged.positives(least)}
        if self._drawn is not None:
            most["queries"] = min(most["queries"], self._drawn)
        every = self.recipe.option("groups", "positives") == "all"
        return {**most, "groups": most["positives" if every else "queries"]}

    @property
    def _min_grade(self) -> int:
        chosen: Any = self.recipe.option("groups", "min_grade")
        return int(self.recipe.option("pool", "min_grade") if chosen is None else chosen)

    @property
    def _from(self) -> str:
        """The split whose judgements count: of a division the one that is divided."""
        for one in divisions_of(self.recipe.option("collect", "divide")):
            if self.split in one.parts:
                return one.split
        return str(self.split)

    @property
    def _drawn(self) -> int | None:
        """How many queries are drawn into the split; None where it is not drawn, or the rest."""
        for one in divisions_of(self.recipe.option("collect", "divide")):
            if self.split in one.parts:
                return one.parts[self.split]
        return None

    @property
    def _judged(self) -> Judgements | None:
        return self.held.judged.get(self._from)


def _evaluated(recipe: Recipe, spec: str, held: Glimpse) -> list[str]:
    """Refuse a first stage that is deeper than a corpus; return what is said of a default."""
    notes = []
    for name, domain in recipe.domains.items():
        if (domain.collection or recipe.collection) != spec or held.most is None:
            continue
        with at(recipe, f"evaluate.depth, evaluate.domains.{name}"):
            source = SOURCES.parse(recipe.first_stage_of(name))
            _, said = fitting_depth(recipe.option("evaluate", "depth"), held.most, source)
            notes += [f"evaluate.depth: {said}"] if said is not None else []
    return notes
