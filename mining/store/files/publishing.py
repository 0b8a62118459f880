"""Files under their final names: replaced at once, or created once and never changed."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

from ...errors import RankmillError
from .small import read_small
from .steps import PUBLISHED, TORN, created, explained, rename, step, sync, sync_folder
from .temporary import attempt_at

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def write_bytes(path: Path, data: bytes, mode: int = PUBLISHED) -> None:
    """Write or replace a small file atomically."""
    with explained(path, len(data)), attempt_at(path) as temp:
        with created(temp) as raw:
            raw.write(data)
            sync(raw, temp)
        rename(temp, path, mode)


def publish(temp: Path, final: Path) -> None:
    """Move a finished, synced attempt to its final name, read-only from then on."""
    with explained(final, 0):
        rename(temp, final, PUBLISHED)


def create_only(path: Path, data: bytes) -> None:
    """Publish a file that must not exist yet; an equal file already there is success.

    A hard link fails when the target exists, so of two writers one wins; where there are no hard
    links, the file is created only if it is not there, and is `is_torn` until it is whole. Raises
    RankmillError when other bytes stand there already.
    """
    with explained(path, len(data)), attempt_at(path) as temp:
        with created(temp) as raw:
            raw.write(data)
            sync(raw, temp)
        temp.chmod(PUBLISHED)
        step("link", path)
        try:
            os.link(temp, path)
        except OSError as error:  # also the unclear kind: read the target, delete nothing
            if error.errno in _NO_LINKS:
                _create_exclusively(path, data, temp)
            elif not path.exists():
                raise
            if read_small(path) != data:
                raise RankmillError(
                    f"another run published a different {path.name}",
                    where=path,
                    do="compare the two runs; this is a determinism alarm",
                ) from error
        step("unlink", temp)
        temp.unlink(missing_ok=True)
        sync_folder(path.parent)


def _create_exclusively(path: Path, data: bytes, temp: Path) -> None:
    """Write a file under its own name, if there is none; one that is torn is replaced by `temp`."""
    step("create", path)
    try:
        raw = open(path, "xb", opener=lambda name, flags: os.open(name, flags, TORN))
    except FileExistsError:
        if is_torn(path):
            rename(temp, path, PUBLISHED)
        return
    with raw:
        raw.write(data)
        sync(raw, path)
    step("chmod", path)
    path.chmod(PUBLISHED)


def is_torn(path: Path) -> bool:
    """Say whether a published JSON file is one that a kill left half written, where there are no
    hard links: it has the mode of one that is being written, and does not parse. It counts as
    absent."""
    try:
        if stat.S_IMODE(path.stat().st_mode) != TORN:
            return False
        json.loads(read_small(path))
    except OSError:
        return False
    except (ValueError, RecursionError):
        return True
    return False
