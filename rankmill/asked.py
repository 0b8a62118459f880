"""Requests as the ledger keeps them, as JSON values: by which command an artifact was made.

A request of tables in memory, or of values without a text, is not kept: it cannot be performed
again by anyone but its author.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill.mining.options import options_of

if TYPE_CHECKING:
    from rankmill.request import Request


class _NotKept(TypeError):
    """A value that has no form in JSON."""


def kept(request: Request[Any]) -> dict[str, Any] | None:
    """Return a request as JSON values, or None where it cannot be said.

    The alias, the executor and files that are written besides are left out: none of them makes an
    artifact.
    """
    options = {}
    for field in options_of(type(request)):
        value = getattr(request, field.name)
        if field.name == "name" or field.option.output is not None or value == field.default:
            continue
        try:
            options[field.name] = _kept(value)
        except _NotKept:
            return None
    tables = [getattr(request, name, None) for name in ("documents", "queries", "qrels")]
    if request.verb == "collect" and any(one is not None for one in tables):
        return None
    name = {"name": request.name} if request.name is not None else {}
    told = {"verb": request.verb, "options": options, "folder": _here(), **name}
    try:
        json.dumps(told, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # a path whose bytes are no text
        return None
    return told


def _here() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # the folder was removed: then no relative path can have been meant
        return "/"


def _kept(value: Any) -> Any:
    artifact = getattr(value, "artifact", value)  # a collection is held by its artifact
    if hasattr(artifact, "fingerprint") and hasattr(artifact, "kind"):
        return {"artifact": [artifact.kind, artifact.fingerprint]}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, Mapping):
        return {"mapping": {str(key): _kept(one) for key, one in value.items()}}
    if isinstance(value, Sequence):
        return [_kept(one) for one in value]
    if type(value).__str__ is not object.__str__:  # a source, a teacher, …: a canonical text
        return str(value)
    raise _NotKept(type(value).__name__)
