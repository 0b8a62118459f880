"""How making an artifact ends: published, or with a note of what it has cost so far."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import RankmillError
from .. import attempts, files, ledger
from ..artifact import Artifact
from ..sums import sums_beside

if TYPE_CHECKING:
    from ..workspace import Workspace

_NOTE_WITHIN_S = 3.0  # of a run that was stopped


@contextlib.contextmanager
def noting(workspace: Workspace, folder: Path) -> Iterator[None]:
    """Where a run ends before it has published, leave what it cost in the object store."""
    within: float | None = None
    try:
        yield
    except Exception:
        raise
    except BaseException:  # stopped: whoever did that may not wait for long
        within = _NOTE_WITHIN_S
        raise
    finally:
        if workspace.mirror is not None and not (folder / "manifest.json").exists():
            with contextlib.suppress(RankmillError):  # what ended the run is told
                workspace.mirror.making.note(folder, last=True, within=within)


def publish(
    workspace: Workspace,
    folder: Path,
    manifest: bytes,
    ours: Path,
    books: ledger.Books,
    *,
    record_sums: bool = False,
) -> None:
    """Publish an artifact that is whole: its ledger, its manifest; then our attempts go."""
    parts = json.loads(manifest)["parts"]
    stored = sum(p["bytes"] for p in parts)
    ledger.close(folder, books, stored, sums_beside(folder, manifest, parts), record_sums)
    if workspace.mirror is None:
        workspace.put_manifest(folder / "manifest.json", manifest)
    else:
        with workspace.mirror.turn_at(folder):  # else who looks for it just now clears what is here
            workspace.mirror.making.publish(folder, manifest)
            workspace.put_manifest(folder / "manifest.json", manifest)
    others = [run for run in attempts.below(ours.parent) if run != ours]
    files.sweep(ours if others else ours.parent)  # a waiting share may sweep it just now


def check_mirror(workspace: Workspace, inputs: Mapping[str, Artifact]) -> None:
    """Before any work: the object store takes what will be made, the cache what is read."""
    if workspace.mirror is None:
        return
    workspace.mirror.making.check_writable()
    for artifact in inputs.values():
        for part in artifact.parts:
            workspace.mirror.cache.check_fits(part.bytes, f"{artifact.kind} part {part.number}")
