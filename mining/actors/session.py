"""The folder of a private cluster: nobody else may enter it, and the next driver sweeps what a
killed one left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_PREFIX = "rm-"
_LATE_S = 600.0  # in which a process of Ray's may end after its driver
_HELD, _SESSIONS = "held", "s"  # Ray's sockets lie below: their paths must stay under 107 bytes


class SessionPlace:
    """A folder of mode 0700 in the temporary folder, held by a lock until `end` or death.

    Ray makes what it is given accessible to everyone, so it is given `inside`, a folder in it.
    """

    def __init__(self) -> None:
        sweep_dead()
        self.path, self._lock = _held_folder()
        self.inside = self.path / _SESSIONS

    def end(self) -> None:
        """Remove the folder with all that Ray has left in it; what its last processes still write,
        the next driver sweeps."""
        shutil.rmtree(self.inside, ignore_errors=True)
        if not self.inside.exists():
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _held_folder() -> tuple[Path, int]:
    """Make a folder and hold its lock. Another driver that looks between the two takes it for a
    dead one's and removes it: then another is made."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        (path / _SESSIONS).mkdir()
        lock = os.open(path / _HELD, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_nlink:
                return path, lock
        os.close(lock)


def sweep_dead() -> None:
    """Remove session folders of ours whose driver is dead: their lock is free, or it went with the
    folder long ago and a process of Ray's has written there once more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        held = folder / _HELD
        with contextlib.suppress(OSError):  # another user's, or swept by another process just now
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            if os.listdir(folder) == [_SESSIONS]:
                if time.time() - folder.stat().st_mtime > _LATE_S:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            lock = os.open(held, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def private_token() -> None:
    """See to it that the token which opens clusters on this host is read by its owner alone.

    Ray writes it with mode 0644, where it has none; a token given by the environment stays.
    """
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ:
        return
    path = Path.home() / ".ray" / "auth_token"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(made, "w") as token:
            token.write(os.urandom(32).hex())
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
