"""The file by which a folder says of which store it is the mirror."""

from __future__ import annotations

import json
from pathlib import Path

from ....errors import BadInput, Corrupt
from ...manifest import canonical_json
from ..address import ENDPOINTS, SCHEMES, Address, endpoint_of

MARKER = "mirror.json"


def marker_of(address: Address) -> bytes:
    """Return the content of the file by which a folder says that it is a mirror."""
    told = {name: getattr(address, name) for name in ("scheme", "bucket", "prefix", "endpoint")}
    return canonical_json(told)


def address_in(root: Path) -> Address | None:
    """Return the address of which a folder is the mirror; None for any other folder.

    Raises Corrupt for a marker that tells none, BadInput for an endpoint that the environment does
    not name: whoever gives a folder away must not choose where credentials are sent.
    """
    try:
        data = (root / MARKER).read_bytes()
    except OSError:
        return None
    try:
        told = json.loads(data)
        texts = [told[name] for name in ("scheme", "bucket", "prefix")]
        if not all(isinstance(one, str) for one in texts) or texts[0] not in SCHEMES:
            raise TypeError(f"no address: {texts}")
        scheme, bucket, prefix = texts
        place = Address(scheme, bucket, prefix, told["endpoint"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corrupt(
            f"{MARKER} does not say of which object store this is the mirror",
            where=root / MARKER,
            do="remove this folder: all in it can be brought again",
        ) from error
    if place.endpoint is not None and place.endpoint != endpoint_of(place.scheme):
        raise BadInput(
            f"this is the mirror of {place} at {place.endpoint!r}, an endpoint that the "
            "environment does not name",
            where=root / MARKER,
            do=f"if that is the store you mean, set {ENDPOINTS[place.scheme]}, or give the address "
            "in place of this folder",
        )
    return place
