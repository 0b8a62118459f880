"""Damage to every file of an artifact of every kind, and to names and exports: all of it is found.

A case is one damage of one file: `verify` must name a fault. One part of each kind that is cut into
parts is repaired besides, and must have the recorded bytes again. The files are damaged behind the
back of our tools, as a disk, a copy that broke off, or a person would.
"""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attacks
from every_kind import one_of_each
from reliability.outcome import Form, Result

from rankmill import api
from rankmill.mining.exports.verify import verify_written
from rankmill.mining.store import Workspace
from rankmill.mining.upkeep.repair import repair_workspace
from rankmill.mining.upkeep.verify import verify_folder, verify_names
from rankmill.replay import replay

FOLDERS = {"comparison", "index", "student"}  # artifacts of files: no part stands for itself
Faults = Callable[[], list[Any]]


def run(form: Form) -> Result:
    """Damage files, `form.count` times in all, evenly over the files; then repair parts."""
    warnings.simplefilter("ignore")
    place = form.place / "work"
    shutil.copytree(form.world / "work", place)
    workspace, result = Workspace(place), Result()
    files = list(_files(workspace, form.place / "out"))
    each = max(1, round(form.count / len(files)))
    for number, (path, faults) in enumerate(files):
        if form.late():
            result.notes.append(f"the time was over after {number} of {len(files)} files")
            break
        for what, damaged in _damages(path, each, form.seed, number):
            with damaged:
                told = bool(faults())
            result.cases += 1
            result.inject(what)
            if not told:
                result.wrong.append(f"{path.relative_to(form.place)}, {what}: not found")
        if faults():
            result.wrong.append(f"{path.relative_to(form.place)}: a fault where all is well")
    result.figures["files"] = len(files)
    _repair(workspace, form, result)
    return result


def _files(workspace: Workspace, out: Path) -> Iterator[tuple[Path, Faults]]:
    """Yield every file of an artifact of every kind, of the names and of an export; and what tells
    the faults there."""
    for artifact in one_of_each(workspace).values():
        for path in sorted(p for p in artifact.path.rglob("*") if p.is_file()):
            if path.name != "LOCK":  # holds nothing but who writes
                yield path, partial(_of_folder, workspace, artifact.path)
    for path in sorted((workspace.root / "names").glob("*.json")):
        yield path, partial(_of_names, workspace, path)
    groups = workspace.find("groups")
    api.export("sentence-transformers", groups, to=out, allow_lossy=True)
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        yield path, partial(_of_export, out, workspace)


def _of_folder(workspace: Workspace, folder: Path) -> list[Any]:
    if not (folder / "manifest.json").exists():
        return ["absent"]  # an artifact without a manifest does not exist: its stage makes it again
    return list(verify_folder(workspace, folder).faults)


def _of_names(workspace: Workspace, path: Path) -> list[Any]:
    if not path.exists():
        return ["absent"]
    from rankmill.mining.upkeep.verify import stray_files

    told = [fault for one in verify_names(workspace) for fault in one.faults]
    return [fault for fault in [*told, *stray_files(workspace)] if path.name in str(fault)]


def _of_export(out: Path, workspace: Workspace) -> list[Any]:
    from rankmill.mining.errors import RankmillError

    try:
        return list(verify_written(out, workspace))
    except RankmillError as error:
        return [error]  # a folder that is no export


def _damages(
    path: Path, count: int, seed: int, first: int
) -> Iterator[tuple[str, contextlib.AbstractContextManager[None]]]:
    """Yield so many damages of a file, in turn of each sort that fits it, from the `first` on."""
    data, draw = path.read_bytes(), random.Random(f"{seed}{path.name}")
    sorts = [_flipped, _cut, _zeroed, _emptied, _missing, _longer]
    edited = _edited(data, count, seed)
    for number in range(first, first + count):
        if number % 2 and edited:
            yield "edits of JSON", attacks.replaced(path, edited.pop())
            continue
        yield sorts[(number // 2 if edited else number) % len(sorts)](path, data, draw)


Damage = tuple[str, contextlib.AbstractContextManager[None]]


def _edited(data: bytes, count: int, seed: int) -> list[bytes]:
    """Return well-formed edits of a JSON file, or none where it is no JSON."""
    try:
        value = json.loads(data)
    except ValueError:
        return []
    spelled = attacks.as_ledger if data.startswith(b"{\n") else attacks.as_written
    return [spelled(changed) for _, changed in attacks.few(value, count, seed)]


def _flipped(path: Path, data: bytes, draw: random.Random) -> Damage:
    (changed,) = attacks.flips(data, 1, draw.randrange(1 << 30))
    return "flipped bits", attacks.replaced(path, changed)


def _cut(path: Path, data: bytes, draw: random.Random) -> Damage:
    return "truncations", attacks.replaced(path, data[: draw.randrange(len(data))])


def _zeroed(path: Path, data: bytes, draw: random.Random) -> Damage:
    """Let a block be zeros, or where it holds nothing else, ones."""
    at = draw.randrange(len(data))
    stop = min(at + 512, len(data))
    byte = b"\0" if any(data[at:stop]) else b"\1"
    return "zeroed blocks", attacks.replaced(path, data[:at] + byte * (stop - at) + data[stop:])


def _emptied(path: Path, data: bytes, draw: random.Random) -> Damage:
    return "empty files", attacks.replaced(path, b"")


def _missing(path: Path, data: bytes, draw: random.Random) -> Damage:
    return "missing files", attacks.missing(path)


def _longer(path: Path, data: bytes, draw: random.Random) -> Damage:
    return "bytes too many", attacks.replaced(path, data + data[-9:])


def _repair(workspace: Workspace, form: Form, result: Result) -> None:
    """Damage a part of each kind, repair the workspace, and compare the bytes."""
    before: dict[Path, bytes] = {}
    for kind, artifact in one_of_each(workspace).items():
        if kind in FOLDERS:
            continue
        path = artifact.path / artifact.parts[0].file
        before[path] = path.read_bytes()
        (changed,) = attacks.flips(before[path], 1, form.seed)
        path.unlink()
        path.write_bytes(changed)
    told = [one for one in repair_workspace(workspace, [], replay) if one.error is not None]
    result.wrong += [f"repair: {one.error}" for one in told]
    for path, data in before.items():
        result.cases += 1
        result.inject("parts repaired")
        if path.read_bytes() != data:
            result.wrong.append(f"{path.relative_to(form.place)}: not repaired to the same bytes")
    result.notes.append(
        f"artifacts of files ({', '.join(sorted(FOLDERS))}) are found damaged, not repaired: "
        "their command makes them again"
    )
