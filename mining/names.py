"""Values with one canonical text form: `bm25(k1=0.9,b=0.4)` parses to a value and prints back the
same.

A `Family` holds the members of one kind (sources, teachers, statistics, …); the module of a member
is imported when the member is first named. A member is a frozen
dataclass; its fields are the parameters, declared once. The text is what recipes, the command line,
column names and manifests use. It is read by a small parser of its own, never by `eval`.

    value   = word | quoted | list | name "(" [argument {"," argument}] ")"
    argument = [parameter "="] value
    list    = "[" [value {"," value}] "]"
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from .errors import UsageError

Member = TypeVar("Member", bound=type)
_WORD = re.compile(r"[^\s()\[\],=\"']+")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$")
_NONE: Mapping[str, str] = {}
_CONSTANTS = {"true": True, "false": False, "none": None, "inf": float("inf")}


@dataclass(frozen=True, slots=True)
class Call:
    """A parsed `name(positional, parameter=value)`; arguments may be calls and lists themselves."""

    name: str
    positional: tuple[Any, ...] = ()
    named: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        arguments = [text_of(v) for v in self.positional]
        arguments += [f"{k}={text_of(v)}" for k, v in self.named]
        return f"{self.name}({','.join(arguments)})"


def parse(text: str) -> Any:
    """Parse `text` to a word (str, int, float, bool or None), a tuple, or a `Call`."""
    reader = _Reader(text)
    value = reader.value()
    reader.end()
    return value


def text_of(value: Any) -> str:
    """Print a parsed value so that `parse` gives it back."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, str):
        bare = _WORD.fullmatch(value) and not _NUMBER.match(value) and value not in _CONSTANTS
        return value if bare else json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple | list):
        return f"[{','.join(text_of(v) for v in value)}]"
    return str(value)


def nearest(word: str, known: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    """Say which known names are nearest to `word`, for the last line of an error."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(close) + "?"
    shown = names if len(names) <= 20 else [*names[:20], "…"]
    return "known: " + (", ".join(shown) if names else "none")


class Family:
    """The members of one kind of value, and the way from text to value and back."""

    def __init__(self, noun: str, package: str | None = None, modules: Mapping[str, str] = _NONE):
        self.noun = noun
        self._package = package
        self._members: dict[str, type] = {}
        self._modules = {n: module for module, names in modules.items() for n in names.split()}

    def register(self, name: str) -> Callable[[Member], Member]:
        """Class decorator: make a frozen dataclass the member called `name`; `str(value)` is its
        text."""

        def add(member: Member) -> Member:
            if name in self._members:
                raise ValueError(f"{self.noun} {name!r} is registered twice")
            self._members[name] = member
            member.__str__ = lambda value: self.text(value)  # type: ignore[assignment,misc]
            member.canonical_name = name  # type: ignore[attr-defined]
            return member

        return add

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted, without loading their modules."""
        return tuple(sorted({*self._members, *self._modules}))

    def member(self, name: str) -> type:
        """Return the dataclass called `name`; raises UsageError with the nearest names."""
        if name not in self._members and name in self._modules:
            import_module(self._modules[name], self._package)
        if name not in self._members:
            raise UsageError(f"unknown {self.noun} {name!r}", do=nearest(name, self.names()))
        return self._members[name]

    def parse(self, text: str | Any) -> Any:
        """Parse a canonical text to its value; a value of this family is returned as it is."""
        if type(text) in self._members.values():
            return text
        parsed = parse(text) if isinstance(text, str) else text
        call = Call(parsed) if isinstance(parsed, str) else parsed
        if not isinstance(call, Call):
            raise UsageError(f"{text!r} is not a {self.noun}", do=f"write one of {self.names()}")
        return self._bind(call, self.member(call.name))

    def named(self, call: Call) -> Call:
        """Return a call of a member with every argument under its parameter's name."""
        if call.name not in self.names() or not call.positional:
            return call
        known = [field.name for field in dataclasses.fields(self.member(call.name))]
        if len(call.positional) > len(known):
            raise UsageError(
                f"{len(call.positional)} arguments, at most {len(known)}", where=str(call)
            )
        return Call(call.name, (), (*zip(known, call.positional, strict=False), *call.named))

    def text(self, value: Any) -> str:
        """Print a value: every parameter in declared order, those that are None left out."""
        fields = [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
        arguments = ",".join(f"{k}={text_of(v)}" for k, v in fields if v is not None)
        return f"{value.canonical_name}({arguments})" if arguments else value.canonical_name

    def _bind(self, call: Call, member: type) -> Any:
        fields = {f.name: f for f in dataclasses.fields(member)}
        where = f"{self.noun} {call}"
        if len(call.positional) > len(fields):
            raise UsageError(
                f"{len(call.positional)} arguments, at most {len(fields)}", where=where
            )
        given = dict(zip(fields, call.positional, strict=False))
        for key, value in call.named:
            if key not in fields:
                raise UsageError(
                    f"{call.name} has no parameter {key!r}",
                    where=where,
                    do=nearest(key, list(fields)),
                )
            if key in given:
                raise UsageError(f"parameter {key!r} is given twice", where=where)
            given[key] = value
        missing = [
            f.name
            for f in fields.values()
            if f.name not in given
            and f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise UsageError(
                f"{call.name} needs {', '.join(missing)}",
                where=where,
                do=f"write {call.name}({', '.join(f'{m}=…' for m in missing)})",
            )
        return member(**{k: _coerce(fields[k], v, where) for k, v in given.items()})


def _coerce(field: dataclasses.Field[Any], value: Any, where: str) -> Any:
    """Fit a parsed value to the declared type of its parameter, or refuse with the value."""
    declared = field.type.__name__ if type(field.type) is type else str(field.type)
    kinds = {part.strip().split("[")[0] for part in declared.split("|")}
    if value is None and "None" in kinds:
        return None
    if isinstance(value, tuple) and "tuple[str" in declared:
        return tuple(v if isinstance(v, str) else text_of(v) for v in value)
    if isinstance(value, bool):
        fits = "bool" in kinds
    elif isinstance(value, int) and "int" not in kinds and "float" in kinds:
        return float(value)
    elif isinstance(value, float) and "float" not in kinds and "int" in kinds:
        if value.is_integer():
            return int(value)
        fits = False
    elif isinstance(value, int | float) and kinds <= {"str", "None"}:
        return text_of(value)  # a run may be called 42
    elif isinstance(value, Call) and kinds <= {"str", "None"}:
        return str(value)  # a nested value kept as its text
    else:
        known = {"int": int, "float": float, "str": str, "tuple": tuple, "bool": bool}
        plain = tuple(known[k] for k in kinds if k in known)
        fits = not plain or isinstance(value, plain) or isinstance(value, Call)
    if not fits:
        raise UsageError(f"{field.name}={text_of(value)} is not {declared}", where=where)
    return value


class _Reader:
    """A cursor over one text; every refusal shows the text with the position."""

    def __init__(self, text: str):
        self.text, self.at = text, 0

    def value(self) -> Any:
        self._blank()
        if self._peek() in "\"'":
            return self._quoted()
        if self._peek() == "[":
            return tuple(item for _, item in self._sequence("[", "]", named=False))
        word = self._word()
        if self._peek() == "(":
            items = list(self._sequence("(", ")", named=True))
            positional = tuple(v for k, v in items if k is None)
            return Call(word, positional, tuple((k, v) for k, v in items if k is not None))
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        if _NUMBER.match(word):
            return int(word) if re.fullmatch(r"[+-]?\d+", word) else float(word)
        return word

    def end(self) -> None:
        self._blank()
        if self.at < len(self.text):
            raise self._error("unexpected text")

    def _sequence(
        self, opening: str, closing: str, *, named: bool
    ) -> Iterator[tuple[str | None, Any]]:
        self.at += len(opening)
        self._blank()
        while self._peek() != closing:
            key, value = None, self.value()
            self._blank()
            if self._peek() == "=" and named and isinstance(value, str):
                self.at += 1
                key, value = value, self.value()
                self._blank()
            yield key, value
            if self._peek() == ",":
                self.at += 1
                self._blank()
            elif self._peek() != closing:
                raise self._error(f"expected ',' or '{closing}'")
        self.at += 1

    def _quoted(self) -> str:
        quote, start = self.text[self.at], self.at
        end = start + 1
        while end < len(self.text) and self.text[end] != quote:
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise self._error("the quote is never closed")
        self.at = end + 1
        body = self.text[start + 1 : end]
        try:
            return json.loads(f'"{body}"') if quote == '"' else body.replace("\\'", "'")
        except json.JSONDecodeError as error:
            raise self._error("this quoted text is not valid") from error

    def _word(self) -> str:
        match = _WORD.match(self.text, self.at)
        if not match:
            raise self._error("expected a name or a value")
        self.at = match.end()
        return match.group()

    def _peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else "\0"

    def _blank(self) -> None:
        while self._peek().isspace():
            self.at += 1

    def _error(self, what: str) -> UsageError:
        pointer = f"{self.text}\n         {' ' * self.at}^"
        return UsageError(f"{what} at character {self.at + 1}", where=pointer)
