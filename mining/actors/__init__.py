"""The only folder that knows Ray: runs a plan on bare actors under a small supervisor.

`Execution()` runs in this process; `Execution(workers=N)` on N Ray actors; the bytes are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import UsageError
from ..store.execution import Commit, Inline, Job, Progress, Silent
from .connection import cluster, connected
from .handlers import signals_after
from .supervisor import Supervisor

__all__ = ["INLINE", "Execution", "cluster"]

MOST_WORKERS = 100_000


@dataclass(frozen=True, slots=True)
class Execution:
    """How to run stages: `workers=0` inline, `workers=N` on Ray actors, `ray_address` on that
    cluster.

    Outside a `cluster` block the first call with workers starts a private local cluster, which
    stays for the calls that follow and ends with the process, or with a `cluster` block; actors
    wait there for more work. A cluster that the caller has joined, or that stands at `ray_address`,
    keeps nothing of ours after a call. None of this can change a result, so none of it enters a
    fingerprint.
    """

    workers: int = 0
    ray_address: str | None = None
    progress: Progress = field(default_factory=Silent, repr=False)

    def __post_init__(self) -> None:
        if type(self.workers) is not int or self.workers > MOST_WORKERS:
            raise UsageError(
                f"workers={self.workers!r} is no number of workers",
                do=f"0 means inline, N means N actors, {MOST_WORKERS:,} at most",
            )
        if not isinstance(self.ray_address, str | None):
            raise UsageError(
                f"ray_address={self.ray_address!r} is no address", do="write host:port, or auto"
            )
        if not hasattr(self.progress, "announce"):
            raise UsageError(
                f"progress={self.progress!r} shows no progress",
                do="leave it out; a verb has progress=True",
            )
        if self.workers < 0:
            raise UsageError(
                f"workers={self.workers} is negative", do="0 means inline, N means N actors"
            )

    def execute(self, job: Job, commit: Commit) -> None:
        """Run every pending shard of the job and commit each result."""
        if self.workers == 0 and self.ray_address is None:
            Inline(self.progress).execute(job, commit)
            return
        workers = max(self.workers, 1)
        with connected(workers, self.ray_address, keep=True) as ray:
            with signals_after():  # it asks the cluster, in compiled code
                supervisor = Supervisor(ray, job, workers, commit, self.progress)
            supervisor.run()


INLINE = Execution()
