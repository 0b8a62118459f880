"""Computing parts of a finished artifact once more, aside: the plan and the workers are functions
of the inputs alone, so a part that comes out with other bytes is damaged, or was made otherwise.
A folder of files (an index, a student) is computed whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from ..errors import Corrupt, RankmillError
from ..store import Artifact, Stage, files, ledger
from ..store.execution import Executor, Inline, Job, Report
from ..store.manifest import fingerprint_of
from ..store.scratch import own_folder
from ..store.workspace import FoundOnly

Replay = Callable[[Mapping[str, Any], FoundOnly], object]
"""replay(request, workspace): perform a request, as the ledger recorded it, in a workspace"""


SCRATCH = "redo"  # how folders below tmp/ begin in which parts are computed again


class NotRedone(RankmillError):
    """A part cannot be computed again, for a reason that is no damage."""


class Made(NamedTuple):
    """A file that was computed again; `report`: of a stage's part, None of a folder's file."""

    path: Path
    facts: files.Facts
    report: Report | None = None


class Redone(FoundOnly):
    """The same workspace, in which nothing is made but parts of one artifact, in a scratch folder
    that goes with the block.

    `made`: what came out, by the name of the file, once that artifact was asked for (`begun`) and
    is computed (`ended`).
    """

    def __init__(self, artifact: Artifact, numbers: Sequence[int]):
        super().__init__(artifact.workspace.root)
        self.wanted, self.numbers = artifact, sorted(set(numbers))
        self.made: dict[str, Made] = {}
        self.begun = self.ended = False
        self._open = ExitStack()

    def __enter__(self) -> Redone:
        self.scratch = self._open.enter_context(own_folder(self.root / "tmp", SCRATCH))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def has(self, kind: str, fingerprint: str) -> bool:
        """Say whether an artifact is finished; the wanted one is not, until it was computed."""
        wanted = fingerprint == self.wanted.fingerprint
        return (self.begun or not wanted) and super().has(kind, fingerprint)

    def artifacts(self, kind: str | None = None) -> Iterator[Artifact]:
        """Yield what is finished: the wanted one is not, so that no stage takes from it what is to
        be computed, as scores take known pairs from scores."""
        for artifact in super().artifacts(kind):
            if self.begun or artifact.fingerprint != self.wanted.fingerprint:
                yield artifact

    def beside(self, kind: str, fingerprint: str) -> Path:
        """Return a place that goes with the block: what stands beside is not of the parts."""
        return files.make_folder(self.scratch / "stands-beside")

    def build(self, stage: Stage, executor: Executor | None = None) -> Artifact:
        """Return what is there; raises NotThere. Of the wanted artifact, compute the parts."""
        if stage.fingerprint == self.wanted.fingerprint and not self.begun:
            self.begun = True
            self._compute(stage)
            return self.wanted
        return super().build(stage, executor)

    def build_folder(
        self,
        kind: str,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, Artifact],
        write: Callable[[Path, Path], Mapping[str, Any] | None],
        metadata: Mapping[str, str] | None = None,
        algorithm: int = 1,
    ) -> Artifact:
        """Return what is there; raises NotThere. Of the wanted artifact, compute the files."""
        fingerprint = fingerprint_of(kind, parameters, inputs, algorithm)
        if fingerprint != self.wanted.fingerprint or self.begun:
            return super().build_folder(kind, parameters, inputs, write, metadata, algorithm)
        self.begun = True
        attempt = files.make_folder(self.scratch / "files")
        write(attempt, files.make_folder(self.scratch / "beside"))
        for name, facts in files.sync_tree(attempt).items():
            self.made[name] = Made(attempt / name, facts)
        self.ended = True
        return self.wanted

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
        Inline().execute(job, self._keep)
        self.ended = True

    def _keep(self, report: Report) -> None:
        name = self.wanted.parts[report.shard.number].file
        self.made[name] = Made(report.path, report.facts, report)


def redo(artifact: Artifact, replay: Replay, into: Redone) -> Path:
    """Compute the parts that `into` is for into its scratch folder, which is returned.

    Raises NotRedone where that cannot be done: the ledger does not say by which request it was
    made, what that reads is gone, or it holds what a server said once.
    """
    request = ledger.request_of(artifact.path)
    again = "run the command that made it: it finds the rest done"
    if artifact.kind == "endpoint":
        raise NotRedone(
            "it holds what a server said when it was first asked",
            where=artifact.path,
            do=f"delete {artifact.path}, and ask the server again",
        )
    if request is None:
        raise NotRedone(
            "its ledger does not say by which command it was made", where=artifact.path, do=again
        )
    try:
        replay(request, into)
    except NotRedone:
        raise
    except (RankmillError, OSError) as error:
        if not into.ended:  # else a later stage of the request met the damage that brought us here
            raise NotRedone(
                f"it cannot be computed again: {getattr(error, 'what', error)}",
                where=getattr(error, "where", None) or artifact.path,
                do=again,
            ) from error
    if not into.begun:
        raise NotRedone(
            "the request that its ledger names makes something else now: a model or a file that "
            "it reads has changed",
            where=artifact.path,
            do=again,
        )
    return into.scratch


def faults_of_rows(
    artifact: Artifact, replay: Replay, draw: Callable[[int], int], *, train: bool = True
) -> tuple[list[Corrupt], str]:
    """Compute one drawn part of an artifact again, of a folder of files all; returns what differs,
    and why it could not be done, if it could not.

    `draw(n)`: a number below n. `train`: do so too where that takes as long as training did.
    """
    if not artifact.parts:
        return [], ""
    if artifact.kind == "student" and not train:
        return [], "that is to train it again: name it to have it done"
    numbers = range(len(artifact.parts))
    if artifact.manifest["schema"]:
        numbers = range((drawn := draw(len(numbers))), drawn + 1)
    try:
        with Redone(artifact, numbers) as into:
            redo(artifact, replay, into)
            made = {name: one.facts.sha256 for name, one in into.made.items()}
    except NotRedone as error:
        return [], error.what
    parts = [artifact.parts[number] for number in numbers]
    return [
        _differs(artifact, part.number, made.get(part.file, "none: it did not come out"))
        for part in parts
        if made.get(part.file) != part.sha256
    ], ""


def _differs(artifact: Artifact, number: int, made: str) -> Corrupt:
    part = artifact.parts[number]
    made_on = artifact.cost().get("processor", "another processor")
    return Corrupt(
        f"part {number} of {artifact.kind}, computed again, has the SHA-256 {made[:12]}, recorded "
        f"{part.sha256[:12]}",
        where=artifact.path / part.file,
        do="its rows do not follow from its inputs, or it was made by another version of "
        f"rankmill, or with a model on another processor (it was made on {made_on})",
    )
