"""A share that has failed says so in the workspace, so that others do not wait for its parts.

Only an error leaves a mark. A share that was killed cannot, and one that was stopped by a signal is
likely to be queued again: those that wait go on saying so.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import Incomplete, RankmillError
from .. import files

if TYPE_CHECKING:
    from ..objects.mirror import Mirror
    from .shares import Share

OLD_S = 600.0  # in which a share that had failed before may be run again
_FOLDER = "tmp/failed"
_MARK = re.compile(r"([0-9a-f]{16})-(\d{1,6})-of-(\d{1,6})-([0-9a-f]{16})\.json")
_LONGEST = 1000


class NeighbourFailed(Incomplete):
    """What is waited for does not come: the share that makes it has failed."""


@dataclass
class Neighbours:
    """The other shares of one command, as their marks tell. `command`: what all of them run."""

    root: Path
    mirror: Mirror | None
    share: Share
    command: str
    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)
    old: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.began = self.clock()

    def begin(self) -> None:
        """Remove marks of earlier runs of this share, and note those of others: they may be run
        again, too."""
        marks = self._marks()
        own = [name for name, index in marks if index == self.share.index]
        for name in own:
            files.remove_file(self.root / _FOLDER / name)
        if self.mirror is not None:
            self.mirror.bucket.remove([f"{_FOLDER}/{name}" for name in own])
        elif own:
            files.remove_empty(self.root / _FOLDER)
        self.old = frozenset(name for name, _ in marks if name not in own)

    def check(self) -> None:
        """Raise NeighbourFailed where another share has failed since this one began, or had failed
        before and was not run again in time."""
        patient = self.clock() - self.began < OLD_S
        for name, index in self._marks():
            if index == self.share.index or (patient and name in self.old):
                continue
            said = self._said(name)
            if said is None:
                continue  # a listing may still show what has been removed
            raise NeighbourFailed(
                f"share {index} of {self.share.count} has failed, its parts do not come{said}",
                where=self.root if self.mirror is None else str(self.mirror.address),
                do=f"mend that, run --shard {index}/{self.share.count} again, and this command: "
                "what is made is kept",
            )

    def leave(self, error: BaseException) -> None:
        """Leave the mark of this share; where nothing can be written, others go on waiting."""
        told = {"said": str(error)[:_LONGEST], "host": socket.gethostname(), "pid": os.getpid()}
        name = f"{self._key()}-{self.share.index}-of-{self.share.count}-{os.urandom(8).hex()}.json"
        data = json.dumps(told).encode()
        with contextlib.suppress(OSError, RankmillError):
            if self.mirror is not None:
                self.mirror.bucket.put(f"{_FOLDER}/{name}", data)
            elif self.share.wait or self.root.is_dir():
                files.make_folder(self.root / _FOLDER)
                files.write_bytes(self.root / _FOLDER / name, data, mode=0o644)

    def _marks(self) -> list[tuple[str, int]]:
        """Return the marks of shares of this command, each with its share."""
        if self.mirror is not None:
            names: Sequence[str] = [
                one.name.rpartition("/")[2] for one in self.mirror.bucket.below(_FOLDER)
            ]
        else:
            try:
                names = sorted(os.listdir(self.root / _FOLDER))
            except OSError:
                return []
        read = [(name, _MARK.fullmatch(name)) for name in names]
        mine = (self._key(), str(self.share.count))
        return [(name, int(one[2])) for name, one in read if one and (one[1], one[3]) == mine]

    def _said(self, name: str) -> str | None:
        """Return what a mark says, for people; None where there is no such mark."""
        try:
            data = (
                files.read_small(self.root / _FOLDER / name)
                if self.mirror is None
                else self.mirror.bucket.get(f"{_FOLDER}/{name}")
            )
            if data is None:
                return None
            told = json.loads(data)
            return f" (on {told['host']}): {str(told['said'])[:_LONGEST]}"
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return ""

    def _key(self) -> str:
        return hashlib.sha256(self.command.encode()).hexdigest()[:16]


@contextlib.contextmanager
def told_to_others(neighbours: Neighbours) -> Iterator[None]:
    """Let the others know where the block ends with an error; one that only follows from another's
    leaves no mark, nor does a signal."""
    neighbours.begin()
    try:
        yield
    except Exception as error:
        if getattr(error, "exit_status", 1) != 0 and not isinstance(error, NeighbourFailed):
            neighbours.leave(error)
        raise
