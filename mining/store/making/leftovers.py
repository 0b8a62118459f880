"""Attempts at an artifact: where they stand, and what goes of those that were left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import attempts, files
from ..together import shares

if TYPE_CHECKING:
    from ..workspace import Workspace


def attempts_of(workspace: Workspace, fingerprint: str) -> Path:
    """Return the folder of all attempts at an artifact."""
    return workspace.root / "tmp" / fingerprint


def fresh_attempts(
    workspace: Workspace, kind: str, fingerprint: str, share: shares.Share | None = None
) -> Path:
    """Remove attempts of runs of this host that have ended, and make a folder for ours.

    Without a `share` we hold the lock alone, but another host may not see it: what it has begun
    stays.
    """
    files.sweep_left(workspace.folder(kind, fingerprint))
    place = attempts_of(workspace, fingerprint)
    over = attempts.is_over if share is None else attempts.is_left
    for old in attempts.below(place):
        if over(old.name):
            files.sweep(old)  # another share may be at it, too
    return files.make_folder(place / f"run-{attempts.own()}")


def sweep(workspace: Workspace, kind: str, fingerprint: str) -> None:
    """Remove what runs of this host that have ended left of a finished artifact."""
    files.sweep_left(workspace.folder(kind, fingerprint))
    place = attempts_of(workspace, fingerprint)
    runs = attempts.below(place)
    left = [run for run in runs if attempts.is_over(run.name)]
    for one in left if len(left) < len(runs) else [place]:
        files.sweep(one)
