"""What a manifest says besides its request must follow from the request.

Two requests of one fingerprint are answered by one artifact, which the first of them writes. If the
second would have said something else in the manifest, the root hash would depend on the order of
commands. Nothing can prove that it never will; but whenever it happens it is noticed here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from ..errors import RankmillError

_said: dict[tuple[str, ...], str] = {}
"""What this process said first, by fingerprint and root hashes of the inputs: an input need not be
repeatable, as what a server says of itself is not."""


def schema_lines(schema: pa.Schema | Mapping[str, pa.Schema]) -> dict[str, list[str]]:
    """Return the fields of each table of an artifact, as the manifest lists them."""
    schemas = {"": schema} if isinstance(schema, pa.Schema) else schema
    return {name: [f"{f.name}: {f.type}" for f in s] for name, s in schemas.items()}


def check_declared(kind: str, fingerprint: str, frame: Any, metadata: Mapping[str, str]) -> None:
    """Compare schema and metadata of a request with what an equal request of this process said.

    `frame` has the schema, if there is one, and the inputs. Raises RankmillError where the two
    differ.
    """
    said = {"schema": schema_lines(getattr(frame, "schema", {})), "metadata": dict(metadata)}
    text = json.dumps(said, sort_keys=True)
    roots = (one.root_hash for one in frame.inputs.values())
    before = _said.setdefault((fingerprint, *roots), text)
    if before != text:
        raise RankmillError(
            f"two requests of one {kind} would write different manifests: {before} and {text}",
            where=f"fingerprint {fingerprint}",
            do="this is a bug in rankmill, or in a source or teacher that was added to it: what "
            "goes into metadata must follow from the parameters and inputs",
        )
