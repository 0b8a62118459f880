"""The map beside numbered ids, as our exports write it: which number stands for which id."""

from __future__ import annotations

from pathlib import Path

from ..errors import BadInput
from .parquet_rows import parquet_rows
from .row_shapes import field, one_id

ID_MAP = "id_map.parquet"


def read_id_map(path: Path) -> dict[str, dict[str, str]]:
    """Return {"query": {number: id}, "document": {number: id}}; empty without a map."""
    if not path.is_file():
        return {}
    made: dict[str, dict[str, str]] = {"query": {}, "document": {}}
    do = "write the map again, or remove it where ids are no numbers"
    for place, row in parquet_rows(path):
        of, ours, theirs = (
            one_id(field(row, name, place, do), name, place) for name in ("of", "ours", "theirs")
        )
        if of not in made:
            raise BadInput(f"{of!r} is neither query nor document", where=str(place), do=do)
        if made[of].setdefault(theirs, ours) != ours:
            raise BadInput(
                f"the {of} {theirs} is {made[of][theirs]!r} in a row before, and {ours!r} here",
                where=str(place),
                do=do,
            )
    return made
