"""manifest.json: how it is spelled, what it must say, and the identity of a request.

Whoever opens an artifact checks all that one small file can tell about itself: the type of every
field, the fingerprint that follows from the request, the counts that are the sums of its parts'.
What no field follows from, such as metadata, is bound from outside: by the ledger beside it, by
aliases, and by the manifests of what was made from it (docs/faults.md §6).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from ..errors import BadInput, Corrupt, OtherFormat
from . import files
from .tables import FORMAT_VERSION

MANIFEST = "manifest.json"
_FINGERPRINT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class Identified(Protocol):
    """What a fingerprint is taken of: an input by kind and fingerprint."""

    kind: str
    fingerprint: str


def canonical_json(value: Any) -> bytes:
    """Print JSON in the one spelling that hashes are taken of: sorted keys, no spaces, no NaN."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def fingerprint_of(
    kind: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Identified],
    algorithm: int = 1,
) -> str:
    """Return the identity of a request: hash of kind, format version, parameters, inputs'
    fingerprints, and the number of the algorithm where it is not the first."""
    named = {role: [one.kind, one.fingerprint] for role, one in inputs.items()}
    return _fingerprint(kind, parameters, named, algorithm)


def _fingerprint(
    kind: str, parameters: Mapping[str, Any], inputs: Mapping[str, list[str]], algorithm: int
) -> str:
    request = {
        "kind": kind,
        "format": FORMAT_VERSION,
        "parameters": parameters,
        "inputs": inputs,
    }
    if algorithm != 1:  # the neutral value: fingerprints of before are as they were
        request["algorithm"] = algorithm
    return hashlib.sha256(canonical_json(request)).hexdigest()[:40]


class NotFinished(BadInput):
    """In this folder stands no artifact, or one that is not finished."""


def read_manifest(path: Path) -> bytes:
    """Return the manifest of the artifact in a folder; raises NotFinished where there is none."""
    try:
        if files.is_torn(path / MANIFEST):
            raise FileNotFoundError(str(path / MANIFEST))
        return files.read_small(path / MANIFEST)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFinished(
            "there is no finished artifact here (no manifest.json)",
            where=path,
            do="run the command that makes it; it resumes what is already there",
        ) from error


def parse_manifest(data: bytes, path: Path) -> dict[str, Any]:
    """Return what a manifest says; raises Corrupt where it cannot be what was written into the
    folder `path`, OtherFormat for one of another format version."""
    try:
        manifest = json.loads(data)
        version = manifest["format"]
        if isinstance(version, bool) or not isinstance(version, int):
            raise TypeError("its format is no whole number")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(path, f"cannot be read: {_said(error)}") from error
    if version != FORMAT_VERSION:
        raise _other_format(version, path)
    key = (hashlib.sha256(data).digest(), path.parent.name, path.name)
    if key in _sound:
        return manifest
    try:
        wrong = next(_problems(manifest, path), None)
        if wrong is None and canonical_json(manifest) != data:
            wrong = "is not spelled as it was written, so its root hash is another"
    except (ValueError, RecursionError) as error:  # NaN, half a surrogate, too deep
        raise damaged(path, f"cannot be read: {_said(error)}") from error
    if wrong is not None:
        raise damaged(path, wrong)
    _sound.add(key)
    return manifest


# Of manifests that this process has found sound: the hash of the bytes, kind and fingerprint of the
# folder, which is all that the verdict follows from. A stage opens the same few again and again.
_sound: set[tuple[bytes, str, str]] = set()


def damaged(path: Path, what: str) -> Corrupt:
    """Return the error for a manifest of the artifact in `path`."""
    return Corrupt(
        f"manifest.json is damaged: it {what}", where=path / MANIFEST, do=made_again(path)
    )


def made_again(path: Path) -> str:
    """Return what to do about damage of the artifact in `path`."""
    return f"rankmill repair {path.name[:12]}, or delete {path} and run the command that made it"


def _said(error: Exception) -> str:
    return f"there is no {error}" if isinstance(error, KeyError) else str(error)


def _other_format(version: int, path: Path) -> OtherFormat:
    newer = version > FORMAT_VERSION
    return OtherFormat(
        f"format version {version} is {'newer' if newer else 'older'} than this rankmill "
        f"reads ({FORMAT_VERSION})",
        where=path,
        do="install a newer rankmill"
        if newer
        else "make it again in a new workspace (--workspace DIR): nothing is lost, what is "
        "here stays as it is",
    )


# ---- what each field must be -------------------------------------------------------------------

Check = Callable[[Any], bool]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _matches(pattern: re.Pattern[str]) -> Check:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _each(one: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(one, value))


def _by_name(one: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(map(one, value.values()))


def _record(fields: Mapping[str, Check]) -> Check:
    def check(value: Any) -> bool:
        same = isinstance(value, dict) and value.keys() == fields.keys()
        return same and all(sound(value[name]) for name, sound in fields.items())

    return check


_COUNTS = _by_name(_whole)
_PART = {
    "number": _whole,
    "file": _text,
    "table": _text,
    "rows": _whole,
    "bytes": _whole,
    "sha256": _matches(_SHA256),
    "counts": _COUNTS,
}
_INPUT = {
    "kind": _matches(_KIND),
    "fingerprint": _matches(_FINGERPRINT),
    "root": _matches(_SHA256),
}
_FIELDS: dict[str, Check] = {
    "format": _whole,
    "kind": _matches(_KIND),
    "fingerprint": _matches(_FINGERPRINT),
    "parameters": lambda value: isinstance(value, dict),
    "inputs": _by_name(_record(_INPUT)),
    "schema": _by_name(_each(_text)),
    "metadata": lambda value: isinstance(value, dict),
    "parts": _each(_record(_PART)),
    "counts": _COUNTS,
    "dropped": _by_name(_each(_whole)),
}
_MORE: dict[str, Check] = {
    "examples": _by_name(_each(_text)),
    "algorithm": lambda value: _whole(value) and value > 1,
}


_OF_RECORD: dict[str, Check] = _PART | {
    "fingerprint": _matches(_FINGERPRINT),
    "dropped": _by_name(_each(_whole)),
}
_MORE_OF_RECORD: dict[str, Check] = {
    "examples": _by_name(_each(_text)),
    "sum": _matches(_SHA256),
}


def is_record(value: Any) -> bool:
    """Say whether a value has the fields of a completion record of a part, and of their types."""
    if not isinstance(value, dict):
        return False
    more = {name: sound for name, sound in _MORE_OF_RECORD.items() if name in value}
    return _record(_OF_RECORD | more)(value)


def _problems(manifest: Any, path: Path) -> Iterator[str]:
    """Yield what is wrong with a manifest of our format version, by itself."""
    if not isinstance(manifest, dict):
        yield "is no JSON object"
        return
    lacks, more = _FIELDS.keys() - manifest.keys(), manifest.keys() - {*_FIELDS, *_MORE}
    if lacks or more:
        yield f"lacks {sorted(lacks)}" if lacks else f"says {sorted(more)}, which none of ours does"
        return
    for name, sound in (_FIELDS | _MORE).items():
        if name in manifest and not sound(manifest[name]):
            yield f"says of {name!r} what cannot be: {str(manifest[name])[:80]}"
            return
    yield from _other_identity(manifest, path)
    yield from _odd_parts(manifest)
    yield from _odd_sums(manifest)


def _other_identity(manifest: Mapping[str, Any], path: Path) -> Iterator[str]:
    kind, fingerprint = manifest["kind"], manifest["fingerprint"]
    if (kind, fingerprint) != (path.parent.name, path.name):
        yield f"is that of {kind} {fingerprint[:12]}, and lies in {path.parent.name}/{path.name}"
    inputs = {role: [one["kind"], one["fingerprint"]] for role, one in manifest["inputs"].items()}
    algorithm = manifest.get("algorithm", 1)
    follows = _fingerprint(kind, manifest["parameters"], inputs, algorithm)
    if follows != fingerprint:
        yield (
            f"has the fingerprint {fingerprint[:12]}, but from its kind, parameters and inputs "
            f"follows {follows[:12]}"
        )


def _odd_parts(manifest: Mapping[str, Any]) -> Iterator[str]:
    staged, seen = bool(manifest["schema"]), set()
    for number, part in enumerate(manifest["parts"]):
        name = part["file"]
        if part["number"] != number:
            yield f"counts its parts wrongly: {part['number']} stands in place {number}"
        if staged and name != f"part-{number:05d}.arrow":
            yield f"names the file of part {number} {name!r}"
        if not _stays_inside(name) or name in seen:
            yield f"names a file {name!r}, which cannot be one of its parts"
        if part["table"] not in manifest["schema"] and (staged or part["table"]):
            yield f"has no schema for part {number} ({part['table']!r})"
        seen.add(name)


def _stays_inside(name: str) -> bool:
    pieces = name.split("/")
    own = name in {MANIFEST, "ledger.json", "attempts.jsonl", "LOCK"}
    return "\0" not in name and not own and not any(p in ("", ".", "..") for p in pieces)


def _odd_sums(manifest: Mapping[str, Any]) -> Iterator[str]:
    counts: dict[str, int] = {}
    for part in manifest["parts"]:
        for key, value in part["counts"].items():
            counts[key] = counts.get(key, 0) + value
    if counts != manifest["counts"]:
        odd = sorted({k for k, _ in counts.items() ^ manifest["counts"].items()})
        yield f"has counts that are not the sums of its parts': {odd}"
    for reason, queries in manifest["dropped"].items():
        if len(set(queries)) != len(queries) or not queries:
            yield f"drops a query twice, or none, for {reason!r}"
