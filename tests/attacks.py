"""Attacks on the files of a workspace: every well-formed edit of a JSON file, flipped bits, files
that are renamed, missing, exchanged or too many. Each is undone when its block ends."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SWAPPED = {"logit": "similarity", "similarity": "logit", "run": "pool", "train": "test"}


def edits(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (where, the whole value with one thing changed): well-formed JSON all the same."""
    if isinstance(value, dict):
        yield f"{at}+added", value | {"added": 1}
        for key, one in value.items():
            yield f"{at}-{key}", {k: v for k, v in value.items() if k != key}
            for where, changed in edits(one, f"{at}/{key}"):
                yield where, value | {key: changed}
    elif isinstance(value, list):
        yield f"{at}+twice", [*value, value[-1] if value else 1]
        if value:
            yield f"{at}-last", value[:-1]
        for number, one in enumerate(value):
            for where, changed in edits(one, f"{at}/{number}"):
                yield where, [*value[:number], changed, *value[number + 1 :]]
    elif isinstance(value, bool):
        yield at, not value
    elif isinstance(value, int | float):
        yield at, value + 1
        yield f"{at} as text", str(value)
    elif isinstance(value, str):
        yield at, SWAPPED.get(value) or (value[:-1] + ("0" if value.endswith("1") else "1"))
        yield f"{at} as list", [value]
    else:
        yield at, 0


def few(value: Any, most: int, seed: int = 0) -> list[tuple[str, Any]]:
    """Return at most so many edits of a value: all, or a drawn sample in their order."""
    made = list(edits(value))
    if len(made) <= most:
        return made
    drawn = sorted(random.Random(seed).sample(range(len(made)), most))
    return [made[number] for number in drawn]


@contextlib.contextmanager
def replaced(path: Path, data: bytes) -> Iterator[None]:
    """Let a file hold other bytes for a while."""
    before = path.read_bytes()
    _put(path, data)
    try:
        yield
    finally:
        _put(path, before)


def _put(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(0o444)


@contextlib.contextmanager
def missing(path: Path) -> Iterator[None]:
    """Let a file be gone for a while."""
    away = path.with_name(f"{path.name}.away")
    aside = path.parents[1] / away.name  # not in the same folder, where it would be one too many
    path.rename(aside)
    try:
        yield
    finally:
        aside.rename(path)


@contextlib.contextmanager
def renamed(path: Path, name: str) -> Iterator[None]:
    """Let a file have another name for a while."""
    path.rename(path.with_name(name))
    try:
        yield
    finally:
        path.with_name(name).rename(path)


@contextlib.contextmanager
def added(path: Path, data: bytes = b"not ours") -> Iterator[None]:
    """Let there be one more file for a while."""
    path.write_bytes(data)
    try:
        yield
    finally:
        path.unlink()


@contextlib.contextmanager
def exchanged(one: Path, other: Path) -> Iterator[None]:
    """Let two files change places for a while."""
    first, second = one.read_bytes(), other.read_bytes()
    with replaced(one, second), replaced(other, first):
        yield


def flips(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Yield the bytes with one bit flipped, at drawn places."""
    draw = random.Random(seed)
    for _ in range(count):
        changed = bytearray(data)
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        yield bytes(changed)


def as_written(value: Any) -> bytes:
    """Return JSON as manifests and records have it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def as_ledger(value: Any) -> bytes:
    """Return JSON as ledgers have it."""
    return json.dumps(value, sort_keys=True, indent=1).encode()
