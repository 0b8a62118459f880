"""The families of parts that people name: what each is called, where it is, where it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from rankmill.mining.errors import UsageError
from rankmill.mining.names import Family, nearest

if TYPE_CHECKING:
    from rankmill.mining.parts.description import Described
    from rankmill.mining.store import Workspace

_SELECT = "--pool POOL --scores SCORES --name GROUPS"


@dataclass(frozen=True, slots=True)
class Kind:
    """One family: the module that holds it (imported when it is asked for), the command that takes
    a value of it, `{}` in the value's place, and the page that describes its members."""

    module: str
    attribute: str
    command: str
    page: str

    @property
    def family(self) -> Family:
        """The family itself."""
        family: Family = getattr(import_module(self.module), self.attribute)
        return family


KINDS: Mapping[str, Kind] = {
    "sources": Kind(
        "rankmill.mining.sources",
        "SOURCES",
        "rankmill mine {} -c COLLECTION --split train --name RUN",
        "docs/bm25.md, docs/inference.md",
    ),
    "teachers": Kind(
        "rankmill.mining.teachers.base",
        "TEACHERS",
        "rankmill score {} --pool POOL --name SCORES",
        "docs/teachers.md",
    ),
    "statistics": Kind(
        "rankmill.mining.statistics",
        "STATISTICS",
        "rankmill stats --groups GROUPS -s {} --name STATISTICS",
        "docs/statistics.md",
    ),
    "strategies": Kind(
        "rankmill.mining.selection",
        "STRATEGIES",
        f"rankmill select {{}} {_SELECT}",
        "docs/inclusion.md",
    ),
    "filters": Kind(
        "rankmill.mining.selection",
        "FILTERS",
        f"rankmill select top --filter {{}} {_SELECT}",
        "docs/inclusion.md",
    ),
    "cuts": Kind(
        "rankmill.mining.derive",
        "CUTS",
        "rankmill cut {} --groups GROUPS --statistics STATISTICS --name FEWER",
        "docs/designs.md",
    ),
    "targets": Kind(
        "rankmill.mining.derive",
        "TARGETS",
        "rankmill retarget {} --groups GROUPS --name RELABELLED",
        "docs/training.md",
    ),
    "losses": Kind(
        "rankmill.training.losses",
        "LOSSES",
        "rankmill train STUDENT --groups GROUPS --loss {} --name TRAINED",
        "docs/training.md",
    ),
    "students": Kind(
        "rankmill.training.students",
        "STUDENTS",
        "rankmill train {} --groups GROUPS --name TRAINED",
        "docs/training.md",
    ),
    "exports": Kind(
        "rankmill.mining.exports.base",
        "EXPORTS",
        "rankmill export {} --groups GROUPS --to FOLDER",
        "docs/exports.md",
    ),
}
"""By what `rankmill list` calls them, the `plural` of each family."""


ARTIFACTS = (
    *("collection", "run", "pool", "scores", "groups", "statistics", "student"),
    *("evaluation", "comparison"),
)
"""The kinds of artifacts that people work with, in the order in which stages make them."""


def kind_of(word: str | None, workspace: Workspace) -> str | None:
    """Return the kind of artifact that a word means: `runs` is `run`; None where it is none."""
    if word is None:
        return None
    there = {path.parent.parent.name for path in workspace.manifests()}
    known = [*ARTIFACTS, *sorted(there - {*ARTIFACTS})]
    return word if word in known else next((one for one in known if word == f"{one}s"), None)


def no_kind(word: str, workspace: Workspace) -> UsageError:
    """Return the error for what is no kind of artifact, and of no part."""
    there = {path.parent.parent.name for path in workspace.manifests()}
    near = nearest(word, [*KINDS, *ARTIFACTS, *there])
    return UsageError(
        f"there is no kind {word!r}",
        do=(f"{near} " if near.startswith("did you mean") else "")
        + f"artifacts are {', '.join(ARTIFACTS)}; parts are {', '.join(KINDS)}",
    )


def presets() -> Mapping[str, str]:
    """Return the published teachers that have a name of their own, and the spec of each."""
    from rankmill.mining.teachers.presets.table import PRESETS

    return {name: f"teacher({name},model=PATH)" for name in sorted(PRESETS)}


def described(name: str, kind: str | None = None) -> list[tuple[str, Described]]:
    """Return what is called so, in every family (or in one), with what `rankmill list` calls it.

    `name` may be a whole spec, `dense(model=PATH)`. Raises UsageError where nothing is.
    """
    from rankmill.mining.parts.description import describe

    if kind is not None and kind not in KINDS:
        raise UsageError(f"{kind!r} is no kind of part", do=nearest(kind, KINDS))
    word = name.strip().partition("(")[0].strip()
    kinds = [kind] if kind is not None else list(KINDS)
    found_in = [one for one in kinds if word in KINDS[one].family.names()]
    if not found_in:
        known = [n for one in kinds for n in KINDS[one].family.names()]
        near = nearest(word, [*known, *presets()])
        said = near if near.startswith("did you mean") else "look at what there is:"
        kind = kind or "sources"
        others = ", ".join(one for one in KINDS if one != kind)
        raise UsageError(
            f"nothing is called {word!r}",
            do=f"{said} `rankmill list {kind}` shows {kind}, and likewise {others}",
        )
    return [(one, describe(KINDS[one].family, word)) for one in found_in]


def listed(kind: str) -> Iterator[Described]:
    """Yield the members of a family in the order of their names; broken plug-ins are left out."""
    from rankmill.mining.parts.description import describe

    family = KINDS[kind].family
    for name, _ in family.usable():
        yield describe(family, name)
