"""Students of several cells side by side on Ray: training and evaluation of one are one unit.

An actor makes the artifacts in the shared workspace itself; what comes back is that they are there.
The process that asked then finds them, so results are the same bytes as one after the other. That
holds because the number of threads of a training step, which is part of a student, is settled by
the process that asks.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from rankmill.mining.actors import INLINE, Execution
from rankmill.mining.devices import Engine, check_engine
from rankmill.mining.inputs.given_paths import path_given
from rankmill.mining.processors import processors
from rankmill.mining.store import Output, Shard, Stage, Workspace
from rankmill.mining.store.execution import Job, Report
from rankmill.mining.store.ledger import spent
from rankmill.mining.store.scratch import own_folder
from rankmill.study.grid.design import Cell, Study, study_of
from rankmill.study.grid.steps import Track, patiently
from rankmill.study.run import Opened

SCHEMA = pa.schema([("cell", pa.uint32())])
CHARGED = "charged_cpu_s"


def train_side_by_side(
    study: Study,
    workspace: Workspace,
    executor: Execution,
    students: Sequence[tuple[Cell, int]],
) -> None:
    """Train and judge students, several at a time: each a cell and the place of its seed, in the
    order in which they are begun."""
    shards = [Shard(number, number, number + 1) for number in range(len(students))]
    options = study.variants[0].recipe.options
    train, judged = options["train"], options["evaluate"]
    devices = [Engine(device=each["device"]) for each in (train, judged)]
    for one in devices:
        check_engine(one, executor.workers)
    on_gpu = devices[0].place != "cpu"
    stage = Stage(
        kind="cell",
        parameters={},
        inputs={},
        schema=SCHEMA,
        shards=lambda: shards,
        worker=CellWorker,
        options={
            "written": study.written,
            "where": study.where,
            "folder": os.getcwd(),
            "workspace": str(workspace.root),
            "students": [(cell.number, place) for cell, place in students],
            "threads": None if on_gpu else processors(),
        },
        gpus=int(any(one.place != "cpu" for one in devices)),
        unit="students",
        timed=False,
    )
    if not on_gpu and executor.workers > 1 and train["threads"] is None:
        executor.progress.announce(
            f"{executor.workers} students at a time, {processors()} threads each: "
            "train.threads = 1 lets each have a processor of its own, and is another student"
        )
    with own_folder(workspace.root / "tmp", "study") as folder:
        executor.execute(Job(stage, shards, 0, folder, folder), _charge)


def _charge(report: Report) -> None:
    """Count what another process charged to artifacts that it made: they are in the workspace, and
    nothing else of a report is kept."""
    if report.cost.pid not in (0, os.getpid()):
        spent.elsewhere_cpu_s += report.cost.usage[CHARGED]


class CellWorker:
    """Trains and judges students of a study, in an actor."""

    def __init__(
        self,
        written: Mapping[str, Any],
        where: str,
        folder: str,
        workspace: str,
        students: Sequence[tuple[int, int]],
        threads: int | None,
    ):
        study = study_of(written, where)
        self.study = study if threads is None else study.with_threads(threads)
        self.workspace, self.folder = Workspace(workspace), path_given(folder)
        self.students = students
        self.opened: Opened = {}
        self.tracks: dict[int, Track] = {}

    def __call__(self, shard: Shard) -> Output:
        """Make, or find, one student; waits for what another one is making."""
        number, place = self.students[shard.start]
        cell, before = self.study.cells[number], spent.all_cpu_s
        with contextlib.chdir(self.folder):  # paths of the recipe are seen from there
            if cell.variant not in self.tracks:
                variant = self.study.variants[cell.variant]
                track = Track(variant, self.workspace, INLINE, self.opened)
                patiently(lambda: track.prepare(self.study.of_variant(cell.variant)))
                self.tracks[cell.variant] = track
            patiently(lambda: self.tracks[cell.variant].one(cell, place))
        made = pa.table({"cell": [cell.number]}, schema=SCHEMA)
        return Output(made, usage={CHARGED: spent.all_cpu_s - before})
