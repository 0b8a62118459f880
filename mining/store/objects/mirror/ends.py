"""The two ends of a mirror: the folder here, the bucket there, and how each calls a file."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from ... import files
from ..address import Address
from ..bucket import Bucket
from ..cache import Cache
from .marker import MARKER, marker_of
from .stored import IsStored


class Ends:
    """A workspace on an object store, and the folder that mirrors it."""

    def __init__(self, root: Path, address: Address):
        self.root, self.address = root, address
        self.bucket, self.cache = Bucket(address), Cache(root)

    def begin(self) -> None:
        """Make the folder on the local disk; a later process knows it by the marker in it."""
        if not files.holds(self.root / MARKER, marker_of(self.address)):
            files.make_private(self.root)
            files.write_bytes(self.root / MARKER, marker_of(self.address), mode=0o600)

    def turn(self, name: str) -> AbstractContextManager[None]:
        """Wait until no other process of this cache changes what `name` says, and keep them away
        for a block."""
        return files.turn(self.root / "tmp" / "turns" / f"{name}.lock")

    def turn_at(self, folder: Path) -> AbstractContextManager[None]:
        """Likewise what stands here of an artifact."""
        return self.turn(f"{folder.parent.name}-{folder.name}")

    def name(self, folder: Path, file: str = "") -> str:
        """Return what the store calls a file of an artifact, or the artifact."""
        name = folder.relative_to(self.root).as_posix()
        return f"{name}/{file}" if file else name

    def key(self, folder: Path, part: IsStored) -> str:
        """Return under which name the data of a part stand in the store."""
        return self.name(folder, f"{part.file}.{part.sha256}")
