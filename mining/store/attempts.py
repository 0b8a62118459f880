"""Names of attempts: which process of which host makes them, and whether it has ended.

Folders are shared between hosts and between containers, and not all of them share a lock: so what
another host has begun is never taken for left behind, whatever its process is called here.
"""

from __future__ import annotations

import itertools
import os
import re
import socket
from functools import cache
from pathlib import Path

_numbers = itertools.count()
_OLD = re.compile(r"(?:^|\.)(\d+)$")  # a process of this host, as versions before named it
_ENDED = "ZX"  # states of a process that is only waited for


@cache
def here() -> str:
    """Return this host, and the namespace in which its process numbers count."""
    host = re.sub(r"[^\w.]", "_", socket.gethostname(), flags=re.ASCII)[:64]
    try:
        return f"{host}+{os.stat('/proc/self/ns/pid').st_ino:x}"
    except OSError:  # no Linux: there is one namespace
        return host


def own() -> str:
    """Return a name that no other attempt of any process has."""
    return f"{here()}-{os.getpid()}-{next(_numbers)}"


def below(place: Path) -> list[Path]:
    """Return the folders of the attempts at an artifact, in order; none where another process, or
    thread, has just removed all of them."""
    try:
        return [place / name for name in sorted(os.listdir(place)) if name.startswith("run-")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_left(name: str) -> bool:
    """Say whether a process of this host made the attempt `…NAME` (or `.FILE.NAME.tmp`), and has
    ended; what somebody else calls so is nobody's."""
    last = name.removesuffix(".tmp").removeprefix("run-")
    named = re.search(rf"(?:^|\.){re.escape(here())}-(\d+)-\d+$", last)
    old = named or _OLD.search(last)
    return old is not None and _has_ended(int(old[1]))


def is_over(name: str) -> bool:
    """Say whether the attempt at an artifact is over, whose lock is held here, or which is
    finished: one that `is_left`, or an earlier one of this process."""
    return is_left(name) or name.startswith(f"run-{here()}-{os.getpid()}-")


def _has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    try:
        said = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return said.rpartition(")")[2].split()[0] in _ENDED
