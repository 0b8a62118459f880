"""JSON as it was meant: a key that stands twice in one object is refused, not half forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .row_shapes import Place, first_twice


class _Twice(ValueError):
    """A key that stands twice in one object."""


def parse_json(text: str, where: object, do: str, whole: bool = False) -> Any:
    """Return the value of a JSON text: a line of a file, or a `whole` file.

    Raises BadInput with `where` and `do` for what is no JSON, for an object that names a key twice
    (the library would keep the last), and for nesting or numbers beyond what can be read.
    """
    try:
        return _DECODER.decode(text)
    except _Twice as error:
        raise BadInput(
            f"the key {error.args[0]!r} stands there twice in one object",
            where=str(where),
            do="keep one of the two; which of them counts is not for a reader to guess",
        ) from error
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, " if whole else ""
        raise BadInput(
            f"invalid JSON: {error.msg} at {at}column {error.colno}", where=str(where), do=do
        ) from error
    except RecursionError as error:
        raise BadInput(
            "the JSON is nested too deeply to be read", where=str(where), do=do
        ) from error
    except ValueError as error:  # a whole number of thousands of digits
        raise BadInput(f"invalid JSON: {error}", where=str(where), do=do) from error


def object_of(line: str, place: Place) -> dict[str, Any]:
    """Return the object of one line of JSON Lines; raises BadInput for anything else."""
    value = parse_json(
        line, place, "one JSON object per line; if it is the last line, the file may be truncated"
    )
    if isinstance(value, dict):
        return value
    raise BadInput(
        f"the line holds a JSON {type(value).__name__}, not an object",
        where=str(place),
        do='write lines such as {"query_id": "q1", …}',
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


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
