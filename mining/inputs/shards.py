"""Numbered shards of one table, `train-00000-of-00002.parquet`, as the Hub has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import BadInput
from .blocks import COMPRESSED
from .id_map import ID_MAP

_TABLES = (".jsonl", ".ndjson", ".tsv", ".parquet", ".run", ".trec")
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.[^.]+)?")


class Shard(NamedTuple):
    """What the name of a shard says: `number` from 0, and how many there are `of` the set."""

    name: str
    number: int
    of: int


def unpacked_name(name: str) -> str:
    """Return a file's name without the ending of its compression."""
    end = next((end for end in COMPRESSED if name.lower().endswith(end)), "")
    return name[: len(name) - len(end)]


def shard_of(path: Path) -> Shard | None:
    """Return what a file's name says; None for a file that is no shard."""
    match = _SHARD.fullmatch(unpacked_name(path.name))
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


def tables_in(folder: Path) -> list[Path]:
    """Return the files of a folder, and of those in it, that are tables by their endings.

    JSON and plain text may be cards and licences, so they do not count; nor do hidden files.
    """
    ours = [path for path in folder.iterdir() if not path.name.startswith((".", "_"))]
    below = [file for path in ours if path.is_dir() for file in tables_in(path)]
    return below + [
        path
        for path in ours
        if path.is_file()
        and path.name != ID_MAP
        and Path(unpacked_name(path.name)).suffix.lower() in _TABLES
    ]


def table_folder(folder: Path) -> Path:
    """Return the folder itself; where all of its tables stand in one folder below it, that one, as
    `data/` of what was fetched from the Hub."""
    places = {file.parent for file in tables_in(folder)}
    return places.pop() if len(places) == 1 else folder


def shards_in(folder: Path, what: str, ours: Callable[[Path], bool], do: str) -> list[Path]:
    """Return the files of a folder that are `ours`, in the order of their names.

    Raises BadInput where there is none (`do`: what then), where a shard is missing, and for tables
    in the folder that would not be read.
    """
    shards = [
        file
        for file in folder.iterdir()
        if file.is_file()
        and not file.name.startswith((".", "_"))
        and file.name != ID_MAP
        and ours(file)
    ]
    if not shards:
        below = sorted({str(file.parent.relative_to(folder)) for file in tables_in(folder)} - {"."})
        if below:
            do = f"name the folder that is meant: {', '.join(below[:10])}"
        raise BadInput(f"the folder holds no {what} file", where=folder, do=do)
    left = sorted(str(file.relative_to(folder)) for file in set(tables_in(folder)) - set(shards))
    if left:
        raise BadInput(
            f"{left[0]} would not be read: it is no {what} file of this folder",
            where=folder,
            do="move it away, or name the file or the folder that is meant",
        )
    return in_order(shards)
