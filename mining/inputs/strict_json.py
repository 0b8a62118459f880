"""JSON as it was meant: a key that stands twice in one object is refused, not half forgotten."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .bounds.guards import reason, shown
from .row_shapes import Place, first_twice


class _Twice(ValueError):
    """A key that stands twice in one object."""


def parse_json(
    text: str,
    where: object,
    do: str,
    whole: bool = False,
    matters: Container[str] | None = None,
) -> Any:
    """Return the value of a JSON text: a line of a file, or a `whole` file.

    `matters`: only these keys may not stand there twice, and only in the outermost object.
    Raises BadInput with `where` and `do` for what is no JSON, for an object that names a key twice
    (the library would keep the last), and for nesting or numbers beyond what can be read.
    """
    try:
        return _DECODER.decode(text) if matters is None else _outermost(text, matters)
    except _Twice as error:
        raise BadInput(
            f"the key {shown(error.args[0])} stands twice in one object",
            where=str(where),
            do="keep one of the two; which of them counts is not for a reader to guess",
        ) from error
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, " if whole else ""
        raise BadInput(
            f"invalid JSON: {error.msg} at {at}column {error.colno}", where=str(where), do=do
        ) from error
    except (RecursionError, ValueError) as error:  # or a whole number of thousands of digits
        raise BadInput(f"invalid JSON: {reason(error)}", where=str(where), do=do) from error


def object_of(line: str, place: Place, matters: Container[str] | None = None) -> dict[str, Any]:
    """Return the object of one line of JSON Lines; raises BadInput for anything else.

    `matters`: only these keys may not stand there twice, and only in the object itself.
    """
    do = "one JSON object per line; if it is the last line, the file may be truncated"
    value = parse_json(line, place, do, matters=matters)
    if isinstance(value, dict):
        return value
    raise BadInput(
        f"the line holds {'null' if value is None else f'a JSON {type(value).__name__}'}, not an "
        "object",
        where=str(place),
        do='write lines such as {"_id": "d1", "text": "…"}',
    )


def objects(path: Path, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield the objects of numbered lines of JSON Lines with their places."""
    for number, line in lines:
        place = Place(path, number)
        yield place, object_of(line, place)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _Twice(first_twice(key for key, _ in pairs))
    return made


def _outermost(text: str, matters: Container[str]) -> Any:
    outer: list[tuple[str, Any]] = []

    def read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        outer[:] = pairs  # the outermost object is read last
        return dict(pairs)

    value = json.loads(text, object_pairs_hook=read)
    if isinstance(value, dict) and len(value) < len(outer):
        twice = first_twice(key for key, _ in outer if key in matters)
        if twice is not None:
            raise _Twice(twice)
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
