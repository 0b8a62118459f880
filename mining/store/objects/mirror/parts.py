"""The parts of artifacts: brought into the cache and held there, or sent to the store."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ....errors import Corrupt
from ... import attempts, files
from ..refusals import Torn
from .ends import Ends
from .stored import IsStored

_TRIES = 5  # to open a file that another process's needs remove in the same moment


class Parts:
    """The data of parts, in the store and in the cache before it."""

    def __init__(self, ends: Ends):
        self.ends = ends
        self._kept: dict[Path, int] = {}  # files that stay as long as the process does

    @contextmanager
    def holding(self, folder: Path, part: IsStored, *, afresh: bool = False) -> Iterator[None]:
        """Bring a part into the cache unless it is there, and let nobody remove it in the block."""
        descriptor = self._held(folder, part, afresh=afresh)
        try:
            yield
        finally:
            os.close(descriptor)

    def keep(self, folder: Path, part: IsStored) -> None:
        """Bring a file and let nobody remove it as long as this process runs: libraries open it."""
        path = folder / part.file
        if path not in self._kept:
            self._kept[path] = self._held(folder, part)

    def _keep_on(self, path: Path) -> None:
        """Where a file that stays was brought again, let the new one stay."""
        if path in self._kept:
            os.close(self._kept[path])
            self._kept[path] = files.hold(path)

    def _held(self, folder: Path, part: IsStored, *, afresh: bool = False) -> int:
        path = folder / part.file
        if afresh:
            self._fetch(folder, part)
        for _ in range(_TRIES):
            try:
                return files.hold(path)
            except FileNotFoundError:
                self._fetch(folder, part)
        return files.hold(path)

    def _fetch(self, folder: Path, part: IsStored) -> None:
        self.ends.cache.check_fits(part.bytes, f"{self.ends.name(folder, part.file)}")
        self.ends.cache.make_room(part.bytes)
        place = files.make_folder(self.ends.root / "tmp" / "fetched")
        files.sweep_left(place)
        temp = place / f".{part.sha256}.{attempts.own()}.tmp"
        key = self.ends.key(folder, part)
        try:
            self.ends.bucket.fetch(key, temp, part.bytes, part.sha256)
            files.make_folder((folder / part.file).parent)
            self._place(temp, folder / part.file, part)
        except (FileNotFoundError, Torn) as error:
            what = error.what if isinstance(error, Torn) else "it is missing"
            raise Corrupt(
                f"a part of {folder.parent.name} is not in the object store as it was stored: "
                f"{what}",
                where=f"{self.ends.address}/{key}",
                do=f"rankmill repair {folder.name[:12]}, or remove {self.ends.address}/"
                f"{self.ends.name(folder)} and run the command that made it",
            ) from error
        finally:
            files.remove_file(temp)

    def _place(self, temp: Path, path: Path, part: IsStored) -> None:
        """Give what has come its name. Where another process has brought the same meanwhile, that
        stays: whoever holds it, holds this file and no other of the name."""
        there = path.is_file() and files.sha256_of(path) == part.sha256
        with self.ends.cache.turn():
            if not (there and path.exists()):
                files.publish(temp, path)
                self._keep_on(path)

    def send(self, folder: Path, parts: Sequence[IsStored]) -> None:
        """Store files of an artifact that stand here under their own names."""
        for part in parts:
            self.ends.bucket.send(folder / part.file, self.ends.key(folder, part))

    def send_from(self, path: Path, folder: Path, part: IsStored) -> None:
        """Store a file as the data of a part."""
        self.ends.bucket.send(path, self.ends.key(folder, part))

    def bring_attempt(self, folder: Path, part: IsStored, path: Path) -> None:
        """Write the data of a part to a path outside of the cache."""
        self.ends.bucket.fetch(self.ends.key(folder, part), path, part.bytes, part.sha256)
