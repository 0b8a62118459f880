"""An artifact of arbitrary files, such as a checkpoint, made in one piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...meter import measuring
from .. import files, ledger
from ..artifact import Artifact
from ..declared import check_declared
from ..manifest import canonical_json, fingerprint_of
from ..objects.mirror import Stored
from ..parts.records import Frame, manifest_of, record_for
from .ending import check_mirror, noting, publish
from .leftovers import fresh_attempts, sweep
from .shared import await_first_share

if TYPE_CHECKING:
    from ..workspace import Workspace


def make_files(
    workspace: Workspace,
    kind: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Artifact],
    write: Callable[[Path, Path], Mapping[str, Any] | None],
    metadata: Mapping[str, str] | None = None,
    algorithm: int = 1,
) -> Artifact:
    """Return what `Workspace.build_folder` returns, made if need be."""
    fingerprint = fingerprint_of(kind, parameters, inputs, algorithm)
    frame = Frame(parameters, inputs, algorithm)
    check_declared(kind, fingerprint, frame, metadata or {})
    if workspace.has(kind, fingerprint):
        sweep(workspace, kind, fingerprint)
        return workspace.open(kind, fingerprint)
    folder = workspace.folder(kind, fingerprint)
    await_first_share(workspace, kind, fingerprint)
    with (
        noting(workspace, folder),
        ledger.keeping() as books,
        files.lock(folder / "LOCK"),
    ):
        if workspace.has(kind, fingerprint):
            return workspace.open(kind, fingerprint)
        check_mirror(workspace, inputs)
        books.folder = folder
        ledger.note_request(folder)
        ledger.note_models(folder, canonical_json(parameters).decode())
        attempt = fresh_attempts(workspace, kind, fingerprint)
        scratch = files.make_folder(attempt.parent / "scratch")
        with measuring() as cost:
            usage = write(attempt, scratch)
        ledger.note(folder, 0, 1, ledger.with_usage(cost, usage or {}))
        parts = []
        for number, (name, facts) in enumerate(files.sync_tree(attempt).items()):
            files.make_folder((folder / name).parent)
            files.publish(attempt / name, folder / name)
            parts.append(record_for(number, name, "", facts, fingerprint, {}, {}))
        if workspace.mirror is not None:
            workspace.mirror.parts.send(folder, [Stored.of(part) for part in parts])
        manifest = manifest_of(kind, fingerprint, frame, metadata or {}, parts)
        publish(workspace, folder, manifest, attempt, books)
    return workspace.open(kind, fingerprint)
