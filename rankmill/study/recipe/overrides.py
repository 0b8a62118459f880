"""`--set KEY=VALUE`: values in the place of those that a recipe's file has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rankmill.mining.errors import UsageError
from rankmill.mining.inputs.bounds.guards import shown
from rankmill.study.toml_files import MOST_PARTS, tables_in


def overridden(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return the tables of a recipe, changed, after every text `study.axes."train.lr"=[1e-4]`.

    Raises UsageError for one without a `=`, a key that is given twice or leads through a value.
    """
    known: set[str] = set()
    for text in overrides:
        key, equals, value = text.partition("=")
        if key.strip() in known:
            raise UsageError(f"--set {key.strip()} is given twice", do="keep one of the two")
        known.add(key.strip())
        if not equals:
            raise UsageError(f"--set {text!r} has no '='", do="write --set train.documents=20000")
        *tables, last = _dotted(key.strip())
        place = data
        for table in tables:
            place = place.setdefault(table, {})
            if not isinstance(place, dict):
                raise UsageError(f"--set {text!r}: {table!r} is not a table of the recipe")
        place[last] = _toml_value(value.strip())
    return data


def _dotted(key: str) -> list[str]:
    """Return the parts of a dotted key; one in quotes has its dots: study.axes."train.lr"."""
    parts: list[str] = []
    try:
        place: Any = tables_in(f"{key} = true")
        while isinstance(place, dict):
            ((part, place),) = place.items()
            parts.append(part)
    except (ValueError, RecursionError):  # no TOML, or not one key: `#x`
        parts = key.split(".")
    if len(parts) > MOST_PARTS:
        raise UsageError(
            f"--set: the key {shown(key)} has more than {MOST_PARTS} parts between dots",
            do="write --set KEY=VALUE with a key of the recipe, such as train.lr",
        )
    return parts


def _toml_value(text: str) -> Any:
    """Read a value as TOML would; anything that is not TOML is a plain string."""
    try:
        return tables_in(f"x = {text}")["x"]
    except (ValueError, RecursionError):
        return text
