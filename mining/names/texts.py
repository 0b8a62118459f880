"""Values as they are read, and how each is written so that reading gives it back."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError

MOST_NESTED = 32
MOST_CHARACTERS = 400  # of a number
WORD = re.compile(r"[^\s()\[\],=\"']+")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$", re.ASCII)
_DECIMAL = re.compile(r"-?((0|[1-9]\d*)(\.\d+)?|inf)$", re.ASCII)
CONSTANTS = {
    "true": True,
    "false": False,
    "none": None,
    "inf": math.inf,
    "-inf": -math.inf,
}


class Identity(str):
    """The identity text of a value: read back, what it leaves out is neutral, not the default."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A parsed `name(positional, parameter=value)`; arguments may be calls and lists themselves."""

    name: str
    positional: tuple[Any, ...] = ()
    named: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:  # in one spelling, as a label: 1.0 is 1
        return text_of(normal(self))


@dataclass(frozen=True, slots=True)
class Spelled:
    """A bare number or constant with its spelling: where a text is wanted, 007 is no 7."""

    text: str
    value: Any


def plain(value: Any) -> Any:
    """Return a value as read without the spelling of its numbers."""
    if isinstance(value, Spelled):
        return value.value
    if isinstance(value, tuple):
        return tuple(plain(v) for v in value)
    if isinstance(value, Call):
        named = tuple((k, plain(v)) for k, v in value.named)
        return Call(value.name, tuple(plain(v) for v in value.positional), named)
    return value


def normal(value: Any) -> Any:
    """Return a nested value of no declared type in one spelling: 1.0 is 1, but 12e4 is a name."""
    if isinstance(value, Spelled):
        is_name = type(value.value) in (int, float) and not _DECIMAL.match(value.text)
        return value.text if is_name else normal(value.value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, tuple):
        return tuple(normal(v) for v in value)
    if isinstance(value, Call):
        named = tuple((k, normal(v)) for k, v in value.named)
        return Call(value.name, tuple(normal(v) for v in value.positional), named)
    return value


def same(value: Any, other: Any) -> bool:
    """Say whether two values are written alike: 1 is not true, and 0 is not −0."""
    return text_of(value) == text_of(other)


def text_of(value: Any, depth: int = 0) -> str:
    """Print a parsed value so that `parse` gives it back, with the same types.

    Raises UsageError for what has no text: nan, half a character (a lone surrogate), lists and
    calls nested too deep, a number too long.
    """
    if depth >= MOST_NESTED and isinstance(value, tuple | list | Call):
        raise UsageError(f"a value is nested deeper than {MOST_NESTED} lists and brackets")
    if isinstance(value, Spelled):
        return value.text
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return _digits(value)
    if isinstance(value, float):
        if math.isnan(value):
            raise UsageError("nan has no text: it equals nothing, so it can name nothing")
        return repr(float(value))
    if isinstance(value, str):
        return _text_of_text(value)
    if isinstance(value, tuple | list):
        return f"[{','.join(text_of(v, depth + 1) for v in value)}]"
    if isinstance(value, Call):
        arguments = [text_of(v, depth + 1) for v in value.positional]
        arguments += [f"{k}={text_of(v, depth + 1)}" for k, v in value.named]
        return f"{value.name}({','.join(arguments)})"
    return str(value)


def _digits(value: int) -> str:
    if abs(value) >= 10 ** (MOST_CHARACTERS - 1):
        raise UsageError(f"a number has more than {MOST_CHARACTERS} characters")
    return str(value)


def _text_of_text(value: str) -> str:
    refuse_surrogates(value)
    bare = WORD.fullmatch(value) and not NUMBER.match(value) and value not in CONSTANTS
    return str(value) if bare and value.isprintable() else json.dumps(value, ensure_ascii=False)


def refuse_surrogates(text: str) -> None:
    """Raise UsageError for what no file in UTF-8 could hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{text!r} holds half a character (a lone surrogate) at {error.start + 1}",
            do="write it in UTF-8: it was read from bytes in another encoding",
        ) from None
