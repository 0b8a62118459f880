"""What is asked of an encoder beside its model: the parameters that every value of one shares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol, TypeVar

from ...errors import BadInput, UsageError
from ...names import nearest
from ..folder import ModelFolder
from ..pooling import said_modules
from .declared import declared_prompt, declares_prompts
from .presets import PRESETS, Style


class Encoding(Protocol):
    """A value that encodes texts: a dense source, a bi-encoder teacher or student.

    `query_prompt`, `prompt`: what is put before queries and documents; None is what the model's
    files declare, "" is nothing. `preset`: a style of `PRESETS` instead of the files.
    """

    @property
    def pooling(self) -> str | None: ...  # noqa: D102
    @property
    def normalise(self) -> bool | None: ...  # noqa: D102
    @property
    def query_prompt(self) -> str | None: ...  # noqa: D102
    @property
    def prompt(self) -> str | None: ...  # noqa: D102
    @property
    def preset(self) -> str | None: ...  # noqa: D102


Value = TypeVar("Value", bound=Any)


def check_encoding(value: Encoding) -> None:
    """Refuse a preset that is not known; raises UsageError."""
    if value.preset is not None and value.preset not in PRESETS:
        raise UsageError(f"unknown preset {value.preset!r}", do=nearest(value.preset, PRESETS))


def written_out(value: Value, model: ModelFolder, asked: ModelFolder | None = None) -> Value:
    """Return the plain value that one with a preset stands for; `asked` encodes the queries.

    What a checkpoint's files say anyway is left out, so a preset that says no more than they do is
    the value without it. Raises BadInput where the files contradict the preset, unless what they
    contradict is said beside it.
    """
    if value.preset is None:
        return value
    style = PRESETS[value.preset]
    given: dict[str, Any] = {"preset": None}
    sides = {"query_prompt": ("queries", asked or model), "prompt": ("corpus", model)}
    for name, (kind, folder) in sides.items():
        if getattr(value, name) is None:
            given[name] = _prompt(value.preset, style, kind, name, folder)
    folders = [model] if asked is None else [model, asked]
    said = [said_modules(folder) for folder in folders]
    if value.pooling is None:
        for folder, (pooling, _) in zip(folders, said, strict=True):
            if pooling not in (None, style.pooling):
                raise _contradicted(value.preset, style.pooling, folder, pooling, "pooling")
        same = all(pooling == style.pooling for pooling, _ in said)
        given["pooling"] = None if same else style.pooling
    if value.normalise is None:
        same = all(normalise == style.normalise for _, normalise in said)
        given["normalise"] = None if same else style.normalise
    return replace(value, **given)


def _prompt(preset: str, style: Style, kind: str, name: str, model: ModelFolder) -> str | None:
    """Return the prompt of a preset; None where the files declare the same one."""
    wanted = style.prompts[kind]
    if declares_prompts(model) and (there := declared_prompt(model, kind)) != wanted:
        raise _contradicted(preset, repr(wanted), model, repr(there), name)
    return None if wanted == declared_prompt(model, kind) else wanted


def _contradicted(
    preset: str, wanted: str, model: ModelFolder, there: str | None, parameter: str
) -> BadInput:
    return BadInput(
        f"{parameter} of preset={preset} is {wanted}, the model's files say {there}",
        where=model.path,
        do=f"leave out preset=, or say which one is meant with {parameter}=…",
    )
