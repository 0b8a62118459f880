"""The models that a recipe names: whether they are there, and have the head that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rankmill.mining import names
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.inputs.given_paths import path_given
from rankmill.study.recipe import Recipe

Named = tuple[str, str, Any]
"""A key of the recipe, the model that it names, and the value that runs it."""

_STUDENT = "student:"  # of the workspace, looked for elsewhere


def missing_models(recipe: Recipe, *, fetch: bool) -> Iterator[BadInput]:
    """Yield what is wrong with each model that is not there, or lacks its head."""
    from rankmill.mining.models.classifiers import check_trained
    from rankmill.mining.models.folder import look_at

    seen: set[tuple[str, bool]] = set()
    for key, model, value in _models_of(recipe):
        classifier = _needs_head(value)
        if model.startswith(_STUDENT) or (model, classifier) in seen:
            continue
        seen.add((model, classifier))
        try:
            folder = look_at(model, fetch=fetch)
            if folder is not None and classifier:
                check_trained(folder)
        except BadInput as error:
            where = f"{recipe.where}: {key}" + (f", {error.where}" if error.where else "")
            yield BadInput(error.what, where=where, do=error.do)


def _needs_head(value: Any) -> bool:
    """Say whether a value runs a classifier whose head must be trained; a student's may be new."""
    from rankmill.mining.teachers import TEACHERS

    kind = getattr(value, "canonical_name", "")
    if kind == "teacher":
        from rankmill.mining.teachers.presets.table import PRESETS

        return PRESETS[value.preset].kind == "cross_encoder"
    return TEACHERS.owns(value) and kind == "cross_encoder"


def _models_of(recipe: Recipe) -> Iterator[Named]:
    """Yield every model that a recipe names."""
    for key, value in values_of(recipe):
        if isinstance(value, str):
            yield key, value, None
        elif not hasattr(value, "url"):  # else it is a server's name for its model
            for parameter in ("model", "query_model"):
                if (model := getattr(value, parameter, None)) is not None:
                    yield key, str(model), value


def values_of(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    """Yield the sources, teachers, encoders and the student of a recipe, those within others too,
    each with its key; a model that is named without more is a text."""
    from rankmill.mining.sources import SOURCES

    for name in recipe.sources:
        yield from _within(f"mine.sources.{name}", SOURCES.parse(recipe.source(name)), SOURCES)
    yield from _of_teacher("teacher", recipe.teacher)
    for label, text in recipe.other.items():
        yield from _of_teacher(f"statistics.other.{label}", text)
    for section in ("groups", "statistics"):
        if (encoder := recipe.option(section, "encoder")) is not None:
            yield from _of_teacher(f"{section}.encoder", encoder)
    if recipe.trains:
        from rankmill.training.students import STUDENTS

        yield from _within("train.student", STUDENTS.parse(recipe.student), STUDENTS)
    for domain in recipe.domains:
        own = recipe.domains[domain].first_stage is not None
        where = f"evaluate.domains.{domain}.first_stage" if own else "evaluate.first_stage"
        yield from _within(where, SOURCES.parse(recipe.first_stage_of(domain)), SOURCES)


def _of_teacher(key: str, text: str) -> Iterator[tuple[str, Any]]:
    """Yield a teacher and those within: of a spec, or a bare model."""
    from rankmill.mining.teachers import TEACHERS

    parsed = names.parse(text) if not path_given(text).exists() else text
    if isinstance(parsed, names.Call):
        yield from _within(key, TEACHERS.parse(parsed), TEACHERS)
    else:
        yield key, text


def _within(key: str, value: Any, family: names.Family) -> Iterator[tuple[str, Any]]:
    """Yield a value and the values that it is made of."""
    yield key, value
    if hasattr(value, "url"):
        return
    if (teacher := getattr(value, "teacher", None)) is not None:
        yield from _of_teacher(key, str(teacher))
    parts = getattr(value, "of", None)
    for part in (parts,) if isinstance(parts, str) else parts if isinstance(parts, tuple) else ():
        if "(" in str(part):
            try:
                inner = family.parse(str(part))
            except UsageError:  # a filter's or statistic's text, or a run of that name
                continue
            yield from _within(key, inner, family)
