"""A pair that cannot be scored, with the ids that people know it by."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import BadPair
from ..artifact import Artifact


def named(error: BadPair, inputs: Mapping[str, Artifact]) -> BadPair:
    """Return the error with the ids that the inputs of a stage, or what those were made from, give
    its ordinals; where they are about no collection it stays as it is."""
    query_id = _id_of(error.query, "queries", "query_id", inputs)
    doc_id = None if error.doc is None else _id_of(error.doc, "corpus", "doc_id", inputs)
    return error.named(query_id, doc_id)


def _id_of(ordinal: int, role: str, column: str, inputs: Mapping[str, Artifact]) -> str | None:
    held = [inputs[role]] if role in inputs else []
    held += [one.input(role) for one in inputs.values() if role in one.inputs]
    for part in held[0].parts if held else ():
        if part.start <= ordinal < part.start + part.rows:
            value: str = held[0].table(part.number)[column][ordinal - part.start].as_py()
            return value
    return None
