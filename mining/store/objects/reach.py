"""Whether another machine reaches the object store, and what its attempts at parts become.

A machine that has the driver's mirror before it writes into that one. Any other has a mirror of its
own: paths of the driver's mean those, and what is written there goes into the store, where the
driver finds it by name and hash.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import BadInput
from .. import files
from . import mirrors
from .address import Address
from .mirror import Mirror, Stored

if TYPE_CHECKING:
    from ..files import Facts


@dataclass(frozen=True, slots=True)
class Reach:
    """An object and a file with a token that nobody else can know; `folder` is the artifact's."""

    address: Address
    root: Path
    folder: Path
    path: Path
    token: str

    def answer(self, node: str) -> None:
        """On the other machine: read the token from the store, and store the node's answer.

        From then on this process takes paths of the driver's mirror for those of its own. Raises
        BadInput where the store is not reached.
        """
        if not self.is_here():
            mirrors.stands_for(self.root, self.address)
        mirror = self._mirror()
        if mirror.bucket.get(self._name()) != self.token.encode():
            raise self.refused(node, "does not find there what the driver has stored")
        mirror.bucket.put(self._name(node), self.token.encode())

    def check_answer(self, node: str) -> None:
        """On the machine that asked: raise BadInput where the node's answer is not there."""
        mirror = self._mirror()
        if mirror.bucket.get(self._name(node)) != self.token.encode():
            raise self.refused(node, "has stored nothing that is found here")

    def end(self) -> None:
        """Remove the token and its answers."""
        bucket = self._mirror().bucket
        left = [one.name for one in bucket.below("tmp") if one.name.startswith(self._name())]
        bucket.remove(left)

    def is_here(self) -> bool:
        """Whether the driver's mirror is before this machine too."""
        return files.holds(self.path, self.token.encode())

    def attempt(self, path: Path, number: int, write: Callable[[Path], Facts]) -> Facts:
        """Write an attempt at a part where the driver will find it: at `path`, or in the store."""
        if self.is_here():
            return write(path)
        own = mirrors.here(path)  # the same where folders have the same names there
        files.make_folder(own.parent)
        try:
            facts = write(own)
            stored = Stored(f"part-{number:05d}.arrow", facts.bytes, facts.sha256)
            self._mirror().parts.send_from(own, mirrors.here(self.folder), stored)
        finally:
            files.remove_file(own)
        return facts

    def refused(self, node: str, why: str) -> BadInput:
        """Return the error for a node that does not reach the store."""
        return BadInput(
            f"not every machine of the cluster reaches the workspace: node {node} {why}",
            where=str(self.address),
            do="give every node the credentials and the endpoint in its environment, or leave "
            "--ray-address out: --workers N uses this machine alone",
        )

    def _mirror(self) -> Mirror:
        mirror = mirrors.mirror_at(mirrors.here(self.root))
        assert mirror is not None  # by its marker, or since `answer` has named it
        return mirror

    def _name(self, node: str = "") -> str:
        return f"tmp/seen-{self.token[:8]}" + (f"-{node}" if node else "")


def leave(mirror: Mirror, folder: Path, attempts: Path) -> Reach:
    """Store a token, and write it into the folder of the attempts at an artifact."""
    token = os.urandom(16).hex()
    reach = Reach(mirror.address, mirror.root, folder, attempts / f"seen-{token[:8]}", token)
    files.write_bytes(reach.path, token.encode())
    mirror.bucket.put(f"tmp/seen-{token[:8]}", token.encode())
    return reach


def bring(mirror: Mirror | None, folder: Path, path: Path, number: int, facts: Facts) -> None:
    """Bring an attempt that another machine has stored, to put it together with others."""
    if mirror is not None and not path.exists():
        stored = Stored(f"part-{number:05d}.arrow", facts.bytes, facts.sha256)
        mirror.parts.bring_attempt(folder, stored, path)
