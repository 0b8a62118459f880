"""The local files of a mirror, within a bound: those that were used least recently go first.

What goes can be brought again. A process that has mapped a file keeps what it has mapped; one that
holds a file (`files.hold`) keeps its name too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ...errors import BadInput
from .. import files
from ..manifest import MANIFEST
from .address import CACHE_SIZE, parse_size

MOST_BYTES = 50 * 10**9  # by default; less where the disk has less
_LOOK_S = 2.0  # for which a count of all parts holds: counting 10,000 takes 0.1
_TINY = 64  # so many parts of a size fit: of such, more go at once than have to
_PART = re.compile(r"part-\d{5,}\.arrow")
_NO_KINDS = {"names", "tmp"}


@dataclass(frozen=True, slots=True)
class _Cached:
    used_ns: int
    bytes: int
    path: Path


@dataclass(frozen=True, slots=True)
class _Looked:
    """When all parts were counted, with which bound, the room that there was, and what of it this
    process has not used since."""

    when: float
    bound: int
    room: int
    left: int


class Cache:
    """The parts that stand in a mirror."""

    def __init__(self, root: Path):
        self.root = root
        self._listed: dict[Path, tuple[str, ...]] = {}  # of folders of files, once published
        self._looked = _Looked(-_LOOK_S, -1, 0, 0)

    @property
    def bound(self) -> int:
        """The most bytes of parts that stand here: $RANKMILL_CACHE_SIZE, or 50 GB, or half of what
        the disk could give."""
        given = os.environ.get(CACHE_SIZE)
        return parse_size(given) if given else self._by_default

    @cached_property
    def _by_default(self) -> int:
        free = shutil.disk_usage(self.root).free
        return min(MOST_BYTES, (free + sum(one.bytes for one in self._parts())) // 2)

    def check_fits(self, size: int, what: str) -> None:
        """Raise BadInput for a part that is larger than all that may stand here."""
        bound = self.bound
        if size > bound:
            raise BadInput(
                f"{what} has {size:,} bytes, and the local cache may hold {bound:,}",
                where=self.root,
                do="give a larger one: --cache-size or RANKMILL_CACHE_SIZE, on a disk that has the "
                "room (--cache-dir DIR or RANKMILL_CACHE)",
            )

    def make_room(self, size: int) -> bool:
        """Remove parts until `size` bytes more are within the bound; what is held stays. Says
        whether so much can stand here at all.

        A process takes no more than half of the room that it has seen until it looks again: another
        one may take the other half.
        """
        bound, now, seen = self.bound, time.monotonic(), self._looked
        if size > bound:
            return False
        fresh = seen.bound == bound and now - seen.when < _LOOK_S
        if fresh and seen.left - size >= (seen.room + 1) // 2:
            self._looked = replace(seen, left=seen.left - size)
            return True
        with self.turn():
            parts = sorted(self._parts(), key=lambda one: one.used_ns)
            room = bound - size - sum(one.bytes for one in parts)
            # Else each of many tiny parts would have all others counted anew.
            wanted = bound // 4 if room < 0 and size * _TINY <= bound else 0
            for one in parts:
                if room >= wanted:
                    break
                if files.remove_unless_held(one.path):
                    room += one.bytes
        self._looked = _Looked(now, bound, room, room)
        return True

    def turn(self) -> AbstractContextManager[None]:
        """Let no other process remove parts for a block, nor bring any."""
        return files.turn(self.root / "tmp" / "cache.lock")

    def _parts(self) -> Iterator[_Cached]:
        """Yield what may go: parts that the store has, for their record or manifest is here."""
        for kind in self.root.iterdir() if self.root.is_dir() else ():
            if kind.name in _NO_KINDS or not kind.is_dir():
                continue
            for folder in kind.iterdir():
                for path in self._parts_in(folder):
                    there = _cached(path)
                    if there is not None:
                        yield there

    def _parts_in(self, folder: Path) -> Iterator[Path]:
        published = (folder / MANIFEST).exists()
        staged = [path for path in folder.glob("part-*.arrow") if _PART.fullmatch(path.name)]
        if staged or not published:
            yield from (p for p in staged if published or p.with_suffix(".json").exists())
            return
        if folder not in self._listed:
            try:
                told = json.loads((folder / MANIFEST).read_bytes())
                self._listed[folder] = tuple(str(part["file"]) for part in told["parts"])
            except (OSError, ValueError, KeyError, TypeError):  # whoever opens it is told
                return
        yield from (folder / name for name in self._listed[folder])


def _cached(path: Path) -> _Cached | None:
    """Return what stands at a path; None for nothing: never brought, or removed just now."""
    try:
        told = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _Cached(told.st_atime_ns, told.st_size, path)
