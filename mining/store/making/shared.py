"""An artifact of which several processes make their shares; what is in one piece is the first's."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from ...errors import Incomplete, Locked
from .. import ledger
from ..artifact import Artifact
from ..execution import Executor
from ..plan import Stage
from ..together import shares
from .ending import noting
from .parts import make_parts

if TYPE_CHECKING:
    from ..workspace import Workspace

_LOOK_S = 1.0  # between two looks for the parts of other shares
_LOOK_AFAR_S = 5.0  # in an object store, where each look is some requests
_HURRY_S = 30.0  # for the last share to let go of what is complete


def make_share(
    workspace: Workspace, stage: Stage, fingerprint: str, executor: Executor, share: shares.Share
) -> None:
    """Make the parts of a share. Where a run holds the whole artifact, it may be another share
    that puts all together; else it is waited for, or Locked raised."""
    waiting = shares.Waiting(share)
    while not workspace.has(stage.kind, fingerprint):
        try:
            folder = workspace.folder(stage.kind, fingerprint)
            with noting(workspace, folder), ledger.keeping() as books:
                make_parts(workspace, stage, fingerprint, executor, books, share)
            return
        except Locked:
            missing = set(missing_parts(workspace, stage))
            if not any(share.takes(s) for s in stage.shards() if s.number in missing):
                return
            if not share.wait:
                raise
        waiting.look(f"{stage.kind}, which another run holds", _look_s(workspace))


def after_share(workspace: Workspace, stage: Stage, share: shares.Share) -> Artifact:
    """Return the artifact once the parts of all shares are there: one of them publishes it.

    Raises Elsewhere where some are missing and are not waited for.
    """
    waiting = shares.Waiting(share)
    folder, until = workspace.folder(stage.kind, stage.fingerprint), time.monotonic() + _HURRY_S
    while not workspace.has(stage.kind, stage.fingerprint):
        missing = missing_parts(workspace, stage)
        if missing and not share.wait:
            some = (
                "1 part of another share is"
                if len(missing) == 1
                else (f"{len(missing)} parts of other shares are")
            )
            raise shares.Elsewhere(
                f"share {share.index} of {share.count} of {stage.kind} is made; {some} missing",
                where=folder,
                do="when they have ended, run the same command again; with --merge to see "
                "that nothing is left to make",
            )
        if not missing:
            with contextlib.suppress(Locked), shares.using(shares.MERGE):
                return workspace.build(stage)
            if not share.wait and time.monotonic() > until:
                raise shares.Elsewhere(
                    f"all parts of {stage.kind} are there, and another run holds them",
                    where=folder,
                    do="run the same command again",
                )
        waiting.look(f"parts of {stage.kind}: {shares.numbers(missing)}", _look_s(workspace))
    return workspace.open_made(stage.kind, stage.fingerprint)


def missing_parts(workspace: Workspace, stage: Stage) -> list[int]:
    """Return the numbers of the parts that have no record."""
    folder = workspace.folder(stage.kind, stage.fingerprint)
    if workspace.mirror is not None:
        workspace.mirror.making.adopt(folder)
    return [s.number for s in stage.shards() if not (folder / f"part-{s.number:05d}.json").exists()]


def await_first_share(workspace: Workspace, kind: str, fingerprint: str) -> None:
    """What is made in one piece is the first share's: others wait for it, or end."""
    share = shares.current()
    if share is not None and share.merges and not workspace.has(kind, fingerprint):
        raise Incomplete(
            f"{kind} is missing",
            where=workspace.folder(kind, fingerprint),
            do="it is made in one piece, by --shard 0/N, or by the command without --merge",
        )
    if share is None or share.index == 0:
        return
    waiting = shares.Waiting(share)
    while not workspace.has(kind, fingerprint):
        if not share.wait:
            raise shares.Elsewhere(
                f"{kind} is made in one piece, by share 0 of {share.count}",
                where=workspace.folder(kind, fingerprint),
                do="when it has ended, run the same command again",
            )
        waiting.look(f"{kind}, which share 0 makes in one piece", _look_s(workspace))


def _look_s(workspace: Workspace) -> float:
    return _LOOK_S if workspace.mirror is None else _LOOK_AFAR_S
