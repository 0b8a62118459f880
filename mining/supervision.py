"""What the supervisor of actors decides without Ray: threads of each, and whose error it was."""

from __future__ import annotations

from typing import Any

from .errors import RankmillError
from .store.execution import Job
from .store.plan import Shard


def threads_of_each(processors: list[int], workers: int) -> int:
    """Return how many threads each of `workers` actors can have, an actor being on one node."""
    for threads in range(max(processors, default=1), 1, -1):
        if sum(count // threads for count in processors) >= workers:
            return threads
    return 1


def application_error(error: Any, shard: Shard, job: Job) -> Exception:
    """Return the user's error as it was raised; wrap a bug with the shard and the place."""
    cause = error.cause
    if isinstance(cause, RankmillError):
        return cause
    return RankmillError(
        f"{type(cause).__name__}: {cause}",
        where=f"{job.stage.kind} shard {shard.number}, keys {shard.start} to {shard.stop}",
        do="run again with --workers 0 --debug to see the traceback",
    )
