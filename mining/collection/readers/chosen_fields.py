"""Documents whose text is made of fields that were named (`--fields title,body,url`).

The title is kept apart if it is among them; of the others those that are not empty are joined by a
blank, in the order that was given. A list of texts counts as its texts joined by blanks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...errors import BadInput
from ...inputs import column_names as columns
from ...names import nearest

TITLE = "title"


def places_of(path: Path | str, there: Sequence[str], fields: Sequence[str]) -> list[str]:
    """Return the fields as a file writes them; raises BadInput for one that it has not."""
    places = []
    for field in fields:
        name = columns.first_named(there, (columns.canonical(field),))
        if name is None:
            raise BadInput(
                f"the documents have no field {field!r}; there are {', '.join(map(repr, there))}",
                where=path,
                do=nearest(field, there),
            )
        places.append(name)
    return places


def joined_columns(texts: Sequence[pa.Array]) -> pa.LargeStringArray:
    """Return the texts of each row joined by a blank, without those that are empty or null."""
    held = [pc.if_else(pc.equal(pc.binary_length(one), 0), None, one) for one in texts]
    blank = pa.scalar(" ", pa.large_string())
    return pc.binary_join_element_wise(*held, blank, null_handling="skip")


def flat(column: pa.Array) -> pa.Array:
    """Return a column of lists of texts as their texts joined by blanks; others as they are."""
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        return column
    texts = column.cast(pa.large_list(pa.large_string()))
    return pc.binary_join(texts, pa.scalar(" ", pa.large_string()))


def text_of(row: Mapping[str, Any], name: str, where: str) -> str:
    """Return one field of a row as text; empty where the row has none or null."""
    value = row.get(name)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return " ".join(value)
    raise BadInput(
        f"the field {name!r} is a {type(value).__name__}, not text",
        where=where,
        do="name other fields for the text: --fields title,text",
    )
