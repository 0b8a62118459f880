"""An artifact of parts: those that have no record are made, then all are published."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import BadPair
from ...meter import Cost, measuring
from ...meter.underway import Underway
from .. import files, ledger
from ..artifact import Artifact
from ..execution import Executor, Job, Report, shown
from ..manifest import canonical_json
from ..parts.quarantine import check_allowance, check_something_made, quarantined
from ..parts.records import (
    Holds,
    are_summed,
    commit_part,
    finished_records,
    is_intact,
    manifest_of,
)
from ..parts.titles import title_of
from ..plan import Stage
from ..together import shares
from .bad_pairs import named
from .ending import check_mirror, publish
from .leftovers import fresh_attempts

if TYPE_CHECKING:
    from ..workspace import Workspace


def make_parts(
    workspace: Workspace,
    stage: Stage,
    fingerprint: str,
    executor: Executor,
    books: ledger.Books,
    share: shares.Share | None,
) -> Artifact | None:
    """Make what is missing and publish all; a `share` makes its own parts, and returns None."""
    folder = workspace.folder(stage.kind, fingerprint)
    with measuring() as checking:
        check_mirror(workspace, stage.inputs)
        _check_input(workspace, stage, executor)
    partly = share is not None and not share.merges
    with files.lock(folder / "LOCK", shared=partly):
        if workspace.has(stage.kind, fingerprint):
            return workspace.open_made(stage.kind, fingerprint)
        _begin(books, folder, stage, checking)
        plan = list(stage.shards())
        place = fresh_attempts(workspace, stage.kind, fingerprint, share if partly else None)
        records = finished_records(folder, plan, fingerprint, _holds(workspace, folder))
        held: list[Report] = []  # parts with quarantined queries, until all are known

        def commit(report: Report) -> None:
            if quarantined(stage, report):
                held.append(report)
            else:
                number = report.shard.number
                records[number] = commit_part(folder, stage, fingerprint, report, workspace.mirror)

        job = Job(
            stage=stage,
            pending=shares.pending(share, plan, records, folder),
            done=len(records),
            attempts=place,
            folder=folder,
            title=title_of(stage, workspace),
        )
        if job.pending:
            try:
                executor.execute(job, commit)
            except BadPair as error:
                raise named(error, stage.inputs) from error
        if partly:
            files.sweep(place)
            shares.refuse_held(held, folder)
            return None
        check_allowance(stage, held, folder)
        for report in held:
            number = report.shard.number
            records[number] = commit_part(folder, stage, fingerprint, report, workspace.mirror)
        parts = [records[s.number] for s in plan]
        manifest = manifest_of(stage.kind, fingerprint, stage, stage.metadata, parts)
        check_something_made(json.loads(manifest), folder)
        publish(workspace, folder, manifest, place, books, record_sums=are_summed(parts))
    return workspace.open(stage.kind, fingerprint)


def _begin(books: ledger.Books, folder: Path, stage: Stage, checking: Cost) -> None:
    """Note what is asked for, and what the look at input from outside took."""
    books.folder = folder
    ledger.note_request(folder)
    ledger.note_models(folder, canonical_json(stage.parameters).decode())
    if stage.check is not None:
        ledger.note(folder, ledger.OUTSIDE, 1, checking)


def _check_input(workspace: Workspace, stage: Stage, executor: Executor) -> None:
    """Look at input from outside, which may be read from its beginning to its end."""
    if stage.check is not None:
        title = f"{title_of(stage, workspace)}, looking at its input"
        with shown(executor.progress, Underway(stage.kind, title, "", count=0, work=0)):
            stage.check()


def _holds(workspace: Workspace, folder: Path) -> Holds:
    """Return what says whether the data of a record are whole: here, or in the store."""
    if workspace.mirror is None:
        return partial(is_intact, folder)
    workspace.mirror.making.adopt(folder)
    sizes = workspace.mirror.making.sizes(folder)
    return lambda record: sizes.get(f"{record['file']}.{record['sha256']}") == record["bytes"]
