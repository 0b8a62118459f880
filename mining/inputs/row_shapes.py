"""What stands in one field of a row from outside: an id, a text, a number, or a list of those.

A text is never taken for a list of its letters, true is no number, and null is not 0. Refusals name
the field, what stands there and the place; `where` is spelled out only then.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .bounds.guards import shown
from .spelled_numbers import spelled_number

_FLOAT32_MAX = (2 - 2**-23) * 2.0**127
_BEYOND = ("beyond ±3.4e+38, all that scores store", "scale the scores before they are imported")


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a text file, or a row of a table, counted from 1."""

    file: Path | str
    number: int
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.number}"


def one_id(value: Any, name: str, where: object) -> str:
    """Return an id as text; raises BadInput for anything but text and whole numbers."""
    if isinstance(value, str) and value:
        return value if value.isascii() else _writable(value, name, where)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _refused(value, name, where, "neither text nor a whole number", "write ids as texts")


def one_text(value: Any, name: str, where: object) -> str:
    """Return a text; raises BadInput for anything else."""
    if isinstance(value, str):
        return value if value.isascii() else _writable(value, name, where)
    raise _refused(value, name, where, "not a text", "write it as one text")


def one_number(value: Any, name: str, where: object, of: str | None = None) -> float:
    """Return a number that float32 holds; raises BadInput for texts, booleans, NaN and null.

    `of`: the document that the number is about.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) <= _FLOAT32_MAX:  # false for NaN, and exact for whole numbers of any length
            return float(value)
        if math.inf > abs(value):
            raise _refused(value, name, where, *_BEYOND, of)
    do = "leave pairs without a score out; nothing is written in their place"
    raise _refused(value, name, where, "not a finite number", do, of)


def number_of(text: str, name: str, where: object, of: str | None = None) -> float:
    """Return the number that a text spells."""
    number = spelled_number(text.strip())
    if abs(number) <= _FLOAT32_MAX:
        return number
    if math.isfinite(number):
        raise _refused(text, name, where, *_BEYOND, of)
    do = "write a number such as 1.5 or 2e-3"
    raise _refused(text, name, where, "not a finite number", do, of)


def list_of(value: Any, name: str, where: object, items: str) -> list[Any]:
    """Return a list as it is; raises BadInput for all else. `items`: what it should hold."""
    if isinstance(value, list):
        return value
    raise _refused(value, name, where, f"not a list of {items}", f'write "{name}": […]')


def ids(value: Any, name: str, where: object) -> list[str]:
    """Return a list of ids as texts."""
    return [one_id(one, name, where) for one in list_of(value, name, where, "ids")]


def texts(value: Any, name: str, where: object) -> list[str]:
    """Return a list of texts."""
    return [one_text(one, name, where) for one in list_of(value, name, where, "texts")]


def numbers(value: Any, name: str, where: object, of: Sequence[str] = ()) -> list[float]:
    """Return a list of finite numbers; `of`: the documents that they are about."""
    given = list_of(value, name, where, "numbers")
    return [one_number(one, name, where, doc) for one, doc in zip_longest(given, of[: len(given)])]


def field(row: Any, name: str, where: object, do: str) -> Any:
    """Return a field of a row; raises BadInput where the row has none or is no object."""
    if not isinstance(row, dict):
        raise BadInput(f"{shown(row)} stands where an object should", where=str(where), do=do)
    if name not in row:
        there = ", ".join(map(repr, row)) or "none"
        raise BadInput(f"{name!r} is missing; there are {there}", where=str(where), do=do)
    return row[name]


def first_twice(values: Iterable[str]) -> str | None:
    """Return the first value that stands there for a second time, or None."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def _writable(value: str, name: str, where: object) -> str:
    """Return the text if it has a UTF-8 form; a lone surrogate has none."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        code = ord(value[error.start])
        raise BadInput(
            f"{name!r} holds half a character: lone surrogate \\u{code:04x}",
            where=str(where),
            do="repair the escape sequence; such text has no UTF-8 form",
        ) from error
    return value


def _refused(
    value: Any, name: str, where: object, what: str, do: str, of: str | None = None
) -> BadInput:
    label = repr(name) if of is None else f"{name!r} of document {shown(of)}"
    return BadInput(f"{label} is {shown(value)}, {what}", where=str(where), do=do)
