"""Runs that a student makes: a first stage re-ranked, or the whole corpus searched."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..mining.actors import INLINE, Execution
from ..mining.collection import Collection
from ..mining.errors import UsageError
from ..mining.inputs.given_paths import path_given
from ..mining.models.folder import ModelFolder, resolve
from ..mining.models.hub import hub_model
from ..mining.runs.run import Run, build_run, run_table
from ..mining.sources import mine
from ..mining.store import (
    Artifact,
    Output,
    Shard,
    Workspace,
    open_artifact,
    split_by_work,
)
from ..mining.teachers import TEACHERS
from .evaluation import refuse_other_texts

_SHARD_PAIRS = 1 << 20


def rerank_with(
    workspace: Workspace,
    student: Artifact | str | Path,
    run: Artifact | str,
    *,
    collection: Collection | Artifact | str,
    split: str,
    depth: int = 100,
    compute: str = "float32",
    encode: str = "corpus",
    executor: Execution = INLINE,
) -> Artifact:
    """Order the first `depth` documents of each list of a run by a student's scores.

    `student`: a student artifact, its name, a model folder, or the text of any teacher. `encode`:
    of a bi-encoder the vectors of the whole `corpus`, or of the documents that are `listed`.
    Returns a run artifact. Raises UsageError where both the text of a teacher and an option say how
    it computes.
    """
    from ..mining.sources.rerank import Rerank

    if names_a_teacher(workspace, student):
        teacher = _written_out(str(student), compute=compute, encode=encode)
    else:
        teacher = student_as_teacher(workspace, student, compute)
        if hasattr(teacher, "encode"):
            teacher = replace(teacher, encode=encode)
    held = Collection.open(workspace, collection)
    artifact = workspace.find(run, "run")
    refuse_other_texts(artifact, held)
    first = cut_run(workspace, artifact, held, split, depth, executor)
    # A student is what is judged here: a bad one gets its figures, not a refusal.
    text = TEACHERS.text(teacher)
    source = Rerank(teacher=text, of=first.fingerprint, direction="trusted")
    return mine(workspace, source, held, split, depth=depth, executor=executor)


def retrieve_with(
    workspace: Workspace,
    student: Artifact | str | Path,
    *,
    collection: Collection | Artifact | str,
    split: str,
    depth: int = 100,
    compute: str = "float32",
    executor: Execution = INLINE,
) -> Artifact:
    """Let a bi-encoder student search the whole corpus exactly; returns a run artifact.

    Raises UsageError for a cross-encoder, which can only re-rank.
    """
    from ..mining.sources.dense import Dense

    folder, said = student_folder(workspace, student)
    if folder.is_classifier:
        raise UsageError(
            "a cross-encoder cannot search a corpus",
            where=folder.path,
            do="re-rank a first stage with it (--first-stage RUN)",
        )
    held = Collection.open(workspace, collection)
    source = Dense(model=str(folder.path), compute=compute, **said)
    return mine(workspace, source, held, split, depth=depth, executor=executor)


def student_as_teacher(
    workspace: Workspace, student: Artifact | str | Path, compute: str = "float32"
) -> Any:
    """Return the teacher that scores as the student does: the one path on which students score."""
    folder, said = student_folder(workspace, student)
    name = "cross_encoder" if folder.is_classifier else "bi_encoder"
    return TEACHERS.member(name)(model=str(folder.path), compute=compute, **said)


def student_folder(
    workspace: Workspace, student: Artifact | str | Path
) -> tuple[ModelFolder, dict[str, Any]]:
    """Return the model folder of a student (or any checkpoint), and what else its encoder needs.

    That is the `max_length` it was trained with and, of separate towers, the `query_model`; the
    folder is then that of the documents' tower.
    """
    if isinstance(student, str) and names_a_teacher(workspace, student):
        raise UsageError(
            f"student: {student!r} is the text of a teacher; here a checkpoint is read",
            do="give a student's name, a model folder or OWNER/NAME of the Hub",
        )
    if isinstance(student, str) and not names_a_model(student):
        student = workspace.find(student, "student")
    elif isinstance(student, str) and student in workspace.names():
        named = workspace.find(student).fingerprint[:12]
        raise UsageError(
            f"{student!r} is a folder, and a name in {workspace.root} too",
            do=f"write ./{student} for the folder, or {named} for what has the name",
        )
    if not isinstance(student, Artifact):
        return _towers(path_given(student)) or (resolve(student), {})
    student.check_content()
    card = json.loads(student.file("card.json").read_text())
    said = {"max_length": card.get("max_length")}
    folder, more = _towers(student.path / "model") or (resolve(student.path / "model"), {})
    return folder, said | more


def names_a_teacher(workspace: Workspace, student: Artifact | str | Path) -> bool:
    """Say whether a text is that of a teacher, `cross_encoder(model=PATH)`, or meant as one: no
    name of the workspace and no folder."""
    if not isinstance(student, str) or student in workspace.names():
        return False
    written = (
        student.endswith(")") and "(" in student
    )  # or meant as one: parsing says what it lacks
    return (written or student in TEACHERS.names()) and not path_given(student).exists()


def _written_out(text: str, **options: str) -> Any:
    """Return the teacher of a text; refuses options beside it that say how it computes."""
    own = {"compute": "float32", "encode": "corpus"}
    for name, value in options.items():
        if value != own[name]:
            raise UsageError(
                f"{name}={value} beside the text of a teacher, {text}",
                do="leave it out: the text of a teacher says how it computes",
            )
    return TEACHERS.parse(text)


def names_a_model(student: str) -> bool:
    """Say whether a text names a checkpoint, a folder, package:NAME or one of the Hub; else it is
    the name of a student in the workspace."""
    return path_given(student).is_dir() or ":" in student or hub_model(student) is not None


def _towers(folder: Path) -> tuple[ModelFolder, dict[str, Any]] | None:
    """Return the documents' tower and the path of the queries', where they are two."""
    if not (folder / "query" / "config.json").exists():
        return None
    return resolve(folder / "doc"), {"query_model": str(folder / "query")}


def cut_run(
    workspace: Workspace,
    run: Artifact,
    collection: Collection,
    split: str,
    depth: int,
    executor: Execution = INLINE,
) -> Artifact:
    """Return the run with at most `depth` documents per list: itself where none is longer."""
    if depth < 1:
        raise UsageError(f"depth={depth}", do="re-rank at least one document")
    lengths = np.concatenate([np.diff(part.offsets) for part in Run(run).parts()])
    if not lengths.size or lengths.max() <= depth:
        return run
    return build_run(
        workspace,
        f"first(of={run.metadata['source']},depth={depth})",
        collection,
        split,
        depth=depth,
        worker=CutWorker,
        options={"run": str(run.path), "depth": depth},
        shards=lambda: split_by_work(np.minimum(lengths, depth), _SHARD_PAIRS),
        inputs={"of": run},
        executor=executor,
    )


class CutWorker:
    """Cuts the lists of a run."""

    def __init__(self, run: str, depth: int):
        self.run, self.depth = Run(open_artifact(run)), depth

    def __call__(self, shard: Shard) -> Output:
        """Return rows start…stop−1, cut."""
        offsets, docs, scores = self.run.lists(shard.start, shard.stop)
        lengths = np.diff(offsets)
        place = np.arange(len(docs)) - np.repeat(offsets[:-1], lengths)
        kept = place < self.depth
        ends = np.concatenate([[0], np.cumsum(np.minimum(lengths, self.depth))])
        queries = self.run.queries[shard.start : shard.stop]
        return Output(run_table(queries, ends, docs[kept], scores[kept]))
