"""The process that computes shards: the same `run_shard` as the inline executor."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from .. import devices
from ..meter import Cost, imports, measuring
from ..meter.underway import listening
from ..store.execution import Report, run_shard
from ..store.objects.reach import Reach
from ..store.plan import Shard, Worker
from ..store.together import visible
from ..store.together.patience import patiently
from .ears import mouth
from .nodes import Where, this_node


class ShardActor:
    """Holds one worker at a time; computes shards by the `run_shard` of the inline executor."""

    def __init__(self, threads: int):
        os.environ["NUMBA_NUM_THREADS"] = str(threads)  # read when numba is first imported
        self.job = -1
        self.worker: Worker | None = None
        self.engine = devices.Engine()
        self.reach: Reach | None = None
        self.told = False  # what starting the process took
        imports.watch()

    def ready(self) -> Where:
        """Return where the actor is, so that the supervisor knows that it is up."""
        return Where(this_node(), os.getpid())

    def rest(self) -> None:
        """Let go of the worker and what it holds open."""
        self.job, self.worker = -1, None

    def prepare(
        self,
        job: int,
        make_worker: Any,
        options: Mapping[str, Any],
        engine: devices.Engine,
        proof: visible.Proof | Reach | None,
    ) -> Cost:
        """Make the worker of a job, which may load a model; returns what that took.

        `proof`: that this machine sees the workspace, where it may be another than the driver's.
        Of an object store it also says where attempts go.

        `engine`: where and how its models run, as in the process that asked. The first job also
        pays for the start of the process and what it imports.
        """
        self.rest()  # before the next model is loaded
        if proof is not None:
            proof.answer(this_node())
        self.reach = proof if isinstance(proof, Reach) else None
        before = time.process_time()
        self.engine = engine
        with _ended_by_damage(), devices.using(engine), measuring() as cost:
            self.worker = cast(Worker, make_worker(**options))
        if not self.told:
            cost.start_s, self.told = cost.start_s + before, True
        self.job = job
        return cost

    def run(self, job: int, shard: Shard, schema: Any, path: str, gpus: int) -> Report:
        """Compute one shard of the job that this actor was prepared for into `path`."""
        worker = self.worker
        assert worker is not None
        assert job == self.job
        with _ended_by_damage(), devices.using(self.engine), listening(mouth(path)):
            return run_shard(
                lambda shard: patiently(partial(worker, shard)),
                shard,
                schema,
                Path(path),
                gpus,
                None if self.reach is None else self.reach.attempt,
            )


@contextlib.contextmanager
def _ended_by_damage() -> Iterator[None]:
    """End an actor whose device is of no more use; the supervisor starts a fresh process."""
    try:
        yield
    except RuntimeError as error:
        if devices.damaged(error):
            os._exit(devices.DAMAGED)
        raise
