"""Outputs for people: a file or a folder that appears whole, or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ...errors import Locked, RankmillError, ReaderLeft
from ..places import Place, check_folder_place, check_place
from .folders import make_folder
from .hashing import HashingSink
from .steps import created, explained, rename, step, sync, sync_folder
from .temporary import attempt_at, beside, sweep_left


@contextlib.contextmanager
def replacing(path: Path, *, text: bool = True) -> Iterator[IO[Any]]:
    """Stream an output for people; on success the file appears under `path`, on any error not at
    all.

    What is no regular file (a pipe, a device, /dev/stdout) is written through and stays what it
    is; of a link the target is replaced, the link stays.
    """
    with explained(path, 0):
        place = check_place(path)
        if place.through is not None:
            with _passing(place) as raw:
                stream = io.TextIOWrapper(raw, "utf-8", newline="") if text else raw
                yield stream
                stream.flush()
            return
        sweep_left(place.path.parent, place.path.name)
        with attempt_at(place.path) as temp:
            with created(temp) as raw:
                stream = io.TextIOWrapper(raw, "utf-8", newline="") if text else raw
                yield stream
                stream.flush()
                sync(raw, temp)
            rename(temp, place.path, 0o644)


@contextlib.contextmanager
def _passing(place: Place) -> Iterator[IO[bytes]]:
    """Open what is no regular file for writing; nothing is created, replaced or synced."""
    step("pass", place.path)
    opened = os.dup(place.through) if isinstance(place.through, int) else place.path
    try:
        with open(opened, "wb") as raw:
            yield raw
    except BrokenPipeError as error:
        raise ReaderLeft(error.errno, error.strerror, str(place.path)) from error


@contextlib.contextmanager
def building(target: Path) -> Iterator[Path]:
    """Yield an attempt folder; on success it appears as `target`, on any error nothing does.

    Files in it are synced as they are written (`writing`), its folders are synced here.
    Raises BadInput when the target exists and is not an empty folder.
    """
    check_folder_place(target)
    target = Path(os.path.realpath(target))  # a link stays one
    temp = beside(target)
    with explained(target, 0):
        sweep_left(target.parent, target.name)
        try:
            make_folder(temp)
            yield temp
            for folder in sorted((p for p in temp.rglob("*") if p.is_dir()), reverse=True):
                sync_folder(folder)
            sync_folder(temp)
            step("rename", target)
            _take_name(temp, target)
            sync_folder(target.parent)
        except RankmillError as error:  # what is meant: the attempt is nobody's but ours
            if error.where is not None and Path(error.where).is_relative_to(temp):
                error.where = str(target / Path(error.where).relative_to(temp))
            raise
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
def writing(path: Path) -> Iterator[HashingSink]:
    """Stream a file inside an attempt folder, hashed on the way and synced at the end."""
    with explained(path, 0), created(path) as raw:
        sink = HashingSink(raw)
        yield sink
        sync(raw, path)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a published folder to a user's folder; the target appears whole or not at all.

    Raises BadInput when the target exists and is not empty.
    """
    below = sorted(source.rglob("*"))
    needed = sum(path.stat().st_size for path in below if path.is_file())
    with explained(target, needed), building(target) as attempt:
        for path in below:
            copy = attempt / path.relative_to(source)
            if path.is_dir():
                make_folder(copy)
                continue
            with open(path, "rb") as original, created(copy) as raw:
                shutil.copyfileobj(original, raw, 1 << 20)
                sync(raw, copy)
