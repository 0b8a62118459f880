"""The only module that opens for writing, syncs, renames, links and removes files.

Everything durable goes temp → fsync → rename → fsync folder, so a kill, a full disk or a power cut
leaves either the old state or the new one. Tests set `fault` to fail or to kill at any single step
(docs/faults.md §1).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from ..errors import BadInput, Corrupt, Locked, RankmillError, ReaderLeft
from ..inputs.bounds.guards import refuse_unless_file
from . import attempts
from .places import LONGEST_NAME, Place, check_folder_place, check_place

PUBLISHED = 0o444
_TORN = 0o600  # until it is whole
_PAGE = 4096
_PUNCH_HOLE_AND_KEEP_SIZE = 0x02 | 0x01
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_FILE = {errno.EISDIR, errno.ELOOP, errno.ENXIO}  # a folder, a circle of links, a socket
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG, errno.ENOMEM}

# Called with (step, path) before each step that changes the disk; tests raise or kill from it.
fault: Callable[[str, Path], None] | None = None
# Syncing can be switched off for tests only: a kill does not need it, a power cut does.
_SYNC = os.environ.get("RANKMILL_TEST_NO_FSYNC") != "1"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a written file holds: rows, size in bytes, SHA-256 in hexadecimal."""

    rows: int
    bytes: int
    sha256: str


def write_arrow(path: Path, table: pa.Table) -> Facts:
    """Write `table` as one Arrow IPC file (uncompressed, one batch where offsets allow) and sync
    it."""
    with _explained(path, table.nbytes), _created(path) as raw:
        sink = HashingSink(raw)
        options = pa.ipc.IpcWriteOptions(compression=None)
        with pa.ipc.new_file(pa.PythonFile(sink, "w"), table.schema, options=options) as writer:
            writer.write_table(table.combine_chunks())
        _sync(raw, path)
    return Facts(table.num_rows, sink.count, sink.digest.hexdigest())


def read_arrow(path: Path) -> pa.Table:
    """Open an Arrow IPC file by memory map, zero copy; ArrowInvalid and OSError pass to the
    caller."""
    with pa.memory_map(str(path), "r") as source:
        return pa.ipc.open_file(source).read_all()


def mapped_arrow(path: Path) -> tuple[pa.Table, int]:
    """Open an Arrow IPC file by memory map; returns the address at which the file begins too."""
    with pa.memory_map(str(path), "r") as source:
        table = pa.ipc.open_file(source).read_all()
        source.seek(0)
        return table, int(source.read_buffer(1).address)


def give_back(path: Path, start: int, stop: int) -> None:
    """Free the disk pages of an own scratch file that lie wholly between two offsets, where the
    system can (Linux); they read as zeros from then on, and the size of the file stays.
    """
    first, last = -(-start // _PAGE) * _PAGE, stop // _PAGE * _PAGE
    if first >= last or not sys.platform.startswith("linux"):
        return
    _step("free", path)
    free = ctypes.CDLL(None, use_errno=True).fallocate
    free.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    with open(path, "r+b") as raw:
        if free(raw.fileno(), _PUNCH_HOLE_AND_KEEP_SIZE, first, last - first):
            code = ctypes.get_errno()
            if code not in (errno.EOPNOTSUPP, errno.ENOSYS):  # then the pages just stay
                raise OSError(code, os.strerror(code), str(path))


def write_bytes(path: Path, data: bytes, mode: int = PUBLISHED) -> None:
    """Write or replace a small file atomically."""
    with _explained(path, len(data)), _attempt(path) as temp:
        with _created(temp) as raw:
            raw.write(data)
            _sync(raw, temp)
        _rename(temp, path, mode)


class Columns:
    """Columns of numbers that grow on the disk in files without a name: nothing of them stays when
    the process ends, however it does, and no memory is held for what has been written.
    """

    def __init__(self, folder: Path, **dtypes: Any):
        """Begin empty columns in an existing folder, each of the dtype that its name is given."""
        self._folder = folder
        self._dtypes = {name: np.dtype(dtype) for name, dtype in dtypes.items()}
        with _explained(folder, 0):
            self._files = {name: tempfile.TemporaryFile(dir=folder) for name in dtypes}

    def __enter__(self) -> Columns:
        return self

    def __exit__(self, *_: object) -> None:
        for raw in self._files.values():
            raw.close()  # what is mapped stays

    def append(self, **arrays: np.ndarray) -> None:
        """Write as many values to each column; dtypes are converted."""
        for name, values in arrays.items():
            data = np.ascontiguousarray(values, dtype=self._dtypes[name])
            with _explained(self._folder, data.nbytes):
                self._files[name].write(data.data)

    def mapped(self) -> dict[str, np.ndarray]:
        """Return what has been written, mapped and read-only; it outlives the columns."""
        arrays: dict[str, np.ndarray] = {}
        for name, raw in self._files.items():
            with _explained(self._folder, 0):
                raw.flush()
            dtype = self._dtypes[name]
            arrays[name] = np.memmap(raw, dtype, "r") if raw.tell() else np.empty(0, dtype)
        return arrays


class NoFile(OSError):
    """What stands at a path is no regular file."""


def read_small(path: Path) -> bytes:
    """Return the bytes of a small file of a workspace; raises NoFile for what is none: a pipe would
    never be read to its end, and a device has none."""
    try:
        with open(path, "rb", opener=_at_once) as raw:
            if stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
                return raw.read()
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
    raise NoFile(errno.EINVAL, "this is no regular file", str(path))


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _own_file(path: str, flags: int) -> int:
    """Open a file that is written in place: never through a link, which may lead anywhere."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise _none_of_ours(path)
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _none_of_ours(path) from error


def _none_of_ours(path: str) -> Corrupt:
    return Corrupt(
        "this would be written to, and is a link, a pipe or a folder: none of ours",
        where=path,
        do="remove it: nothing that it holds is needed",
    )


def create_only(path: Path, data: bytes) -> None:
    """Publish a file that must not exist yet; an equal file already there is success.

    A hard link fails when the target exists, so of two writers one wins; where there are no hard
    links, the file is created only if it is not there, and is `is_torn` until it is whole. Raises
    RankmillError when other bytes stand there already.
    """
    with _explained(path, len(data)), _attempt(path) as temp:
        with _created(temp) as raw:
            raw.write(data)
            _sync(raw, temp)
        temp.chmod(PUBLISHED)
        _step("link", path)
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
        _step("unlink", temp)
        temp.unlink(missing_ok=True)
        _sync_folder(path.parent)


def _create_exclusively(path: Path, data: bytes, temp: Path) -> None:
    """Write a file under its own name, if there is none; one that is torn is replaced by `temp`."""
    _step("create", path)
    try:
        raw = open(path, "xb", opener=lambda name, flags: os.open(name, flags, _TORN))
    except FileExistsError:
        if is_torn(path):
            _rename(temp, path, PUBLISHED)
        return
    with raw:
        raw.write(data)
        _sync(raw, path)
    _step("chmod", path)
    path.chmod(PUBLISHED)


def is_torn(path: Path) -> bool:
    """Say whether a published JSON file is one that a kill left half written, where there are no
    hard links: it has the mode of one that is being written, and does not parse. It counts as
    absent."""
    try:
        if stat.S_IMODE(path.stat().st_mode) != _TORN:
            return False
        json.loads(read_small(path))
    except OSError:
        return False
    except (ValueError, RecursionError):
        return True
    return False


def publish(temp: Path, final: Path) -> None:
    """Move a finished, synced attempt to its final name, read-only from then on."""
    with _explained(final, 0):
        _rename(temp, final, PUBLISHED)


@contextlib.contextmanager
def replacing(path: Path, *, text: bool = True) -> Iterator[IO[Any]]:
    """Stream an output for people; on success the file appears under `path`, on any error not at
    all.

    What is no regular file (a pipe, a device, /dev/stdout) is written through and stays what it
    is; of a link the target is replaced, the link stays.
    """
    with _explained(path, 0):
        place = check_place(path)
        if place.through is not None:
            with _passing(place) as raw:
                stream = io.TextIOWrapper(raw, "utf-8", newline="") if text else raw
                yield stream
                stream.flush()
            return
        sweep_left(place.path.parent, place.path.name)
        with _attempt(place.path) as temp:
            with _created(temp) as raw:
                stream = io.TextIOWrapper(raw, "utf-8", newline="") if text else raw
                yield stream
                stream.flush()
                _sync(raw, temp)
            _rename(temp, place.path, 0o644)


@contextlib.contextmanager
def _passing(place: Place) -> Iterator[IO[bytes]]:
    """Open what is no regular file for writing; nothing is created, replaced or synced."""
    _step("pass", place.path)
    opened = os.dup(place.through) if isinstance(place.through, int) else place.path
    try:
        with open(opened, "wb") as raw:
            yield raw
    except BrokenPipeError as error:
        raise ReaderLeft(error.errno, error.strerror, str(place.path)) from error


def _beside(path: Path) -> Path:
    """Return the temporary name of an attempt at a file or folder, in the same folder."""
    return path.with_name(f"{_beginning(path.name)}{attempts.own()}.tmp")


def _beginning(name: str) -> str:
    """Return how the temporary names of attempts at a file begin."""
    return f".{os.fsencode(name)[: LONGEST_NAME - 120].decode('utf-8', 'ignore')}."


@contextlib.contextmanager
def _attempt(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside a file; on an error nothing stays under it. What a kill leaves
    there, `sweep_left` removes."""
    temp = _beside(path)
    try:
        yield temp
    except BaseException:
        with contextlib.suppress(OSError):
            temp.unlink(missing_ok=True)
        raise


def sweep_left(folder: Path, name: str | None = None) -> None:
    """Remove temporary files and folders (those of one file, or all) that ended processes of this
    host left in a folder, where we may; what another host has begun stays."""
    begin = "." if name is None else _beginning(name)
    try:
        left = [
            one
            for one in os.scandir(folder)
            if one.name.startswith(begin)
            and one.name.endswith(".tmp")
            and attempts.is_left(one.name)
        ]
    except OSError:  # no such folder yet, or not ours to read
        return
    for one in left:
        with contextlib.suppress(OSError):
            _step("sweep", Path(one.path))
            if one.is_dir(follow_symlinks=False):
                shutil.rmtree(one.path, ignore_errors=True)
            else:
                os.unlink(one.path)


def append_line(path: Path, record: dict[str, Any]) -> None:
    """Append one JSON line; a torn last line after a kill is ignored by readers."""
    with _explained(path, 200):
        _step("append", path)
        with open(path, "a", encoding="utf-8", opener=_own_file) as stream:
            stream.write(json.dumps(record, sort_keys=True) + "\n")


def append_lines(path: Path, lines: Sequence[bytes]) -> None:
    """Append whole lines at once, after one that a kill may have torn."""
    data = b"".join(line + b"\n" for line in lines)
    with _explained(path, len(data)):
        _step("append", path)
        with open(path, "ab+", buffering=0, opener=_own_file) as stream:
            if stream.seek(0, os.SEEK_END):
                stream.seek(-1, os.SEEK_END)
                data = (b"" if stream.read(1) == b"\n" else b"\n") + data
            stream.write(data)


def make_folder(path: Path) -> Path:
    """Create a folder and its parents, and sync the folders that name the new ones; returns it."""
    with _explained(path, 0):
        _step("mkdir", path)
        new = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in new:
            _sync_folder(folder.parent)
    return path


def remove_tree(path: Path) -> None:
    """Remove an attempt folder and all in it, or a stray file in its place; missing is fine."""
    if path.is_symlink() or path.is_file():
        remove_file(path)
    elif path.exists():
        _step("remove", path)
        shutil.rmtree(path)


def sweep(path: Path) -> None:
    """Remove attempts of a run that ended between publishing and removing them, where we may; of
    what is published nobody makes attempts any more, another process may only be sweeping too."""
    if path.is_dir():
        _step("sweep", path)
        shutil.rmtree(path, ignore_errors=True)


def holds(path: Path, data: bytes) -> bool:
    """Say whether a file is there and holds just these bytes."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def rename_folder(path: Path, target: Path) -> None:
    """Give a folder that nobody reads another name, where there is nothing or an empty folder."""
    with _explained(target, 0):
        _step("rename", target)
        os.replace(path, target)
        for parent in {path.parent, target.parent}:
            _sync_folder(parent)


def link_folder(path: Path, target: Path) -> None:
    """Let `path` be another name of a published folder, which is read through it and never written;
    removing the tree around it leaves the folder as it is."""
    with _explained(path, 0):
        make_folder(path.parent)
        _step("link", path)
        path.symlink_to(target, target_is_directory=True)


def remove_file(path: Path) -> None:
    """Remove one unpublished or refuted file; missing is fine."""
    _step("unlink", path)
    path.unlink(missing_ok=True)


def remove_for_good(path: Path) -> None:
    """Remove one file, which a power cut does not bring back; missing is fine."""
    remove_file(path)
    if path.parent.is_dir():
        _sync_folder(path.parent)


def remove_empty(folder: Path) -> None:
    """Remove a folder if nothing is in it; another process may put something there just now."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def copy_tree(source: Path, target: Path) -> None:
    """Copy a published folder to a user's folder; the target appears whole or not at all.

    Raises BadInput when the target exists and is not empty.
    """
    below = sorted(source.rglob("*"))
    needed = sum(path.stat().st_size for path in below if path.is_file())
    with _explained(target, needed), building(target) as attempt:
        for path in below:
            copy = attempt / path.relative_to(source)
            if path.is_dir():
                make_folder(copy)
                continue
            with open(path, "rb") as original, _created(copy) as raw:
                shutil.copyfileobj(original, raw, 1 << 20)
                _sync(raw, copy)


@contextlib.contextmanager
def building(target: Path) -> Iterator[Path]:
    """Yield an attempt folder; on success it appears as `target`, on any error nothing does.

    Files in it are synced as they are written (`writing`), its folders are synced here.
    Raises BadInput when the target exists and is not an empty folder.
    """
    check_folder_place(target)
    target = Path(os.path.realpath(target))  # a link stays one
    temp = _beside(target)
    with _explained(target, 0):
        sweep_left(target.parent, target.name)
        try:
            make_folder(temp)
            yield temp
            for folder in sorted((p for p in temp.rglob("*") if p.is_dir()), reverse=True):
                _sync_folder(folder)
            _sync_folder(temp)
            _step("rename", target)
            _take_name(temp, target)
            _sync_folder(target.parent)
        finally:
            shutil.rmtree(temp, ignore_errors=True)


def _take_name(temp: Path, target: Path) -> None:
    """Give a finished folder its name, where there is nothing or an empty folder: of two writers
    one wins, the other raises Locked."""
    try:
        os.replace(temp, target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        raise Locked(
            "another process has filled this folder meanwhile; it was left as it is",
            where=target,
            do="look at what is there, or choose another folder",
        ) from error


@contextlib.contextmanager
def by_library(folder: Path, needed: int = 0) -> Iterator[None]:
    """Explain what a library raises that writes into `folder` itself: libraries in Rust tell a full
    disk in an exception of their own, `… (os error 28)`."""
    with _explained(folder, needed):
        try:
            yield
        except OSError:
            raise
        except Exception as error:
            _raise_as_told(error, folder)
            raise


def _raise_as_told(error: Exception, folder: Path) -> None:
    """Raise the error of the system that an exception tells of; return where it tells none."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    if told is not None:
        raise OSError(int(told[1]), os.strerror(int(told[1])), str(folder)) from error


@contextlib.contextmanager
def writing(path: Path) -> Iterator[HashingSink]:
    """Stream a file inside an attempt folder, hashed on the way and synced at the end."""
    with _explained(path, 0), _created(path) as raw:
        sink = HashingSink(raw)
        yield sink
        _sync(raw, path)


def sync_tree(folder: Path) -> dict[str, Facts]:
    """Sync every file that a library wrote below `folder`; returns facts by relative name,
    sorted."""
    facts = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with _explained(path, 0), open(path, "rb") as raw:
            _sync(raw, path)
        relative = path.relative_to(folder).as_posix()
        rows = read_arrow(path).num_rows if path.suffix == ".arrow" else 0
        facts[relative] = Facts(rows, path.stat().st_size, sha256_of(path))
    return facts


Stamp = tuple[int, int, int, int]  # device, inode, time of the last change, size


def stamp_of(path: Path) -> Stamp:
    """Return what changes when the content of a file does, by a look at its entry alone."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a regular file's content in hexadecimal; BadInput for what never ends
    or would have to be read twice, a device or a pipe."""
    if path.exists():
        refuse_unless_file(path)
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def lock(path: Path, *, shared: bool = False, make: bool = True) -> Iterator[None]:
    """Hold an exclusive flock on `path`, or one that others may share; raises Locked, naming the
    holder, when another process has it.

    `make` makes its folder where there is none. The file goes only with its folder, by whoever
    holds it (`upkeep/removal.py`). Its descriptor is not inherited, so an orphaned worker cannot
    keep the lock.
    """
    if make:
        make_folder(path.parent)
    try:
        opened = open(path, "a+", encoding="utf-8", opener=_own_file)
    except FileNotFoundError as error:
        raise _just_removed(path) from error
    with opened as stream:
        try:
            fcntl.flock(stream, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            stream.seek(0)
            holder = stream.read().strip() or "an unknown process"
            raise Locked(
                f"another run is writing this artifact: {holder}",
                where=path.parent,
                do="wait for it to end, or stop it, and run the same command again",
            ) from error
        if not _is_still(path, stream):
            raise _just_removed(path)
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        holder = f"host {socket.gethostname()}, pid {os.getpid()}, since {started}"
        with _explained(path, len(holder)):
            os.ftruncate(stream.fileno(), 0)
            os.write(stream.fileno(), holder.encode())
        yield


def _just_removed(path: Path) -> Locked:
    return Locked(
        "another process has just removed what stood here",
        where=path.parent,
        do="run the same command again",
    )


def _is_still(path: Path, stream: IO[Any]) -> bool:
    """Say whether an open file is the one that a path names: it may be gone with its folder."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait for an exclusive flock on `path`, and hold it for a block: what takes a moment only."""
    make_folder(path.parent)
    with _explained(path, 0):
        stream = open(path, "a+", opener=_own_file)
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def hold(path: Path) -> int:
    """Open a file that `remove_unless_held` then leaves alone until the descriptor is closed, and
    note that it was used now. Raises FileNotFoundError, also for one that is just being removed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        there = os.fstat(descriptor)
        if not there.st_nlink:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        with contextlib.suppress(OSError):  # a read-only cache: nothing is removed there either
            os.utime(descriptor, ns=(time.time_ns(), there.st_mtime_ns))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def remove_unless_held(path: Path) -> bool:
    """Remove a file of a cache unless a process holds it; says whether it is gone. What is mapped
    stays readable."""
    _step("evict", path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)


def make_private(path: Path) -> Path:
    """Create a folder that nobody else may enter, below folders that are made if need be."""
    with _explained(path, 0):
        _step("mkdir", path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        if path.stat().st_mode & 0o077:
            path.chmod(0o700)
    return path


class HashingSink(io.RawIOBase):
    """A file that hashes what passes through: `digest` (SHA-256) and `count` of bytes."""

    def __init__(self, raw: IO[bytes]):
        self.raw, self.digest, self.count = raw, hashlib.sha256(), 0

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: Any) -> int:
        """Pass bytes on; returns how many were taken."""
        self.digest.update(data)
        self.count += len(data)
        return self.raw.write(data)


@contextlib.contextmanager
def _created(path: Path) -> Iterator[IO[bytes]]:
    _step("create", path)
    path.unlink(missing_ok=True)  # a stale attempt of ours; never a published name
    with open(path, "xb") as raw:
        yield raw


def _sync(raw: IO[bytes], path: Path) -> None:
    _step("fsync", path)
    if raw.writable():
        raw.flush()
    if _SYNC:
        os.fsync(raw.fileno())


def _rename(temp: Path, final: Path, mode: int) -> None:
    temp.chmod(mode)
    _step("rename", final)
    os.replace(temp, final)
    _sync_folder(final.parent)


def _sync_folder(folder: Path) -> None:
    _step("fsync folder", folder)
    if _SYNC:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _step(name: str, path: Path) -> None:
    if fault is not None:
        fault(name, path)


@contextlib.contextmanager
def _explained(path: Path, needed: int) -> Iterator[None]:
    """Turn an error of the disk into one that names path, bytes needed and bytes free."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        place = next(p for p in [path, *path.parents] if p.exists())
        if error.errno == errno.EROFS:
            raise BadInput(
                f"cannot write: the file system of {place} is read-only",
                where=path,
                do="choose another place, or make it writable, then run it again: a stage resumes",
            ) from error
        do = "free some space or choose another place"
        if error.errno == errno.EFBIG:
            do = "raise the limit on the size of files (ulimit -f), or choose another place"
        free = shutil.disk_usage(place).free
        known = f"{needed:,} bytes needed, " if needed else ""  # of a stream it is not known
        raise RankmillError(
            f"cannot write: {os.strerror(error.errno or 0)} ({known}{free:,} bytes free)",
            where=path,
            do=f"{do}, then run it again: a stage resumes",
        ) from error
