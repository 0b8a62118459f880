"""JSON objects of foreign files, in which a key that stands twice is no key at all."""

from __future__ import annotations

import json
from typing import Any

from ..errors import BadInput


def json_object(line: str, where: str) -> dict[str, Any]:
    """Return the object of one line of JSON Lines.

    Raises BadInput for other JSON and for a key twice in one object: which of two values is meant
    cannot be known, and readers disagree (RFC 8259, section 4).
    """
    try:
        value = json.loads(line, object_pairs_hook=lambda pairs: _once(pairs, where))
    except json.JSONDecodeError as error:
        raise BadInput(
            f"invalid JSON: {error.msg} at column {error.colno}",
            where=where,
            do="one JSON object per line; if it is the last line, the file may be truncated",
        ) from error
    except RecursionError as error:
        raise BadInput("the JSON is nested too deep", where=where, do="write flat lists") from error
    if not isinstance(value, dict):
        raise BadInput(
            f"the line holds a JSON {type(value).__name__}, not an object",
            where=where,
            do="write one JSON object per line",
        )
    return value


def _once(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BadInput(
            f"the key {twice!r} stands twice in one object",
            where=where,
            do="keep one value of it",
        )
    return made
