"""Options: declared once, as annotated fields of a dataclass, and read where they are needed.

The type and default stand in the field; what else is said of an option, its `Option`, stands in the
field's annotation: `depth: Annotated[int, Option("Documents per query.", least=1)] = 100`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from .errors import UsageError
from .inputs.bounds.guards import brief
from .inputs.given_paths import check_path, path_given
from .names import nearest
from .ranges import MOST_COUNTED, MOST_MEASURED


@dataclass(frozen=True, slots=True)
class Option:
    """The `Annotated` part of an option's declaration.

    `help`: one sentence. `unit`: of a number. `example`: a value as it is typed. `argument`: it
    stands without a flag on the command line. `flag`: a short flag, or the flag where it is not
    the name (a list is said in the singular: `--filter`). `least`, `most`, `above`, `below`: limits
    of a number. `choices`: the only texts. `of`: the kind of artifact that a name stands for.
    `count`: the command line and recipes also read 100k and 1.5M. `output`: what is written there,
    a `file` or a new `folder`; whether it can be is looked at before any work. `several`: of a
    handle, a list will do; on the command line names with commas between.
    """

    help: str
    unit: str | None = None
    example: Any = None
    argument: bool = False
    flag: str | None = None
    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    of: str | None = None
    count: bool = False
    output: str | None = None
    several: bool = False

    def check(self, name: str, value: Any) -> None:
        """Refuse a value outside the limits, or none of the choices."""
        if self.choices and value not in self.choices:
            known = nearest(str(value), self.choices)
            said = value if str(value).isprintable() and str(value) else repr(value)
            raise UsageError(f"{name}={said} is not one of {', '.join(self.choices)}", do=known)
        for limit, holds, word in (
            (self._least(value), lambda v, least: v >= least, "at least"),
            (self._most(value), lambda v, most: v <= most, "at most"),
            (self.above, lambda v, low: v > low, "above"),
            (self.below, lambda v, high: v < high, "below"),
        ):
            if limit is not None and not holds(value, limit):
                raise UsageError(
                    f"{name}={str(value)[:40]} must be {word} {_shown_limit(limit)}",
                    do=self._within,
                )

    @property
    def _within(self) -> str:
        """Say which numbers an option takes: the next step for one that is out of range."""
        ends = (("from", self.least), ("above", self.above), ("to", self.most))
        every = (*ends, ("below", self.below))
        said = [f"{word} {_shown_limit(end)}" for word, end in every if end is not None]
        if not said:
            return "give a smaller number"
        if len(said) == 1 and self.least is not None:
            return f"give {_shown_limit(self.least)} or more"
        return f"give a number {' '.join(said)}"

    def _least(self, value: Any) -> float | None:
        """Return the smallest number: declared, or the smallest that makes sense."""
        if self.least is not None or self.above is not None or not _is_number(value):
            return self.least
        return -MOST_MEASURED

    def _most(self, value: Any) -> float | None:
        """Return the largest number: declared, or the largest that makes sense."""
        if self.most is not None or self.below is not None or not _is_number(value):
            return self.most
        return MOST_MEASURED if self.count or isinstance(value, float) else MOST_COUNTED


def _shown_limit(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Unasked(int):
    """A number that is a default and that nobody asked for: where there is less, less is taken."""

    __slots__ = ()


HANDLES = ("Artifact", "Collection", "Workspace", "Execution", "Exported")


class Handle:
    """Stands for an artifact or a collection where annotations are read: a name on the command
    line, a handle in Python, the study's own result in a recipe."""


@dataclass(frozen=True, slots=True)
class Field:
    """One option as command line, verbs and recipes need it.

    `type` is the plain type (`str`, `int`, `float`, `bool`, `Path`, `Handle`); `optional`: None is
    allowed; `form`: one value, a list of them, or a mapping from labels to lists of handles;
    `path_too`: of a handle, a path will do; `length`: of a list that has a fixed one.
    """

    name: str
    type: Any
    optional: bool
    form: typing.Literal["one", "list", "mapping"]
    option: Option
    default: Any
    positional: bool
    path_too: bool = False
    length: int | None = None

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is dataclasses.MISSING

    @property
    def flag(self) -> str:
        """The long flag on the command line: the name, of a list in the singular."""
        if self.option.flag is not None and self.option.flag.startswith("--"):
            return self.option.flag
        repeated = self.form == "list" and self.type is not float
        name = self.name.removesuffix("s") if repeated else self.name
        return "--" + name.replace("_", "-")

    @property
    def said(self) -> str:
        """What people call the type: `text`, `whole number`, `list of texts`, `pool`."""
        word = _WORDS.get(self.type, self.option.of or "handle")
        return f"list of {word}s" if self.form == "list" else word

    def check(self, value: Any) -> None:
        """Refuse a value of another type, or outside the option's limits."""
        if value is None and self.optional:
            return
        if self.type is Handle and self.option.of is not None:
            self._check_handles(value)
            return
        if self.form == "mapping":
            self._check_settings(value)
        if self.form == "mapping" or self.type in (Handle, Any):
            return
        if self.type is Path:
            check_path(self.name, value)
            return
        for one in self._values(value) if self.form == "list" else [value]:
            if self.type is tuple:
                self._check_pair(one)
                continue
            if not self._fits(one):
                article = "" if self.type is bool else "a "
                raise UsageError(
                    f"{self.name}={brief(one)} is not {article}{_WORDS[self.type]}", do=self._write
                )
            self._check_finite(one)
            self.option.check(self.name, one)

    def _values(self, value: Any) -> Sequence[Any]:
        """Return the items of a list; refuses what is none, or has another length."""
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise UsageError(
                f"{self.name}={brief(value)} is not a {self.said}", do=f"write {self._sample}"
            )
        if self.length not in (None, len(value)):
            raise UsageError(
                f"{self.name}={brief(value)} is not {self.length} {_WORDS[self.type]}s",
                do=f"write {self._sample}",
            )
        return value

    def _check_settings(self, value: Any) -> None:
        """Refuse what is no mapping from names to values."""
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise UsageError(
                f"{self.name}={brief(value)} is not a mapping from names to values",
                do=f'write {self.name}={{"…": …}}',
            )

    def _check_pair(self, one: Any) -> None:
        """Refuse what is no pair of texts."""
        if not isinstance(one, list | tuple) or [type(text) for text in one] != [str, str]:
            raise UsageError(
                f"{self.name}: {brief(one)} is not a pair of texts",
                do=f'write {self.name}=[("near", "far")]',
            )

    @property
    def _write(self) -> str:
        """What to do in the place of a value of another type."""
        nothing = ", or None" if self.optional else ""
        return f"write {self._sample}{nothing}"

    @property
    def _sample(self) -> str:
        """The option with a value that it takes, as Python has it."""
        option, plain = self.option, self.default
        if plain is dataclasses.MISSING or plain in (None, (), []):
            plain = option.example
        if plain is None:
            plain = next(iter(option.choices), None)
        if self.type in (int, float) and not _is_number(plain) and self.form == "one":
            plain = 1 if option.least is None else option.least
        if self.form == "list" and not isinstance(plain, list | tuple):
            given = ["…", "…"] if plain is None else [plain]
            return f"{self.name}={_quoted(given)}"
        return f"{self.name}={_quoted('…' if plain is None else plain)}"

    def _check_handles(self, value: Any) -> None:
        """Refuse what is no artifact (or collection) of the kind that is wanted."""
        values: Any = [value]
        if self.form == "mapping":
            if not isinstance(value, Mapping):
                raise UsageError(
                    f"{self.name}: a mapping from labels is wanted, got {brief(value)}",
                    do=f'write {self.name}={{"LABEL": {self._wanted}}}',
                )
            lists = (one if isinstance(one, list | tuple) else [one] for one in value.values())
            values = [one for several in lists for one in several]
        elif self.option.several and isinstance(value, list | tuple):
            values = value
        elif self.form == "list":
            if isinstance(value, str | bytes) or not isinstance(value, Sequence):
                one = brief(value) if isinstance(value, str) else "…"
                raise UsageError(
                    f"{self.name}: a list is wanted, got {brief(value)}",
                    do=f"write {self.name}=[{one}]",
                )
            values = value
        for one in values:
            if self.path_too and isinstance(one, str | Path):
                check_path(self.name, one)
            else:
                self._check_handle(one)

    def _check_handle(self, one: Any) -> None:
        wanted = str(self.option.of)
        if wanted == "collection" and hasattr(one, "corpus"):
            return
        kind = getattr(one, "kind", None)
        if wanted != "collection" and kind in wanted.split(" or "):
            return
        said = brief(one) if not isinstance(kind, str) else f"one of kind {kind}"
        listed = isinstance(one, list | tuple) and len(one) > 0
        raise UsageError(
            f"{self.name}: a handle of kind {wanted} is wanted, got {said}",
            do="give one of them alone" if listed else f"give its name, or {self._wanted}",
        )

    @property
    def _wanted(self) -> str:
        """What returns a handle of the kind that is wanted."""
        made_by = [_MADE_BY[kind] for kind in str(self.option.of).split(" or ") if kind in _MADE_BY]
        return f"what {' or '.join(made_by)} returned" if made_by else "a handle of it"

    def _fits(self, value: Any) -> bool:
        if self.type is str:  # or a part: a source, a loss, which is written as its text
            return isinstance(value, str) or hasattr(type(value), "canonical_name")
        if isinstance(value, bool) or self.type is bool:
            return isinstance(value, bool) and self.type is bool
        return isinstance(value, int) or (self.type is float and isinstance(value, float))

    def _check_finite(self, value: Any) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{self.name}={value} must be a finite number", do=self._write)


def _quoted(value: Any) -> str:
    """Return a value as it is written in Python, a text in double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_quoted(one) for one in value)}]"
    return repr(value)


_MADE_BY = {
    "collection": "collect",
    "run": "mine",
    "pool": "pool",
    "scores": "score",
    "groups": "select",
    "statistics": "stats",
    "student": "train",
    "evaluation": "evaluate",
}
"""The kinds that options take, and the verb that makes one."""
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


def _read(field: dataclasses.Field[Any], hint: Any) -> Field:
    declared, option = typing.get_args(hint)[:2]
    parts = [p for p in _alternatives(declared) if p is not type(None)]
    optional = len(parts) < len(_alternatives(declared))
    form: typing.Literal["one", "list", "mapping"] = "one"
    plain, length = parts[0], None
    if any(typing.get_origin(p) is not None and _is(p, Mapping) for p in parts):
        form, plain = "mapping", Handle
    elif len(parts) == 1 and typing.get_origin(plain) is not None and _is(plain, Sequence):
        inner = typing.get_args(plain)
        if typing.get_origin(plain) is tuple and Ellipsis not in inner:
            length = len(inner)
        form, plain = "list", inner[0]
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
    return Field(field.name, plain, optional, form, option, default, positional, path_too, length)


def _alternatives(declared: Any) -> tuple[Any, ...]:
    if typing.get_origin(declared) in (typing.Union, types.UnionType):
        return typing.get_args(declared)
    return (declared,)


def _is(declared: Any, kind: type) -> bool:
    origin = typing.get_origin(declared)
    return isinstance(origin, type) and issubclass(origin, kind)


_DIGITS = 24  # of a count: a number of more than 308 has no float


def count_of(text: str | int) -> int:
    """Read a count such as 50000, 100k or 1.5M."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmM]?)", str(text).strip().replace("_", ""))
    if not match:
        raise UsageError(f"{text!r} is not a count", do="write 50000, 100k or 1M")
    if len(match[1]) > _DIGITS:
        said = f"{match[1][:_DIGITS]}… of {len(match[1])} digits is more than can be counted"
        raise UsageError(said, do="write 50000, 100k or 1M")
    return round(float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[match[2].lower()])


def check_outputs(value: Any) -> None:
    """Refuse places where a request's outputs cannot be written; raises BadInput."""
    from .store.places import check_folder_place, check_place  # it needs Arrow, --help does not

    for field in options_of(type(value)):
        place = getattr(value, field.name)
        if field.option.output is not None and place is not None:
            (check_folder_place if field.option.output == "folder" else check_place)(
                path_given(place)
            )


def check_options(value: Any) -> None:
    """Refuse options of the wrong type, or outside their limits; raises UsageError."""
    for field in options_of(type(value)):
        field.check(getattr(value, field.name))
