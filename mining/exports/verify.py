"""Verify a folder that was written for others: an export by its sidecar, a student's model by the
student in the workspace that it is a copy of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import BadInput, Corrupt
from ..store import Artifact, Workspace, files
from ..store.sums import files_below
from .export import SIDECAR, sum_of

_MODEL = "model/"


def verify_written(folder: Path, workspace: Workspace) -> list[Corrupt]:
    """Return every fault of an export, or of a copy of a student of the workspace.

    Raises BadInput for a folder that is neither.
    """
    if (folder / SIDECAR).exists():
        return list(_faults_of_export(folder, workspace))
    return list(_faults_of_student(folder, workspace))


def _faults_of_export(folder: Path, workspace: Workspace) -> Iterator[Corrupt]:
    facts, what = _read(folder / SIDECAR)
    if facts is None:
        yield Corrupt(what, where=folder / SIDECAR, do=_AGAIN)
        return
    yield from _differing(folder, {name: one["sha256"] for name, one in facts["files"].items()})
    for name in _below(folder) - facts["files"].keys() - {SIDECAR}:
        yield Corrupt("a file that export.json does not list", where=folder / name, do=_MOVE)
    made_of = facts["inputs"].get("groups")
    here = {one.root_hash for one in workspace.artifacts("groups")}
    if here and made_of not in here:
        yield Corrupt(
            f"it was made of groups with the root hash {str(made_of)[:12]}; the workspace has none",
            where=folder / SIDECAR,
            do=f"name the workspace that it was made in: --workspace DIR (not {workspace.root})",
        )


def roots_of(folder: Path) -> frozenset[str]:
    """Return the root hashes of what an export was made of; raises BadInput for what is none."""
    facts, what = _read(folder / SIDECAR)
    if facts is None:
        raise BadInput(what, where=folder / SIDECAR, do="name the folder of an export")
    return frozenset(facts["inputs"].values())


_AGAIN = "export the groups again into a new folder"
_MOVE = "move it elsewhere: a trainer that reads the whole folder may read it too"


def _read(path: Path) -> tuple[dict[str, Any] | None, str]:
    """Return what a sidecar says, or None and what is wrong with it."""
    try:
        facts = json.loads(files.read_small(path))
        if not _is_sidecar(facts):
            return None, "export.json does not say what was written, and of which groups"
        earlier = "version" not in facts and "sum" not in facts
        if not earlier and facts.get("sum") != sum_of(facts):
            return None, "export.json does not say what it said when it was written"
    except (OSError, ValueError, RecursionError) as error:
        return None, f"export.json cannot be read: {error}"
    return facts, ""


def _is_sidecar(facts: Any) -> bool:
    said = facts if isinstance(facts, dict) else {}
    listed, inputs = said.get("files"), said.get("inputs")
    return (
        isinstance(inputs, dict)
        and all(isinstance(one, str) for one in inputs.values())
        and isinstance(listed, dict)
        and all(isinstance(one, dict) and "sha256" in one for one in listed.values())
    )


def _faults_of_student(folder: Path, workspace: Workspace) -> Iterator[Corrupt]:
    """Compare a folder with the student that most of its files are of."""
    there = [name for name in _below(folder) if (folder / name).is_file()]
    ours = {name: files.sha256_of(folder / name) for name in there}
    equal: dict[int, Mapping[str, str]] = {}
    for student in workspace.artifacts("student"):
        sums = _model_of(student)
        same = sum(ours.get(name) == one for name, one in sums.items())
        equal.setdefault(same, sums)
    best = max(equal, default=0)
    if not best:
        raise BadInput(
            "this is no export, and no copy of a student of the workspace",
            where=folder,
            do="name a folder with export.json, or the workspace of the student: --workspace DIR",
        )
    yield from _differing(folder, equal[best])
    for name in _below(folder) - equal[best].keys():
        yield Corrupt("a file that the student does not have", where=folder / name, do=_MOVE)


def _model_of(student: Artifact) -> dict[str, str]:
    parts = (part for part in student.parts if part.file.startswith(_MODEL))
    return {part.file.removeprefix(_MODEL): part.sha256 for part in parts}


def _differing(folder: Path, sums: Mapping[str, str]) -> Iterator[Corrupt]:
    there = _below(folder)
    for name, wanted in sums.items():
        if name not in there:
            yield Corrupt("a file is missing", where=folder / name, do="write the folder anew")
        elif not (folder / name).is_file() or files.sha256_of(folder / name) != wanted:
            yield Corrupt(
                "the file does not hold the bytes that were written (SHA-256)",
                where=folder / name,
                do="write the folder anew",
            )


def _below(folder: Path) -> set[str]:
    """Return the files below a folder, and the links, also those to folders: a trainer may follow
    them."""
    return set(files_below(folder))
