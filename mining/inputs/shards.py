"""Numbered shards of one table, `train-00000-of-00002.parquet`, as the Hub has them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import BadInput
from .blocks import COMPRESSED

_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.[^.]+)?")


class Shard(NamedTuple):
    """What the name of a shard says: `number` from 0, and how many there are `of` the set."""

    name: str
    number: int
    of: int


def shard_of(path: Path) -> Shard | None:
    """Return what a file's name says; None for a file that is no shard."""
    packed = next((end for end in COMPRESSED if path.name.lower().endswith(end)), "")
    match = _SHARD.fullmatch(path.name[: len(path.name) - len(packed)])
    return Shard(match[1], int(match[2]), int(match[3])) if match else None


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Return files in the order of their names; raises BadInput for a set of shards with gaps, with
    a number twice, or cut in two ways."""
    ordered = sorted(paths)
    sets: dict[str, dict[int, Path]] = {}
    sizes: dict[str, tuple[int, Path]] = {}
    for path in ordered:
        shard = shard_of(path)
        if shard is None:
            continue
        of, first = sizes.setdefault(shard.name, (shard.of, path))
        other = sets.setdefault(shard.name, {}).setdefault(shard.number, path)
        if other != path or of != shard.of or shard.number >= of:
            raise BadInput(
                f"{path.name} does not go with {(first if other == path else other).name}: a set "
                "of shards has every number once, below the one that all names end in",
                where=path.parent,
                do="move the files of one of the two sets away",
            )
    for name, found in sets.items():
        of, first = sizes[name]
        absent = next((number for number in range(of) if number not in found), None)
        if absent is not None:
            raise BadInput(
                f"the shards {name}-…-of-{of:05d} are not complete: number {absent:05d} is missing",
                where=first.parent,
                do="fetch the missing files",
            )
    return ordered
