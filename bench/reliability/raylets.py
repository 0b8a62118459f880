"""Ray as a cluster has it: raylets and actors killed at random while a stage runs on them.

A head and three more raylets on this machine, each with a processor of its own but the head. A
killer ends a raylet or an actor by SIGKILL whenever so many more shards are done, and puts another
raylet in the place of one that it ended. A case is one kill. One root hash, that of one process;
and the work that is done again stays small beside the whole.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from reliability.outcome import Form, Result
from store_workers import squares
from strikes import in_child, leftovers

from rankmill.mining.actors import Execution
from rankmill.mining.store import Artifact, Workspace, ledger
from rankmill.mining.store.execution import Commit, Job, Progress, Report, Silent

RAYLETS, SIZE = 3, 4
SHARDS_PER_KILL = 25  # on average; of these one is done again for each raylet or actor killed
SECONDS = 0.05  # of a shard: what a kill costs in shards does not depend on it
MOST_REPEATED = 0.05
STARTS = 4  # of a raylet, until it is given up
_NODE = {"num_cpus": 1, "object_store_memory": 80 * 1024**2}
_SOON = {  # that a node has gone is noticed within seconds
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 2,
}


class _Enough(Exception):
    """All kills have been survived: one process makes the rest."""


class _Done(Silent):
    """Counts shards that are committed, and the attempts that came to nothing."""

    def __init__(self) -> None:
        self.count, self.failures = 0, Counter[str]()
        self.more, self.over, self.enough = threading.Condition(), False, False

    def committed(self) -> None:
        """Count a shard that is committed; ends the stage once there were enough."""
        with self.more:
            self.count += 1
            self.more.notify_all()
            if self.enough:
                raise _Enough

    def failed(self, cause: str) -> None:
        self.failures["lost with its machine" if "its machine" in cause else "died"] += 1

    def finish(self) -> None:
        """Let nobody wait for more."""
        with self.more:
            self.over = True
            self.more.notify_all()

    def reach(self, count: int) -> bool:
        """Wait for so many shards; say whether there will be more."""
        with self.more:
            self.more.wait_for(lambda: self.over or self.count >= count)
            return not self.over


@dataclass(frozen=True, slots=True)
class _Counting:
    """An executor whose every commit is counted."""

    execution: Execution
    done: _Done

    @property
    def progress(self) -> Progress:
        """What counts the attempts that came to nothing."""
        return self.execution.progress

    def execute(self, job: Job, commit: Commit) -> None:
        """Run the shards, and count each that is committed."""

        def counted(report: Report) -> None:
            commit(report)
            self.done.committed()

        self.execution.execute(job, counted)


class _Killer:
    """Kills raylets and actors, at shards drawn by a seed."""

    def __init__(self, cluster: Any, done: _Done, form: Form):
        self.cluster, self.done, self.form = cluster, done, form
        self.draw, self.killed = random.Random(form.seed), Counter[str]()

    def run(self) -> None:
        """Kill until it has been done often enough, or there are no more shards."""
        while self.killed.total() < self.form.count and not self.form.late():
            few, many = SHARDS_PER_KILL // 2, SHARDS_PER_KILL * 3 // 2
            if not self.done.reach(self.done.count + self.draw.randint(few, many)):
                return
            self._kill()

    def _kill(self) -> None:
        node = self.draw.choice(list(self.cluster.worker_nodes))
        raylet = node.all_processes["raylet"][0].process.pid
        actors = [p for p in psutil.Process(raylet).children(recursive=True) if _is_actor(p)]
        if actors and self.draw.random() < 0.5:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.draw.choice(actors).kill()
                self.killed["actors killed"] += 1
            return
        os.kill(raylet, signal.SIGKILL)
        self.killed["raylets killed"] += 1
        self.cluster.remove_node(node, allow_graceful=False)
        _add_node(self.cluster)


def _is_actor(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[:1] == ["ray::ShardActor"] or "ray::ShardActor" in process.name()
    except psutil.Error:
        return False


def _add_node(cluster: Any) -> None:
    """Start one more raylet. Ray gives it half a minute, which a busy machine may not have."""
    for left in reversed(range(STARTS)):
        try:
            cluster.add_node(**_NODE)
            return
        except Exception as error:
            if not left or "timed out during startup" not in str(error):
                raise


@contextlib.contextmanager
def _cluster() -> Iterator[Any]:
    """Start the raylets; they end with the block."""
    import ray
    from ray.cluster_utils import Cluster

    head = _NODE | {"num_cpus": 0, "include_dashboard": False, "_system_config": _SOON}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(RAYLETS):
            _add_node(cluster)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def run(form: Form) -> Result:
    """Run a stage on the cluster until so many kills have been survived."""
    shards = max(form.count * SHARDS_PER_KILL * 2, 4 * SHARDS_PER_KILL)  # some while one starts
    oracle = in_child(lambda: _inline(form.place / "oracle", shards)).told
    trace, done, result = form.place / "trace", _Done(), Result()
    stage = squares(shards * SIZE, SIZE, mischief=f"sleep:{SECONDS}", trace=str(trace))
    workspace = Workspace(form.place / "work")
    with _cluster() as cluster:
        killer = _Killer(cluster, done, form)
        execution = Execution(RAYLETS, cluster.address, done)
        made = _Made(workspace, stage, _Counting(execution, done), done)
        made.start()
        try:
            killer.run()
        finally:
            done.enough = True
            artifact = made.outcome()
    result.cases = killer.killed.total()
    for what, times in killer.killed.items():
        result.inject(what, times)
    result.roots = sorted({oracle, artifact.root_hash})
    if artifact.root_hash != oracle:
        result.wrong.append(f"root hash {artifact.root_hash}, of one process {oracle}")
    result.wrong += [str(fault) for fault in artifact.faults()]
    result.wrong += [f"left behind: {path}" for path in leftovers(workspace.root)]
    _count_repeated(trace, shards, artifact.path, done, result)
    return result


class _Made(threading.Thread):
    """Makes the stage beside the killer, which must be the main thread: only there can Ray start
    raylets."""

    def __init__(self, workspace: Workspace, stage: Any, executor: _Counting, done: _Done):
        super().__init__(daemon=True)
        self.workspace, self.stage, self.executor, self.done = workspace, stage, executor, done
        self.artifact: Artifact | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.artifact = self.workspace.build(self.stage, self.executor)
        except _Enough:
            rest = replace(self.stage, options=self.stage.options | {"mischief": ""})
            self.artifact = self.workspace.build(rest)
        except BaseException as error:
            self.error = error
        finally:
            self.done.finish()

    def outcome(self) -> Artifact:
        """Wait for the end; return what was made, or raise what ended it."""
        self.join()
        if self.artifact is None:
            raise RuntimeError(f"the stage ended with {self.error}") from self.error
        return self.artifact


def _inline(root: Path, shards: int) -> str:
    return Workspace(root).build(squares(shards * SIZE, SIZE)).root_hash


def _count_repeated(trace: Path, shards: int, folder: Path, done: _Done, result: Result) -> None:
    """Count what was done again: all shards are equally much work."""
    started = Counter(trace.read_text().split())
    again = started.total() - shards
    share = again / done.count
    if len(started) != shards:
        result.wrong.append(f"{len(started)} of {shards} shards were begun")
    if share > MOST_REPEATED:
        result.wrong.append(f"{share:.1%} of the work was done again, not {MOST_REPEATED:.0%}")
    result.figures |= {
        "shards": shards,
        "of them on the cluster": done.count,
        "shards begun again": again,
        "repeated work": round(share, 4),
        "attempts that failed": dict(done.failures),
        "tries used up at most": max(
            line["attempt"] for line in ledger._attempts(folder) if line["shard"] >= 0
        ),
    }
    result.notes.append(
        f"a shard that was begun again counts whole; a kill repeats at most the shard that ran, so "
        f"the share is the number of kills beside that of shards: one in "
        f"{done.count / max(result.cases, 1):.0f} here, one in 20 is what 5 % needs. When the last "
        "kill has been survived, the command is stopped, and one process makes the rest"
    )
