"""Workspaces that remember what was made in them, and one that borrows what another one has."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rankmill.mining.errors import BadInput
from rankmill.mining.inputs.given_paths import path_given
from rankmill.mining.store import Artifact, Stage, Workspace, files, places
from rankmill.mining.store.execution import Executor
from rankmill.mining.store.scratch import own_folder
from rankmill.mining.store.tables import list_values
from rankmill.mining.store.workspace import fingerprint_of
from rankmill.study.estimate.distinct import Lists, lists_of

WHOLE, CORPUS, QUERIES, LISTED = "whole", "corpus", "queries", "documents of lists"
"""What an artifact of a sample grows with; what is made of no sample is whole as it is."""


@dataclass(frozen=True, slots=True)
class Made:
    """One artifact that was made, not found: what it grows with, whether it is a run that searched
    a corpus, and its ledger; `lists`: of what is made of the documents of lists."""

    kind: str
    fingerprint: str
    grows: str
    searched: bool
    cost: Mapping[str, Any]
    lists: Lists | None = None


class Recording(Workspace):
    """A workspace that notes in `made`, in order, what is made in it, with what it grows with.

    `mark` says which artifacts are a sample, and of what; what is made of them is one too.
    """

    def __init__(self, root: str | Path):
        super().__init__(root)
        self.made: list[Made] = []
        self.grows: dict[str, str] = {}

    def mark(self, artifact: Artifact, grows: str) -> None:
        """Say that an artifact is a sample of a corpus or of queries."""
        self.grows[artifact.fingerprint] = grows

    def build(self, stage: Stage, executor: Executor | None = None) -> Artifact:
        """Return the stage's artifact; note it if it was made now."""
        there = self.has(stage.kind, stage.fingerprint)
        made = super().build(stage, executor)
        return made if there else self._noted(made, stage.inputs)

    def build_folder(
        self,
        kind: str,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, Artifact],
        write: Callable[[Path, Path], Mapping[str, Any] | None],
        metadata: Mapping[str, str] | None = None,
        algorithm: int = 1,
    ) -> Artifact:
        """Return the artifact; note it if it was made now."""
        there = self.has(kind, fingerprint_of(kind, parameters, inputs, algorithm))
        made = super().build_folder(kind, parameters, inputs, write, metadata, algorithm)
        return made if there else self._noted(made, inputs)

    def _noted(self, made: Artifact, inputs: Mapping[str, Artifact]) -> Artifact:
        of = {self.grows.get(one.fingerprint, WHOLE) for one in inputs.values()} - {WHOLE}
        lists = _lists_of(made, inputs)
        if lists is not None or of == {LISTED}:
            grows = LISTED
        else:
            grows = QUERIES if of & {QUERIES, LISTED} else CORPUS if of else WHOLE
        if grows != WHOLE:
            self.grows[made.fingerprint] = grows
        ranked = {one.kind for one in inputs.values()} & {"run", "scores"}
        searched = made.kind == "run" and not ranked
        self.made.append(Made(made.kind, made.fingerprint, grows, searched, made.cost(), lists))
        return made

    def taken(self) -> list[Made]:
        """Return what was made since this was last asked."""
        made, self.made = self.made, []
        return made


def _lists_of(made: Artifact, inputs: Mapping[str, Artifact]) -> Lists | None:
    """Return what the lists hold that an artifact is made of; None where it is not made of the
    documents of lists."""
    if "listed" not in inputs:
        return None
    listed = inputs["listed"]
    docs = [list_values(table["doc"])[1] for table in listed.tables()]
    every = np.concatenate([np.empty(0, np.uint32), *docs])
    return lists_of(every, listed.rows, inputs["texts"].rows)


class Scratch(Recording):
    """A workspace whose missing artifacts are looked for in another one, which is only read.

    What is found there, and all that it was made from, gets a link here: workers open artifacts by
    the folder that they stand in.
    """

    def __init__(self, root: Path, base: Workspace):
        super().__init__(root)
        self.base = base

    def folder(self, kind: str, fingerprint: str) -> Path:
        """Return where an artifact stands, by a link if it is finished in the other workspace."""
        ours, theirs = super().folder(kind, fingerprint), self.base.folder(kind, fingerprint)
        if not ours.exists() and (theirs / "manifest.json").exists():
            files.link_folder(ours, theirs)
            for one in Artifact(theirs, self.base).manifest["inputs"].values():
                self.folder(one["kind"], one["fingerprint"])
        return ours

    def find(self, name: str | Artifact, kind: str | None = None) -> Artifact:
        """Open an artifact by alias or fingerprint, here or there."""
        try:
            return super().find(name, kind)
        except BadInput:
            if isinstance(name, Artifact):
                raise
            there = self.base.find(name, kind)
            return self.open(there.kind, there.fingerprint)


@contextlib.contextmanager
def scratch_beside(workspace: Workspace, place: Path | None = None) -> Iterator[Scratch]:
    """Open a scratch workspace beside a workspace, on the same disk, or in the folder `place`.

    It is removed at the end; after a kill, by the next one of this workspace. Raises BadInput where
    no folder can be made.
    """
    above = workspace.root.parent if place is None else path_given(place).absolute()
    noun = f".{workspace.root.name}-estimate"
    try:
        places.check_folder_place(above / noun, empty=False)
    except BadInput as error:
        raise BadInput(
            f"no sample can be measured here: {error.what}",
            where=error.where,
            do="name a folder that can be written to, on the disk of the workspace: --scratch DIR",
        ) from error
    with own_folder(above, noun) as root:
        yield Scratch(root, workspace)
