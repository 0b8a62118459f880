"""Students of the workspace in the texts of a recipe: `cross_encoder(model=student:NAME)`.

A student becomes a teacher, a source or another student's start only through the folder of its
checkpoint; a recipe says the student's name, and here the folder is put in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace

from rankmill.mining.errors import BadInput
from rankmill.mining.store import Workspace
from rankmill.study.recipe import Domain, Recipe

_NAMED = re.compile(r"student:([\w.+@-]+)")
_PLAIN = re.compile(r"[\w./+@-]+")  # needs no quotes in a text


def named_in(recipe: Recipe) -> list[str]:
    """Return the students of the workspace that a recipe names, each once."""
    found = (name for text in _texts(recipe) for name in _NAMED.findall(text))
    return list(dict.fromkeys(found))


def _texts(recipe: Recipe) -> Iterator[str]:
    yield from (recipe.teacher, recipe.first_stage, *recipe.sources.values())
    yield from (one.first_stage or "" for one in recipe.domains.values())
    for section, key in _ENCODERS:
        yield str(recipe.options.get(section, {}).get(key) or "")


_ENCODERS = (("train", "student"), ("groups", "encoder"), ("statistics", "encoder"))


def lacking(recipe: Recipe, workspace: Workspace) -> list[str]:
    """Return the students that a recipe names and the workspace does not have."""
    return [name for name in named_in(recipe) if _folder(workspace, name) is None]


def refuse_lacking(recipe: Recipe, workspace: Workspace) -> None:
    """Raise BadInput for a student that is named and not there, before any work."""
    for name in named_in(recipe):
        try:
            workspace.find(name, "student")
        except BadInput as error:
            raise BadInput(
                error.what,
                where=f"{recipe.where}: student:{name}",
                do="train it first, with the recipe that makes it and the same --workspace; "
                "`rankmill list student` names those that are there",
            ) from error


def with_folders(recipe: Recipe, workspace: Workspace) -> Recipe:
    """Return the recipe with the folder of every student that is there in the place of its name."""
    if not named_in(recipe):
        return recipe

    def written(text: str) -> str:
        return _NAMED.sub(lambda found: _folder(workspace, found[1]) or found[0], text)

    def domain(one: Domain) -> Domain:
        return replace(one, first_stage=one.first_stage and written(one.first_stage))

    options = {name: dict(table) for name, table in recipe.options.items()}
    for section, key in _ENCODERS:
        if options.get(section, {}).get(key):
            options[section][key] = written(options[section][key])
    return replace(
        recipe,
        teacher=written(recipe.teacher),
        first_stage=written(recipe.first_stage),
        sources={name: written(text) for name, text in recipe.sources.items()},
        domains={name: domain(one) for name, one in recipe.domains.items()},
        options=options,
    )


def _folder(workspace: Workspace, name: str) -> str | None:
    try:
        path = str(workspace.find(name, "student").path.absolute())
    except BadInput:
        return None
    return path if _PLAIN.fullmatch(path) else json.dumps(path, ensure_ascii=False)
