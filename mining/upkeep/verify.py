"""Verify a workspace, or some artifacts with all that they were made from: every fault, never only
the first, whatever the files hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import Corrupt, OtherFormat, RankmillError
from ..store import Artifact, Workspace, files
from ..store.aliases import NAMES, Stray
from ..store.manifest import MANIFEST, NotFinished


@dataclass(frozen=True, slots=True)
class Checked:
    """A folder of the workspace that was read whole, and what is wrong in it.

    `artifact`: None where its manifest cannot be read. `named`: it was asked for itself, not for
    what was made from it.
    """

    path: Path
    artifact: Artifact | None
    faults: tuple[Corrupt, ...]
    named: bool = False


def verify_artifacts(workspace: Workspace, asked: Iterable[str]) -> Iterator[Checked]:
    """Verify artifacts by name, each after what it was made from and each once."""
    known: dict[Path, None] = {}
    named: set[Path] = set()
    for name in asked:
        try:
            one = workspace.find(name)
            _visit(one, known)
            named.add(one.path)
        except Corrupt as error:  # of this one alone: the others are read all the same
            yield Checked(Path(error.where or workspace.root), None, (error,))
    for path in known:
        yield replace(verify_folder(workspace, path), named=path in named)


def _visit(artifact: Artifact, known: dict[Path, None]) -> None:
    for said in artifact.manifest["inputs"].values():
        path = artifact.workspace.folder(said["kind"], said["fingerprint"])
        if path in known:
            continue
        try:
            _visit(artifact.workspace.open(said["kind"], said["fingerprint"]), known)
        except RankmillError:
            if (path / MANIFEST).exists():
                known.setdefault(path)  # its own faults are told; that it is gone tells its user
    known.setdefault(artifact.path)


def verify_workspace(workspace: Workspace) -> Iterator[Checked]:
    """Verify every artifact and every name of a workspace."""
    workspace.check_there()
    yield from verify_folders(workspace)
    yield from verify_names(workspace)


def verify_folders(workspace: Workspace) -> Iterator[Checked]:
    """Verify every artifact of a workspace.

    Those of another format version are passed over, and so are folders that are not ours, or not
    finished.
    """
    for manifest in workspace.manifests():
        checked = verify_folder(workspace, manifest.parent)
        foreign = checked.artifact is None and not _is_ours(checked)
        if not foreign and not _passed_over(checked):
            yield checked


def verify_folder(workspace: Workspace, path: Path) -> Checked:
    """Verify the artifact in one folder."""
    if files.is_torn(path / MANIFEST):  # it counts as absent: the command that makes it resumes
        return Checked(path, None, ())
    try:
        artifact = Artifact(path, workspace)
    except OSError as error:
        return Checked(path, None, (Stray(path / MANIFEST, error, ours=True),))
    except OtherFormat:
        return Checked(path, None, ())
    except Corrupt as error:
        return Checked(path, None, (error,))
    except NotFinished:  # removed since it was listed, or listed still by a store that lags
        return Checked(path, None, ())
    return Checked(path, artifact, tuple(artifact.faults()))


def _passed_over(checked: Checked) -> bool:
    """Whether a folder holds no finished artifact that this version reads."""
    return checked.artifact is None and not checked.faults


def _is_ours(checked: Checked) -> bool:
    name = checked.path.name
    return len(name) == 40 and not name.strip("0123456789abcdef")


def verify_names(workspace: Workspace) -> Iterator[Checked]:
    """Compare every name with what it stands for; a foreign file among them is no fault."""
    folder = workspace.root / NAMES
    if folder.exists() and not folder.is_dir():
        none = Corrupt(
            "this is no folder: nothing can be given a name",
            where=folder,
            do="remove it, and give the names anew",
        )
        yield Checked(folder, None, (none,))
        return
    if folder.is_symlink():
        outside = Corrupt(
            f"the names stand outside the workspace: this is a link to {folder.readlink()}",
            where=folder,
            do="replace the link by a folder with the files that it leads to",
        )
        yield Checked(folder, None, (outside,))
    aliases, _ = workspace.aliases()
    for name, alias in aliases.items():
        path = folder / f"{name}.json"
        try:
            workspace.open_named(name, alias)
        except Corrupt as error:
            if error.where == str(path):  # a fault of the artifact is told with the artifact
                yield Checked(path, None, (error,))
        except OtherFormat:
            continue
        except (RankmillError, OSError) as error:
            gone = Corrupt(
                f"the name {name!r} stands for {alias.kind} {alias.fingerprint[:12]}, which cannot "
                f"be opened: {getattr(error, 'what', error)}",
                where=path,
                do="make it again under this name, or remove the file",
            )
            yield Checked(path, None, (gone,))


def stray_files(workspace: Workspace) -> list[Stray]:
    """Return the files among the names that are none, ours and others'."""
    return list(workspace.aliases()[1].values())
