"""Computing parts of a finished artifact once more, aside: the plan and the workers are functions
of the inputs alone, so a part that comes out with other bytes is damaged, or was made otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import Corrupt, RankmillError
from ..store import Artifact, Stage, files
from ..store.execution import Executor, Inline, Job, Report
from ..store.scratch import own_folder
from ..store.workspace import FoundOnly

Replay = Callable[[Mapping[str, Any], FoundOnly], object]
"""replay(request, workspace): perform a request, as the ledger recorded it, in a workspace"""


class NotRedone(RankmillError):
    """A part cannot be computed again, for a reason that is no damage."""


class Redone(FoundOnly):
    """The same workspace, in which nothing is made but parts of one artifact, in a scratch folder
    that goes with the block.

    `reports`: what came out, by part, once the stage of that artifact was asked for.
    """

    def __init__(self, artifact: Artifact, numbers: Sequence[int]):
        super().__init__(artifact.workspace.root)
        self.wanted, self.numbers = artifact, sorted(set(numbers))
        self.reports: dict[int, Report] = {}
        self.stage: Stage | None = None
        self._open = ExitStack()

    def __enter__(self) -> Redone:
        self.scratch = self._open.enter_context(own_folder(self.root / "tmp", "redo"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def build(self, stage: Stage, executor: Executor | None = None) -> Artifact:
        """Return what is there; raises NotThere. Of the wanted artifact, compute the parts."""
        if stage.fingerprint == self.wanted.fingerprint and self.stage is None:
            self.stage = stage
            self._compute(stage)
            return self.wanted
        return super().build(stage, executor)

    def _compute(self, stage: Stage) -> None:
        if stage.check is not None:
            self._open.callback(files.sweep, self.root / "tmp" / stage.fingerprint)
            stage.check()  # it may sort what workers then read
        plan = {shard.number: shard for shard in stage.shards()}
        if len(plan) != len(self.wanted.parts):
            raise NotRedone(
                f"this machine cuts {stage.kind} into {len(plan)} parts, it has "
                f"{len(self.wanted.parts)}",
                where=self.wanted.path,
                do="this is another version of rankmill, or an input is damaged: verify those",
            )
        job = Job(
            stage=stage,
            pending=[plan[number] for number in self.numbers],
            done=len(plan) - len(self.numbers),
            attempts=self.scratch,
            folder=self.scratch,
        )
        Inline().execute(job, lambda report: self.reports.update({report.shard.number: report}))


def redo(artifact: Artifact, numbers: Sequence[int], replay: Replay, into: Redone) -> Path:
    """Compute parts of an artifact into the scratch folder of `into`, which is returned.

    Raises NotRedone where that cannot be done: the ledger does not say by which request it was
    made, what that reads is gone, or an artifact is a folder of files.
    """
    request = artifact.cost().get("request")
    again = "run the command that made it: it finds the rest done"
    if not artifact.manifest["schema"]:
        raise NotRedone(
            f"{artifact.kind} is a folder of files: its parts are not computed one by one",
            where=artifact.path,
            do=f"delete {artifact.path} and run the command that made it",
        )
    if not isinstance(request, dict):
        raise NotRedone(
            "its ledger does not say by which command it was made", where=artifact.path, do=again
        )
    try:
        replay(request, into)
    except NotRedone:
        raise
    except (RankmillError, OSError) as error:
        raise NotRedone(
            f"it cannot be computed again: {getattr(error, 'what', error)}",
            where=getattr(error, "where", None) or artifact.path,
            do=again,
        ) from error
    if into.stage is None:
        raise NotRedone(
            "the request that its ledger names makes something else now: a model or a file that "
            "it reads has changed",
            where=artifact.path,
            do=again,
        )
    return into.scratch


def faults_of_rows(
    artifact: Artifact, replay: Replay, draw: Callable[[int], int]
) -> tuple[list[Corrupt], str]:
    """Compute one drawn part of an artifact again; returns what differs, and why it could not be
    done, if it could not. `draw(n)`: a number below n."""
    if not artifact.parts:
        return [], ""
    number = draw(len(artifact.parts))
    part = artifact.parts[number]
    try:
        with Redone(artifact, [number]) as into:
            redo(artifact, [number], replay, into)
            made = into.reports[number].facts
    except NotRedone as error:
        return [], error.what
    if made.sha256 == part.sha256:
        return [], ""
    made_on = artifact.cost().get("processor", "another processor")
    return [
        Corrupt(
            f"part {number} of {artifact.kind}, computed again, has the SHA-256 "
            f"{made.sha256[:12]}, recorded {part.sha256[:12]}",
            where=artifact.path / part.file,
            do="its rows do not follow from its inputs, or it was made by another version of "
            f"rankmill, or with a model on another processor (it was made on {made_on})",
        )
    ], ""
