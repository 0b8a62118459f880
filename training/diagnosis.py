"""What a student does with each group: KL to its teacher, Kendall's τ, variance, collapse alarm.

The documents of the groups are scored once by the student, on the path on which every student
scores (as a teacher), and the columns become an artifact of kind "statistics" with the rows of the
groups, so that what reads statistics reads these.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..mining.actors import INLINE, Execution
from ..mining.errors import BadInput
from ..mining.groups.pairs import pairs_of_groups
from ..mining.models.encoders import settings_of
from ..mining.statistics import STATISTICS, Statistic, measure_groups, measure_pool
from ..mining.statistics.measure import SIMILARITY_T
from ..mining.store import Artifact, Workspace
from ..mining.teachers import score_pool
from .losses import LOSSES
from .student_runs import names_a_model, student_as_teacher, student_folder
from .students import NORMALISED_SCALE, STUDENTS


def diagnose_student(
    workspace: Workspace,
    student: Artifact | str | Path,
    measured: Artifact,
    statistics: Sequence[str | Statistic] | None = None,
    *,
    compute: str = "float32",
    executor: Execution = INLINE,
) -> Artifact:
    """Compare a student with the teacher of groups, or of scores of a pool, row by row.

    `student`: an artifact, its name, or a model folder. `statistics`: by default those of
    `default_diagnostics`; others of groups or pools may stand beside them. Returns a "statistics"
    artifact over the rows of `measured`. Raises BadInput for groups that do not name their texts
    and for pairs that the student has no score for.
    """
    if measured.kind not in ("groups", "scores"):
        raise BadInput(
            f"a {measured.kind} holds no teacher's scores",
            where=measured.path,
            do="give groups, or scores of a pool",
        )
    teacher = student_as_teacher(workspace, student, compute)
    if measured.kind == "groups":
        pairs = pairs_of_groups(workspace, measured, executor)
    else:
        pairs = measured.input("pool")
    scores = score_pool(workspace, teacher, pairs, arrival=False, executor=executor)
    if statistics is None:
        statistics = default_diagnostics(workspace, student, measured.metadata["kind"])
    if measured.kind == "groups":
        return measure_groups(workspace, measured, statistics, student=scores, executor=executor)
    judged: dict[str, Any] = {}
    if "qrels" in pairs.inputs:
        judged = {"qrels": pairs.input("qrels"), "min_grade": pairs.parameters.get("min_grade", 1)}
    return measure_pool(
        workspace, measured, statistics, student=scores, executor=executor, **judged
    )


def default_diagnostics(
    workspace: Workspace, student: Artifact | str | Path, kind: str
) -> tuple[str, ...]:
    """Return the columns for a student and teacher scores of a kind.

    T and both scales are those that the student was trained with, as its card says; without a card
    T = 1 on log-probabilities, and for similarities T = 0.05 and the scale of 20.
    """
    on = {"T": 1.0} if kind != "similarity" else {"T": SIMILARITY_T, "score": "raw"}
    own: dict[str, Any] = {}
    card = _card(workspace, student)
    if card is None:
        folder, _ = student_folder(workspace, student)
        unit = not folder.is_classifier and settings_of(folder).normalise
        own = {"scale": NORMALISED_SCALE if unit else 1.0}
    else:
        trained, loss = STUDENTS.stored(card["student"]), LOSSES.stored(card["loss"])
        on = {"T": getattr(loss, "T", 1.0), "score": "raw"}  # a loss reads scores as stored
        own = {"scale": getattr(trained, "scale", None) or 1.0}
        if trained.score_kind == "log-prob":
            own["student"] = "logprob"
    kl = STATISTICS.member("student_kl")(**on, **own)
    alarm = STATISTICS.member("student_collapsed")(**own)
    return (str(kl), "student_tau", "student_variance", str(alarm))


def _card(workspace: Workspace, student: Artifact | str | Path) -> dict[str, Any] | None:
    """Return the card of a trained student; None for a model folder."""
    if isinstance(student, str) and not names_a_model(student):
        student = workspace.find(student, "student")
    if not isinstance(student, Artifact):
        return None
    return json.loads(student.file("card.json").read_text())
