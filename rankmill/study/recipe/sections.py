"""What a recipe may say: its sections, their keys, types, defaults and help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rankmill.mining.options import Field, options_of
from rankmill.stages import REQUESTS
from rankmill.study.results import BM25_SOURCE

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
