"""What a ledger, as it came from a store, says of the files beside it: trusted for nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from ...ledger import LEDGER
from ...sums import LOCK, RECORD


def sums_of(told: bytes) -> dict[str, str]:
    """Return the hashes that a ledger holds, of names that cannot lead out of the artifact."""
    try:
        sums = json.loads(told)["sums"]
        return {str(name): str(value) for name, value in sums.items() if _inside(str(name))}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # damaged: the ledger's own reader says so


def _inside(name: str) -> bool:
    pieces = name.split("/")
    own = name in (LOCK, LEDGER) or RECORD.fullmatch(name) is not None
    return (
        not own
        and re.fullmatch(r"[\w.+@=/-]+", name) is not None
        and not {"", ".", ".."} & set(pieces)  # "" is first in an absolute path
    )


def holds(path: Path, sha256: str) -> bool:
    """Say whether a file is here and has this hash."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def sha256(data: bytes) -> str:
    """Return the hash of what came, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
