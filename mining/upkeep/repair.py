"""Repair: damaged parts are computed again, with the bytes that were recorded or not at all; what
stands beside them is written anew from what is left. Nothing that is sound is touched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadInput, Corrupt, RankmillError
from ..store import Artifact, Stage, Workspace, attempts, canonical_json, files, scratch
from ..store import ledger as ledgers
from ..store.checks.faults import (
    not_ours,
    parts_to_make_anew,
    records_are_summed,
    unlisted,
)
from ..store.execution import Executor
from ..store.manifest import MANIFEST, fingerprint_of
from ..store.parts.records import record_of
from ..store.sums import LOCK, files_below, is_left, sums_beside
from ..store.workspace import FoundOnly
from .redo import SCRATCH, NotRedone, Redone, Replay, redo
from .verify import Checked, stray_files, verify_artifacts, verify_folders, verify_names


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was done about a fault, or why nothing was: `error`."""

    what: str
    where: Path
    error: RankmillError | None = None


def repair_artifact(artifact: Artifact, replay: Replay) -> Iterator[Repaired]:
    """Repair an artifact whose manifest can be opened; its root hash stays what it is.

    A damaged part, or its record, is computed from the inputs by the request that the ledger keeps,
    and put in place only if it has the hash that the manifest records. Files that cannot be made
    again are told. The artifact's lock is held meanwhile: raises Locked.
    """
    lock = artifact.path / LOCK
    if not_ours(lock) and not lock.is_dir():
        files.remove_file(lock)
        yield Repaired("removed what stood in the place of a lock", lock)
    with files.lock(lock):
        broken = parts_to_make_anew(artifact)
        if broken:
            yield from _parts_anew(artifact, broken, replay)
        for name in files_below(artifact.path):
            if is_left(name) and attempts.is_left(name):  # another host's may be in use
                files.remove_file(artifact.path / name)
                yield Repaired("removed what a killed run had left", artifact.path / name)
        yield from _ledger_anew(artifact)
        for stray in unlisted(artifact):
            yield Repaired("a file that is none of the artifact's stays", artifact.path, stray)


def _parts_anew(artifact: Artifact, numbers: list[int], replay: Replay) -> Iterator[Repaired]:
    names = ", ".join(str(number) for number in numbers)
    try:
        with Redone(artifact, numbers) as into:
            redo(artifact, replay, into)
            for number in numbers:
                yield _in_place(artifact, number, into)
    except RankmillError as error:
        yield Repaired(f"parts {names} are damaged and were not made anew", artifact.path, error)


def _in_place(artifact: Artifact, number: int, into: Redone) -> Repaired:
    part = artifact.parts[number]
    made = into.made.get(part.file)
    if made is None or made.facts.sha256 != part.sha256:
        came_out = "not at all" if made is None else f"with the SHA-256 {made.facts.sha256[:12]}"
        raise NotRedone(
            f"part {number} came out {came_out}, recorded {part.sha256[:12]}: "
            f"{otherwise(artifact)}",
            where=artifact.path / part.file,
            do=f"delete {artifact.path}, and make it and what was made of it again",
        )
    path = artifact.path / part.file
    files.make_folder(path.parent)
    files.publish(made.path, path)
    record = None
    if made.report is not None:
        record = canonical_json(record_of(made.report, artifact.fingerprint))
        files.write_bytes(path.with_suffix(".json"), record)
    if artifact.workspace.mirror is not None:
        artifact.workspace.mirror.making.replace(artifact.path, part, record)
    return Repaired(f"made part {number} of {artifact.kind} anew, with the same bytes", path)


def repair_manifest(workspace: Workspace, folder: Path, replay: Replay) -> Iterator[Repaired]:
    """Write the manifest of an artifact anew, which cannot be opened or is gone, from its records
    and inputs.

    Parts that their records vouch for are kept. Until the new one takes its place, whatever
    happens, the damaged one stays.
    """
    if workspace.mirror is not None:
        below = f"{workspace.mirror.address}/{folder.relative_to(workspace.root).as_posix()}"
        stays = Corrupt(
            "a damaged manifest in an object store is not written anew: it is created once",
            where=f"{below}/{MANIFEST}",
            do=f"remove all below {below}, and run the command that made it again",
        )
        yield Repaired("the manifest stays damaged", folder / MANIFEST, stays)
        return
    path, request = folder / MANIFEST, ledgers.request_of(folder)
    published = ledgers.read(folder).get("sums", {}).get(MANIFEST)
    state = "damaged" if os.path.lexists(path) else "missing"
    try:
        if request is None:
            raise NotRedone("its ledger does not say by which command it was made", where=folder)
        into = Rebuilding(workspace.root, folder.name)
        with ledgers.asked_by(request):
            replay(request, into)
        if not into.made:
            raise NotRedone("the request that its ledger names makes something else", where=folder)
        made = workspace.open(folder.parent.name, folder.name)
    except (RankmillError, OSError) as error:
        what = getattr(error, "what", str(error))
        do = f"delete {folder} and run the command that made it again"
        again = Corrupt(f"its manifest cannot be made anew: {what}", where=path, do=do)
        yield Repaired(f"the manifest stays {state}", path, again)
        return
    if published in (None, made.root_hash):
        yield Repaired("wrote the manifest anew, with the same root hash", path)
        return
    other = Corrupt(
        f"the artifact came out with the root hash {made.root_hash[:12]}, {published[:12]} was "
        f"published: {otherwise(made)}",
        where=path,
        do="verify the workspace: what was made of the old one is named, and has to be made again",
    )
    yield Repaired("made the artifact anew, with another result", path, other)


class Rebuilding(FoundOnly):
    """The same workspace, in which nothing is made but one artifact."""

    def __init__(self, root: Path, wanted: str):
        super().__init__(root)
        self.wanted, self.made = wanted, False

    def has(self, kind: str, fingerprint: str) -> bool:
        """Say whether an artifact is finished; the wanted one is not, until it was made."""
        return (self.made or fingerprint != self.wanted) and super().has(kind, fingerprint)

    def build(self, stage: Stage, executor: Executor | None = None) -> Artifact:
        """Make the wanted artifact, and find all others; raises NotThere."""
        if stage.fingerprint == self.wanted:
            return Workspace.build(self, stage, executor)
        return super().build(stage, executor)

    def build_folder(
        self,
        kind: str,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, Artifact],
        write: Callable[[Path, Path], Mapping[str, Any] | None],
        metadata: Mapping[str, str] | None = None,
        algorithm: int = 1,
    ) -> Artifact:
        """Make the wanted artifact, and find all others; raises NotThere."""
        wanted = fingerprint_of(kind, parameters, inputs, algorithm) == self.wanted
        build = Workspace.build_folder if wanted else FoundOnly.build_folder
        return build(self, kind, parameters, inputs, write, metadata, algorithm)

    def put_manifest(self, path: Path, manifest: bytes) -> None:
        """Let the manifest take the place of the damaged one."""
        files.write_bytes(path, manifest)
        self.made = True


def otherwise(artifact: Artifact) -> str:
    """Say why equal inputs may have given other bytes."""
    made_on = artifact.cost().get("processor", "another")
    return (
        "an input is damaged, this is another version of rankmill, or a model's scores on another "
        f"processor (it was made on {made_on})"
    )


def _ledger_anew(artifact: Artifact) -> Iterator[Repaired]:
    """Sum the attempts up again where the ledger, or what it binds, is damaged."""
    state, told = ledgers.state(artifact.path), ledgers.read(artifact.path)
    manifest = (artifact.path / MANIFEST).read_bytes()
    sums = sums_beside(artifact.path, manifest, artifact.manifest["parts"])
    path = artifact.path / ledgers.LEDGER
    if state != ledgers.WHOLE:
        record_sums = records_are_summed(artifact)
        ledgers.sum_up_again(artifact.path, artifact.bytes, sums, record_sums)
        if artifact.workspace.mirror is not None:
            artifact.workspace.mirror.making.replace_ledger(artifact.path)
        yield Repaired(f"summed the {state} ledger up from the attempts", path)
    elif told.get("sums", sums) != sums:
        gone = sorted(name for name in told["sums"] if told["sums"][name] != sums.get(name))
        if not gone:
            return
        yield Repaired(
            "files beside the parts are damaged and cannot be made again",
            artifact.path,
            Corrupt(
                f"what they held is lost: {', '.join(gone)}",
                where=artifact.path,
                do=f"the data are sound; to have these too, delete {artifact.path} and run the "
                "command that made it",
            ),
        )


def repair_names(workspace: Workspace) -> Iterator[Repaired]:
    """Give every damaged name anew to the artifact whose ledger says that it was made under it."""
    wanted = {path.name.removesuffix(".json"): path for path in _damaged_names(workspace)}
    if not wanted:
        return
    made: dict[str, list[tuple[str, int, Artifact]]] = {}
    for artifact in workspace.artifacts():
        told = artifact.cost()
        name = (told.get("request") or {}).get("name")
        if name in wanted:
            published = (artifact.path / MANIFEST).stat().st_mtime_ns
            made.setdefault(name, []).append((str(told.get("finished", "")), published, artifact))
    for name, path in wanted.items():
        if name not in made:
            lost = BadInput(
                "no artifact says that it was made under this name",
                where=path,
                do="give the name anew (--name), or remove the file",
            )
            yield Repaired(f"the name {name!r} stays damaged", path, lost)
            continue
        latest = _named_one(made[name])
        workspace.alias(name, latest)
        yield Repaired(f"the name {name!r} stands for {latest.kind} {latest.path.name[:12]}", path)


def _named_one(made: Sequence[tuple[str, int, Artifact]]) -> Artifact:
    """Return, of what requests of one name made, what has the name: what comes last of those that
    are made of, not for, the others. A request makes other artifacts on its way, and a part of them
    may have been made anew since."""
    used = {one for *_, artifact in made for one in artifact.inputs.values()}
    ends = [one for one in made if one[2].fingerprint not in used]
    *_, latest = max(ends, key=lambda one: one[:2])
    return latest


def _damaged_names(workspace: Workspace) -> Iterator[Path]:
    yield from (Path(str(one.where)) for one in stray_files(workspace) if one.ours)
    for checked in verify_names(workspace):
        if checked.path.suffix == ".json":
            yield checked.path


def repair_workspace(
    workspace: Workspace, asked: Sequence[str], replay: Replay
) -> Iterator[Repaired]:
    """Repair what `verify` finds wrong, of some artifacts with all that they were made from or of
    the whole workspace; inputs before what was made from them.

    What cannot be repaired is tried again as long as something else could, which it may rest on.
    What a repair that was killed has left goes first.
    """
    if (workspace.root / "tmp").is_dir():
        scratch.sweep(workspace.root / "tmp", SCRATCH)
    while True:
        tried = list(_one_round(workspace, asked, replay))
        left = [one for one in tried if one.error is not None]
        yield from (one for one in tried if one.error is None)
        if not left or len(left) == len(tried):
            yield from left
            break
    if not asked:
        yield from repair_names(workspace)


def _one_round(workspace: Workspace, asked: Sequence[str], replay: Replay) -> Iterator[Repaired]:
    checked = list(verify_artifacts(workspace, asked) if asked else verify_folders(workspace))
    for path in _needed_and_gone(workspace, checked, names=not asked):
        yield from _or_why_not(path, repair_manifest(workspace, path, replay))
    for one in sorted(checked, key=lambda one: _depth(one.artifact)):
        files.sweep_left(one.path)
        if one.faults and one.artifact is not None:
            yield from _or_why_not(one.path, repair_artifact(one.artifact, replay))
        elif one.faults and os.path.lexists(one.path / MANIFEST):
            yield from _or_why_not(one.path, repair_manifest(workspace, one.path, replay))


def _or_why_not(path: Path, repairs: Iterator[Repaired]) -> Iterator[Repaired]:
    """Yield what was repaired, and what stood in the way: others are repaired all the same."""
    try:
        yield from repairs
    except RankmillError as error:
        yield Repaired("was left as it is", path, error)
    except OSError as error:
        refused = Corrupt(
            error.strerror or str(error),
            where=error.filename2 or error.filename or path,
            do="look what stands there, and whether it may be written",
        )
        yield Repaired("was left as it is", path, refused)


def _needed_and_gone(
    workspace: Workspace, checked: Sequence[Checked], *, names: bool
) -> Iterator[Path]:
    """Yield the folders without a manifest where an artifact stood that another was made from, or
    that has a name."""
    held = [one.artifact for one in checked if one.artifact is not None]
    needed = {
        workspace.folder(said["kind"], said["fingerprint"])
        for artifact in held
        for said in artifact.manifest["inputs"].values()
    }
    if names:
        aliases = workspace.names().values()
        needed |= {workspace.folder(one.kind, one.fingerprint) for one in aliases}
    for path in sorted(needed - {one.path for one in checked}):
        if not workspace.has(path.parent.name, path.name):
            yield path


def _depth(artifact: Artifact | None) -> int:
    """Return how many artifacts stand one on another below this one; −1 for one not opened."""
    if artifact is None:
        return -1
    below = []
    for role in artifact.inputs:
        try:
            below.append(_depth(artifact.input(role)))
        except (RankmillError, OSError):  # it is repaired before this one
            below.append(-1)
    return 1 + max(below, default=-1)
