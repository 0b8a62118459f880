"""Children that are struck at one step on the disk, and children that go on where those ended.

They are forks of a process that must have no threads: what it has imported is there at once.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from rankmill.mining.errors import Explained
from rankmill.mining.store import files
from rankmill.mining.store.together import patience

LIMIT_S = 600
FAULTS = ("kill", "ENOSPC", "EIO", "lost")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended: `status` is negative for a signal; `steps` on the disk that it came to;
    `told` is what its work returned, as JSON; `error` is the name of what it raised, `explained`
    whether that is an error of ours or of the system, `trace` where it came from."""

    status: int
    steps: int = 0
    struck: bool = False
    told: Any = None
    error: str = ""
    explained: bool = True
    trace: str = ""


class Child:
    """A fork that does some work and is struck at step `at` (0: never).

    `fault`: `kill`; `ENOSPC` or `EIO`, which the step raises; `lost`: the rename or link number
    `at` is done and then reports EIO. `links=False`: as on a file system without hard links.
    `begin`: a descriptor that is read before the work begins, so that several begin at once.
    """

    def __init__(
        self,
        work: Callable[[], Any],
        fault: str = "kill",
        at: int = 0,
        *,
        links: bool = True,
        begin: int | None = None,
    ):
        self._read, write = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            os.close(self._read)
            _child(work, _Strike(fault, at), links, begin, write)
        os.close(write)

    def ended(self) -> Ended:
        """Wait for the end."""
        with open(self._read, "rb") as stream:
            said = stream.read()
        status = os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])
        if status == -signal.SIGKILL and not said:
            return Ended(status, struck=True)
        if status:
            return Ended(status, error=f"ended by {status}", explained=False)
        return Ended(status, **json.loads(said))


def in_child(
    work: Callable[[], Any], fault: str = "kill", at: int = 0, *, links: bool = True
) -> Ended:
    """Do some work in a child, and wait for its end."""
    return Child(work, fault, at, links=links).ended()


class _Strike:
    """Counts steps on the disk, and strikes at one."""

    def __init__(self, fault: str, at: int):
        self.fault, self.at, self.steps, self.calls = fault, at, 0, 0
        self.struck = False

    def __call__(self, step: str, path: Path) -> None:
        self.steps += 1
        if self.steps != self.at or self.fault == "lost":
            return
        self.struck = True
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        code = getattr(errno, self.fault)
        raise OSError(code, os.strerror(code), str(path))

    def losing(self, call: Callable[..., None]) -> Callable[..., None]:
        """Return a call whose acknowledgement is lost when its turn has come."""

        def done(*given: Any, **options: Any) -> None:
            call(*given, **options)
            self.calls += 1
            if self.fault == "lost" and self.calls == self.at:
                self.struck = True
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(given[-1]))

        return done


_strike: _Strike | None = None  # of this child


def counted() -> tuple[int, int]:
    """Return how many steps on the disk this child has come to, and how many renames and links."""
    return (0, 0) if _strike is None else (_strike.steps, _strike.calls)


def _child(
    work: Callable[[], Any], strike: _Strike, links: bool, begin: int | None, write: int
) -> NoReturn:
    """Do the work and write how it ended."""
    global _strike
    files.steps.fault = _strike = strike
    patience.PAUSES_S = (0.0, 0.0, 0.0, 0.0)
    os.link, os.replace = strike.losing(os.link), strike.losing(os.replace)
    if not links:
        os.link = no_links  # type: ignore[assignment]
    signal.alarm(LIMIT_S)  # a child that hangs ends by that signal
    if begin is not None:
        os.read(begin, 1)
    told, error, explained, trace = None, "", True, ""
    try:
        told = work()
    except BaseException as raised:
        error, explained = type(raised).__name__, isinstance(raised, Explained | OSError)
        trace = "".join(traceback.format_exception(raised))[-1500:]
    steps = strike.calls if strike.fault == "lost" else strike.steps
    said = {"steps": steps, "struck": strike.struck, "told": told, "error": error}
    line = json.dumps(said | {"explained": explained, "trace": trace}).encode()
    with open(write, "wb") as stream:
        stream.write(line)
    os._exit(0)


def no_links(*_: object) -> None:
    """Refuse a hard link as vfat, exFAT and some network file systems do."""
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def leftovers(root: Path) -> list[str]:
    """Return the temporary files and attempts below a workspace."""
    beside = [str(p) for p in root.rglob(".*.tmp")]
    return beside + [str(p) for p in root.glob("tmp/*/*")]


def at_once(works: Iterable[Callable[[], Any]]) -> list[Ended]:
    """Do some works in as many children that begin together."""
    read, write = os.pipe()
    children = [Child(work, begin=read) for work in works]
    os.write(write, b"!" * len(children))
    outcomes = [child.ended() for child in children]
    os.close(read)
    os.close(write)
    return outcomes
