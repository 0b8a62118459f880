"""What a request is: a frozen record of one stage's options, each declared once.

A request is a dataclass whose fields say everything about an option: name, type and default as in
any dataclass; help, unit, limits and an example in the `Option` of its annotation. The command line
(`rankmill.cli.commands`), the verbs of Python (`rankmill.api`) and the sections of recipes
(`rankmill.study.recipe`) are made from these fields. The requests themselves: `rankmill.stages`.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

from rankmill.mining.errors import UsageError
from rankmill.mining.names import nearest
from rankmill.mining.options import Option

if TYPE_CHECKING:
    from rankmill.mining.actors import Execution
    from rankmill.mining.store import Artifact

Made = TypeVar("Made")


HANDLES = ("Artifact", "Collection", "Workspace", "Execution", "Exported")


class Handle:
    """Stands for an artifact or a collection where annotations are read: a name on the command
    line, a handle in Python, the study's own result in a recipe."""


@dataclass(frozen=True)
class Request(ABC, Generic[Made]):
    """The options that every stage has. `make` does the work, or finds it done.

    `executor` says where it runs (None: in this process); it never changes a result.
    """

    sharded: ClassVar[bool] = True  # takes --workers: its work is cut into shards

    _: KW_ONLY
    name: Annotated[str | None, Option("Alias for the result.", flag="-n")] = None
    executor: Execution | None = None

    def __post_init__(self) -> None:
        for option in options_of(type(self)):
            option.check(getattr(self, option.name))

    @abstractmethod
    def perform(self) -> Made:
        """Return the result of the stage."""

    def make(self) -> Made:
        """Perform the stage and give its result the alias asked for."""
        made = self.perform()
        if self.name:
            self.alias(made, self.name)
        return made

    def alias(self, made: Any, name: str) -> None:
        """Name the result; several results get names made of this one."""
        artifact = getattr(made, "artifact", made)
        artifact.workspace.alias(name, artifact)

    @property
    def where(self) -> Execution:
        """The executor, that of this process when none was given."""
        from rankmill.mining.actors import INLINE

        return INLINE if self.executor is None else self.executor

    def given(self, *without: str) -> dict[str, Any]:
        """Return the options by name, but for `without`, the alias and the executor."""
        left_out = {"name", "executor", *without}
        names = [f.name for f in dataclasses.fields(self) if f.name not in left_out]
        return {name: getattr(self, name) for name in names}

    def given_to(self, other: type[Request[Any]]) -> dict[str, Any]:
        """Return the options that another request has too, and the executor, as its keywords."""
        shared = {f.name for f in dataclasses.fields(other)} & set(self.given())
        return {name: getattr(self, name) for name in shared} | {"executor": self.executor}


@dataclass(frozen=True, slots=True)
class Field:
    """One option as the faces need it.

    `type` is the plain type (`str`, `int`, `float`, `bool`, `Path`, `Handle`); `optional`: None is
    allowed; `form`: one value, a list of them, or a mapping from labels to lists of handles;
    `path_too`: of a handle, a path will do.
    """

    name: str
    type: Any
    optional: bool
    form: typing.Literal["one", "list", "mapping"]
    option: Option
    default: Any
    positional: bool
    path_too: bool = False

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is dataclasses.MISSING

    @property
    def said(self) -> str:
        """What people call the type: `text`, `whole number`, `list of texts`, `pool`."""
        word = _WORDS.get(self.type, self.option.of or "handle")
        return f"list of {word}s" if self.form == "list" else word

    def check(self, value: Any) -> None:
        """Refuse a value of another type, or outside the option's limits."""
        if value is None and self.optional:
            return
        if self.form == "mapping" or self.type in (Handle, Path, tuple, Any):
            return
        values: Sequence[Any] = [value]
        if self.form == "list":
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise UsageError(f"{self.name}={value!r} is not a {self.said}", do="write [a, b]")
            values = value
        for one in values:
            if not self._fits(one):
                raise UsageError(f"{self.name}={one!r} is not a {_WORDS[self.type]}")
            self.option.check(self.name, one)

    def _fits(self, value: Any) -> bool:
        if self.type is str:
            return isinstance(value, str) or type(value).__str__ is not object.__str__
        if isinstance(value, bool) or self.type is bool:
            return isinstance(value, bool) and self.type is bool
        return isinstance(value, int) or (self.type is float and isinstance(value, float))


_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}


def options_of(request: type[Any]) -> tuple[Field, ...]:
    """Return the declared options of a request, in the order of declaration."""
    if request not in _READ:
        _READ[request] = _options_of(request)
    return _READ[request]


_READ: dict[type[Any], tuple[Field, ...]] = {}


def _options_of(request: type[Any]) -> tuple[Field, ...]:
    handles: dict[str, Any] = dict.fromkeys(HANDLES, Handle)
    hints = typing.get_type_hints(request, None, handles, include_extras=True)
    return tuple(
        _read(field, hints[field.name])
        for field in dataclasses.fields(request)
        if typing.get_origin(hints[field.name]) is Annotated
    )


def option_named(request: type, name: str) -> Field:
    """Return one option; raises UsageError with the nearest names."""
    found = {field.name: field for field in options_of(request)}
    if name not in found:
        raise UsageError(
            f"{request.__name__.lower()} has no option {name!r}", do=nearest(name, list(found))
        )
    return found[name]


def _read(field: dataclasses.Field[Any], hint: Any) -> Field:
    declared, option = typing.get_args(hint)[:2]
    parts = [p for p in _alternatives(declared) if p is not type(None)]
    optional = len(parts) < len(_alternatives(declared))
    form: typing.Literal["one", "list", "mapping"] = "one"
    plain = parts[0]
    if any(typing.get_origin(p) is not None and _is(p, Mapping) for p in parts):
        form, plain = "mapping", Handle
    elif len(parts) == 1 and typing.get_origin(plain) is not None and _is(plain, Sequence):
        form, plain = "list", typing.get_args(plain)[0]
    path_too = Path in parts
    if Handle in parts or plain is Handle or Handle in _alternatives(plain):
        plain = Handle
    elif path_too:
        plain = Path
    elif typing.get_origin(plain) is tuple:
        plain = tuple
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    positional = not field.kw_only
    return Field(field.name, plain, optional, form, option, default, positional, path_too)


def _alternatives(declared: Any) -> tuple[Any, ...]:
    if typing.get_origin(declared) in (typing.Union, types.UnionType):
        return typing.get_args(declared)
    return (declared,)


def _is(declared: Any, kind: type) -> bool:
    origin = typing.get_origin(declared)
    return isinstance(origin, type) and issubclass(origin, kind)


def count_of(text: str | int) -> int:
    """Read a count such as 50000, 100k or 1.5M."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmM]?)", str(text).strip().replace("_", ""))
    if not match:
        raise UsageError(f"{text!r} is not a count", do="write 50000, 100k or 1M")
    return round(float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[match[2].lower()])


def named_of(artifact: Artifact, name: str) -> Artifact:
    """Give an artifact an alias and return it."""
    artifact.workspace.alias(name, artifact)
    return artifact
