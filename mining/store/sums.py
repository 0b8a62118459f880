"""What binds the files that no root hash covers: the manifest itself, the attempts, and whatever a
stage leaves beside its parts. Their hashes stand in ledger.json, which ends in its own.

A completion record decides what a manifest will say, so until there is one nothing else could show
that it was changed: it ends in its own hash too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import files
from .manifest import MANIFEST, canonical_json, is_record

LOCK = "LOCK"
RECORD = re.compile(r"part-\d{5,}\.json")
_LEDGER = "ledger.json"
_LEFT_BY_A_KILL = re.compile(r"\..*\.(?:[\w.]+(?:\+[0-9a-f]+)?-\d+-)?\d+\.tmp")


def sums_beside(
    folder: Path, manifest: bytes, parts: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Return the SHA-256 of the manifest that is about to be published and of every file that
    stands beside the parts of an artifact, by name."""
    sums = {MANIFEST: hashlib.sha256(manifest).hexdigest()}
    listed = {part["file"] for part in parts}
    for name in files_below(folder):
        regular = (folder / name).is_file()  # a pipe, a link to nowhere: none of ours
        if name not in listed and regular and not is_bound_otherwise(name):
            sums[name] = files.sha256_of(folder / name)
    return sums


def files_below(folder: Path) -> Iterator[str]:
    """Yield the name of every file below a folder, and of every link, in order."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder).as_posix()


def is_bound_otherwise(name: str) -> bool:
    """Say whether a file beside the parts is no matter of sums."""
    own = name in (LOCK, _LEDGER, MANIFEST) or RECORD.fullmatch(name) is not None
    return own or is_left(name)


def is_left(name: str) -> bool:
    """Say whether a name is that of a temporary file, which only a kill leaves behind."""
    return _LEFT_BY_A_KILL.fullmatch(name.rpartition("/")[2]) is not None


def summed(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ledger, or a completion record, with the hash of all that it says."""
    return dict(told) | {"sum": _sum_of(told)}


def spelled(told: Mapping[str, Any]) -> bytes:
    """Print a ledger as it is written: for people, and in one spelling."""
    return json.dumps(told, indent=1, sort_keys=True).encode()


def holds_sum(told: Mapping[str, Any], data: bytes) -> bool:
    """Say whether a ledger says what was written; those of earlier versions have no sum."""
    if "sum" not in told and "sums" not in told:
        return True
    digest = hashlib.sha256(data).digest()
    if digest in _whole:
        return True
    sums = told.get("sums")
    texts = isinstance(sums, dict) and all(isinstance(one, str) for one in sums.values())
    try:
        whole = texts and told.get("sum") == _sum_of(told) and spelled(told) == data
    except (ValueError, RecursionError):  # NaN, half a surrogate
        return False
    if whole:
        _whole.add(digest)
    return whole


def is_sound_record(record: Any, data: bytes) -> bool:
    """Say whether a completion record, read from these bytes, says what was written; those of
    earlier versions have no sum."""
    try:
        if not is_record(record) or canonical_json(record) != data:
            return False
    except (ValueError, RecursionError):  # NaN, half a surrogate
        return False
    return bool(record.get("sum", _sum_of(record)) == _sum_of(record))


_whole: set[bytes] = set()  # hashes of ledgers that this process has found to hold their sum


def _sum_of(told: Mapping[str, Any]) -> str:
    said = {key: value for key, value in told.items() if key != "sum"}
    return hashlib.sha256(canonical_json(said)).hexdigest()
