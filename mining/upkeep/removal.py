"""Removing artifacts that nothing needs: no name, no other artifact, no run that has not ended.

What an artifact needs is whatever its small files name by fingerprint: the manifest its inputs, the
ledger and the attempts the request. An unfinished one needs what its attempts name, and what cannot
be read keeps all that it mentions. One artifact goes at a time, users before what they were made
from, each by one rename: a kill at any point leaves a sound workspace (docs/faults.md §10).
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadInput, Corrupt, Locked, RankmillError, UsageError
from ..store import Artifact, Workspace, attempts, files, ledger
from ..store.aliases import NAMES
from ..store.manifest import MANIFEST

_FINGERPRINT = re.compile(r"[0-9a-f]{40}")
_MENTIONED = re.compile(rb"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])")
_SMALL = (MANIFEST, ledger.LEDGER, ledger.ATTEMPTS)
REMOVED = "removed"  # below tmp/: artifacts on their way out


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the workspace where an artifact stands, or is being made.

    `artifact`: None where it is unfinished, damaged or of another format version. `inputs`: the
    fingerprints that its manifest names; `mentions`: those that any of its small files does.
    `finished`: seconds since the epoch.
    """

    path: Path
    artifact: Artifact | None
    inputs: frozenset[str]
    mentions: frozenset[str]
    finished: float

    @property
    def fingerprint(self) -> str:
        """The name of the folder."""
        return self.path.name

    @property
    def said(self) -> str:
        """Kind and first digits, for people."""
        return f"{self.path.parent.name} {self.path.name[:12]}"


@dataclass(frozen=True, slots=True)
class Kept:
    """Whether exports and ages keep what nothing in the workspace needs.

    `roots`: root hashes that are needed elsewhere. `hours`: what was finished later than so many
    hours ago may be what a run that goes on has made for its next stage.
    """

    roots: frozenset[str] = frozenset()
    hours: float = 0.0

    def __post_init__(self) -> None:
        if not self.hours >= 0:  # of what is no number, nothing is younger
            raise UsageError(
                f"hours={self.hours} must be at least 0", do="24 keeps what a day has made"
            )


def folders_of(workspace: Workspace) -> dict[str, Folder]:
    """Return every artifact of a workspace, finished or not, by fingerprint.

    Raises UsageError for an object store, where no lock says what another machine works at.
    """
    if workspace.mirror is not None:
        raise UsageError(
            "nothing is removed from an object store: no lock tells what other machines work at",
            where=str(workspace.mirror.address),
            do="remove objects below it with the store's own tools when nothing runs; whatever is "
            "missing then is made again",
        )
    return {
        path.name: _looked_at(workspace, path)
        for path in sorted(workspace.root.glob("*/*"))
        if _FINGERPRINT.fullmatch(path.name) and path.parent.name != "tmp" and path.is_dir()
    }


def _looked_at(workspace: Workspace, path: Path) -> Folder:
    named: dict[str, set[str]] = {name: set() for name in _SMALL}
    for name in _SMALL:
        with contextlib.suppress(OSError):  # there is none, or it is no file: it mentions nothing
            said = _MENTIONED.findall(files.read_small(path / name))
            named[name] = {one.decode() for one in said} - {path.name}
    artifact, finished = None, time.time()
    with contextlib.suppress(RankmillError, OSError):  # then it is kept
        artifact = Artifact(path, workspace)
        finished = (path / MANIFEST).stat().st_mtime
    mentions = frozenset[str]().union(*named.values())
    return Folder(path, artifact, frozenset(named[MANIFEST]), mentions, finished)


def reasons(
    workspace: Workspace, held: Mapping[str, Folder], kept: Kept, without: str | None = None
) -> dict[str, str]:
    """Return, by fingerprint, why an artifact is needed; what is not in it is needed by nothing.
    `without`: a name that does not count.

    Raises Corrupt where a name is damaged: what it stood for is not known.
    """
    aliases, strays = workspace.aliases()
    for stray in strays.values():
        if stray.ours:
            raise Corrupt(
                "a name is damaged, so it is not known what it needs",
                where=stray.where,
                do="rankmill repair, or remove that file",
            )
    why = {
        alias.fingerprint: f"its name is {name!r}"
        for name, alias in aliases.items()
        if name != without
    }
    for fingerprint, one in held.items():
        own = _reason(one, kept)
        if own is not None:
            why.setdefault(fingerprint, own)
    new = [fingerprint for fingerprint in why if fingerprint in held]
    while new:
        user = held[new.pop()]
        for fingerprint in user.mentions & held.keys():
            if fingerprint not in why:
                why[fingerprint] = f"{user.said} needs it"
                new.append(fingerprint)
    return why


def _reason(one: Folder, kept: Kept) -> str | None:
    """Say why an artifact stays whatever others need."""
    if one.artifact is None:
        return "it is not finished, or cannot be read"
    if one.artifact.root_hash in kept.roots:
        return "an export was made of it"
    if time.time() - one.finished < kept.hours * 3600:
        return f"it was finished less than {kept.hours:g} hours ago"
    return None


def unneeded(workspace: Workspace, kept: Kept) -> list[Folder]:
    """Return the artifacts that nothing needs, users before what they were made from."""
    workspace.check_there()
    held = folders_of(workspace)
    why = reasons(workspace, held, kept)
    free = {fingerprint: one for fingerprint, one in held.items() if fingerprint not in why}
    ordered: dict[str, Folder] = {}
    for fingerprint in sorted(free):
        _after_what_it_needs(fingerprint, free, ordered, set())
    return list(reversed(ordered.values()))


def _after_what_it_needs(
    fingerprint: str, free: Mapping[str, Folder], ordered: dict[str, Folder], above: set[str]
) -> None:
    if fingerprint in ordered or fingerprint in above:
        return
    for below in sorted(free[fingerprint].mentions & free.keys()):
        _after_what_it_needs(below, free, ordered, above | {fingerprint})
    ordered[fingerprint] = free[fingerprint]


def remove(workspace: Workspace, one: Folder) -> None:
    """Remove an artifact that nothing needs; raises Locked where another process holds it."""
    with files.lock(one.path / "LOCK", make=False):  # it may be gone: another one removes it too
        place = files.make_folder(workspace.root / "tmp" / REMOVED)
        away = place / f"run-{one.fingerprint}.{attempts.own()}"
        files.rename_folder(one.path, away)
        files.remove_tree(away)


def sweep(workspace: Workspace) -> None:
    """Remove what a removal that was killed has left below tmp/."""
    place = workspace.root / "tmp" / REMOVED
    for left in place.glob("run-*"):
        if attempts.is_left(left.name):
            files.remove_tree(left)


def remove_unneeded(workspace: Workspace, kept: Kept) -> Iterator[tuple[Folder, Locked | None]]:
    """Remove what nothing needs, one by one; yield each with the error of one that is held."""
    sweep(workspace)
    held: set[str] = set()  # what those need stays, too
    for one in unneeded(workspace, kept):
        if one.fingerprint in held:
            held |= one.mentions
            continue
        try:
            remove(workspace, one)
        except Locked as error:
            held |= one.mentions
            yield one, error
        else:
            yield one, None


@dataclass(frozen=True, slots=True)
class Named:
    """What removing a name comes to: `folder` goes too, unless something else needs it (`why`)."""

    alias: Path | None
    folder: Folder | None
    why: str | None


def of_name(workspace: Workspace, name: str, kept: Kept) -> Named:
    """Return what removing `name`, an alias or a fingerprint's beginning, comes to.

    Raises BadInput for what is neither, and for a fingerprint that something needs.
    """
    workspace.check_there()
    aliases, held = workspace.names(), folders_of(workspace)
    if name in aliases:
        fingerprint, alias = aliases[name].fingerprint, workspace.root / NAMES / f"{name}.json"
    else:
        fingerprint, alias = workspace.find(name).fingerprint, None
    folder = held.get(fingerprint)
    users = [one for one in held.values() if fingerprint in one.inputs]
    called = {alias.fingerprint: name for name, alias in aliases.items()}
    users.sort(key=lambda one: one.fingerprint not in called)  # a name tells more than digits
    why = None
    if users:
        by_name = called.get(users[0].fingerprint)
        why = f"{users[0].said}{f' ({by_name})' if by_name else ''} was made from it"
    why = why or reasons(workspace, held, kept, name).get(fingerprint)
    if alias is None and why is not None:
        raise BadInput(
            f"{name} is needed: {why}",
            where=None if folder is None else folder.path,
            do="remove first what needs it, or leave it",
        )
    return Named(alias, folder, why)


def remove_named(workspace: Workspace, what: Named) -> None:
    """Take the name away, then remove the artifact if nothing needs it."""
    sweep(workspace)
    if what.alias is not None:
        files.remove_for_good(what.alias)  # before its artifact goes
    if what.folder is not None and what.why is None:
        remove(workspace, what.folder)


def bytes_of(folders: Iterable[Folder]) -> int:
    """Return how many bytes the parts of artifacts take."""
    return sum(one.artifact.bytes for one in folders if one.artifact is not None)


def seconds_of(folders: Collection[Folder]) -> float:
    """Return the processor and accelerator seconds that making artifacts took."""
    told = [one.artifact.cost() for one in folders if one.artifact is not None]
    return sum(float(cost.get(line) or 0.0) for cost in told for line in ("cpu_s", "gpu_s"))
