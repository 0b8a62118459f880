"""Training a student on groups: a request in, a checkpoint with its telemetry and card out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..mining.actors import INLINE, Execution
from ..mining.collection import Collection
from ..mining.errors import warn
from ..mining.groups.format import Groups
from ..mining.meter.underway import Underway
from ..mining.models.folder import ModelFolder
from ..mining.models.precision import settle_compute
from ..mining.models.prompts import check_room
from ..mining.models.tokens import tokens_of
from ..mining.store import Artifact, Workspace, files, fingerprint_of
from ..mining.store.execution import shown
from ..mining.store.parts.titles import names_in
from .blend import Blend, artifacts_of, opened
from .budget import positions_of
from .losses import LOSSES, Loss
from .packing import Limits
from .processes import Processes
from .settings import Settings, settings_from
from .students import Student, identity_of, parse_student
from .telemetry import TELEMETRY
from .threads import settled
from .trained_on import validated_and_trained_on

if TYPE_CHECKING:
    from .loop import Training

__all__ = ["Settings", "train_student"]

_MANY_PASSES, _USUAL_PASSES = 100, 10  # over the same groups: more are told before they begin


def train_student(
    workspace: Workspace,
    student: str | Student,
    groups: Artifact | str | Sequence[Artifact | str],
    *,
    collection: Collection | Artifact | str | None = None,
    weights: Sequence[float] | None = None,
    loss: str | Loss = "kl",
    validation: Artifact | str | None = None,
    checkpoint_steps: int | None = None,
    checkpoint_s: float = 60.0,
    executor: Execution = INLINE,
    **settings: Any,
) -> Artifact:
    """Train a student on groups, or find the trained one; returns a "student" artifact.

    Several groups are a blend, `weights` their shares of the examples (default: equal).
    `collection`: of one groups artifact; default: what it names. `settings`: fields of `Settings`.
    The artifact holds `model/` (loads in transformers and sentence-transformers), `telemetry.arrow`
    (one row per step) and `card.json`; beside them `timing.arrow`, outside the hash. `validation`:
    held-out groups of the same collection; the weights with the best nDCG@10 on them are kept. A
    killed run goes on from its last checkpoint. Processes of torchrun share batches.

    Raises UsageError for bad settings, BadInput for bad inputs, RankmillError for a loss of NaN.
    """
    chosen, objective = _settings(settings, executor), LOSSES.parse(loss)
    value, model = parse_student(student)
    several = [groups] if isinstance(groups, str | Artifact) else list(groups)
    stored = opened([Groups.open(workspace, one) for one in several], weights)
    held_out = None if validation is None else Groups.open(workspace, validation)
    _check_loss(objective, stored.kind, value)
    texts = _texts(workspace, stored, collection)
    both = _validated_too(stored, held_out, texts)
    processes = Processes.here()
    asked = Asked(value, model, objective, settled(chosen, processes), stored, processes)
    inputs = _numbered([{"groups": one} for one in artifacts_of(stored)]) | _numbered(texts)
    inputs |= {"validation": held_out.artifact} if held_out is not None else {}
    parameters = parameters_of(asked)
    fingerprint = fingerprint_of("student", parameters, inputs)
    if processes.world == 1 and workspace.has("student", fingerprint):
        executor.progress.there("student", fingerprint)
        return workspace.open("student", fingerprint)
    _tell_passes(stored, chosen, processes)
    from .loop import Training

    loaded = [_tokens(workspace, one, value, model, chosen, processes, executor) for one in texts]
    run = Training(
        value,
        model,
        objective,
        chosen,
        stored,
        loaded,
        validation=held_out,
        processes=processes,
        checkpoint_steps=checkpoint_steps,
        checkpoint_s=checkpoint_s,
    )
    write = partial(_make, run, fingerprint, workspace, executor, both)
    return processes.build(workspace, "student", parameters, inputs, write, run.follow)


def _settings(given: Mapping[str, Any], executor: Execution) -> Settings:
    """Return the settings with their precision settled."""
    chosen = settings_from(given)
    return replace(chosen, compute=settle_compute(chosen.compute, executor.progress))


def _check_loss(loss: Loss, teacher: str | None, student: Student) -> None:
    """Refuse a loss that cannot read the teacher's scores, or not beside those of the student."""
    loss.check(teacher)
    loss.check_student(student.score_kind, teacher)


def _texts(
    workspace: Workspace, groups: Groups | Blend, collection: Collection | Artifact | str | None
) -> list[dict[str, Artifact]]:
    """Return the queries and the corpus of each collection that the groups are of."""
    if isinstance(groups, Blend):
        return groups.texts
    if collection is None:
        return [{role: groups.artifact.input(role) for role in ("queries", "corpus")}]
    held = Collection.open(workspace, collection)
    return [{"queries": held.queries.artifact, "corpus": held.corpus.artifact}]


def _numbered(inputs: list[dict[str, Artifact]]) -> dict[str, Artifact]:
    """Return inputs by role; of the second and later ones the role has a number, `groups[2]`."""
    return {
        role if number == 1 else f"{role}[{number}]": artifact
        for number, roles in enumerate(inputs, 1)
        for role, artifact in roles.items()
    }


def _make(
    run: Training,
    fingerprint: str,
    workspace: Workspace,
    executor: Execution,
    both: Mapping[str, float],
    folder: Path,
    scratch: Path,
) -> Mapping[str, float]:
    """Train and write the student; what differs between equal runs goes beside it."""
    usage = {**_run(run, fingerprint, scratch, executor), **both}
    write_student(folder, run)
    place = workspace.beside("student", fingerprint)
    files.write_arrow(place / "timing.arrow", run.telemetry.timing_table())
    return usage


def _validated_too(
    stored: Groups | Blend, held_out: Groups | None, texts: list[dict[str, Artifact]]
) -> dict[str, float]:
    """Warn where the best weights are chosen by queries that are trained on; return how many, for
    the ledger."""
    if held_out is None:
        return {}
    both, judged = validated_and_trained_on(stored, held_out, texts[0]["queries"])
    if not len(both):
        return {}
    warn(
        f"{len(both):,} of the {judged:,} queries of the validation groups are trained on: "
        "they choose weights that fit these queries, not new ones; validate on another split"
    )
    return {"validation_queries_trained_on": len(both)}


def _tell_passes(stored: Groups | Blend, settings: Settings, processes: Processes) -> None:
    """Warn, before anything is trained, of a budget that goes over the same groups very often; of a
    blend, over those of the part that is seen most often."""
    size = stored.size if settings.negatives is None else settings.negatives + 1
    seen = positions_of(settings.documents, size)
    parts = zip(stored.parts, stored.shares, strict=True) if isinstance(stored, Blend) else None
    passes, there = max(
        (seen * share / len(one), len(one)) for one, share in parts or [(stored, 1)]
    )
    if passes < _MANY_PASSES or processes.rank:
        return
    enough = math.ceil(settings.documents * _USUAL_PASSES / passes)
    warn(
        f"documents={settings.documents:,} is {passes:,.0f} passes over "
        + (f"the same {there:,} groups" if there > 1 else "the one group that there is")
        + f" of {size} documents: it takes as long as that many different ones would, and the "
        f"student learns them by heart; {_USUAL_PASSES} passes are documents={enough:,}"
    )


def _run(
    run: Training, fingerprint: str, scratch: Path, executor: Execution
) -> Mapping[str, float]:
    """Train, saying before what the budget amounts to and after whether the scores collapsed."""
    executor.progress.announce(f"budget: {run.budget(run.positions)}{_machine(run)}")
    if executor.workers or executor.ray_address:
        executor.progress.announce(
            "the workers tokenise; the student itself is trained in this process (a study trains "
            "several students side by side)"
        )
    underway = Underway(
        "student",
        _title(run),
        "documents",
        count=run.documents,
        work=run.documents,
        fingerprint=fingerprint,
    )
    with shown(executor.progress, underway):
        usage = run.run(scratch, underway)
    if run.telemetry.summary()["collapsed"]:
        executor.progress.announce(
            "warning: the student collapsed, it scores all documents of a group nearly alike; "
            "lower lr, or take another loss"
        )
    return usage


def _title(run: Training) -> str:
    """Say which student is trained, on what, by which loss."""
    groups = artifacts_of(run.groups)
    names = names_in(groups[0].workspace)
    called = [names.get(one.fingerprint, one.fingerprint[:12]) for one in groups]
    return f"student {run.model.path.name} on groups {' + '.join(called)} by {run.loss}"


def _machine(run: Training) -> str:
    """Say on how many threads, of how many processes: the part of the machine in the result."""
    threads, world = run.settings.threads, run.processes.world
    said = "" if threads is None else f"; threads={threads}"
    return said if world == 1 else f"{said}; processes={world}"


def _tokens(
    workspace: Workspace,
    texts: Mapping[str, Artifact],
    student: Student,
    model: ModelFolder,
    settings: Settings,
    processes: Processes,
    executor: Execution,
) -> dict[str, Artifact]:
    """Find the token stores of queries and corpus, or make them (process 0 does)."""
    limits = Limits(settings.query_length, settings.doc_length)
    length = student.max_length(model, limits)
    prompts = student.prompts(model)
    for role, most in (("queries", settings.query_length), ("corpus", settings.doc_length)):
        check_room(model, prompts[role], most)

    def build() -> dict[str, Artifact]:
        return {
            role: tokens_of(
                workspace,
                artifact,
                model,
                max_length=length,
                prompt=prompts[role],
                executor=executor,
            )
            for role, artifact in texts.items()
        }

    return processes.first(build)


@dataclass(frozen=True, slots=True)
class Asked:
    """What decides a student, before anything is loaded for training it."""

    student: Student
    model: ModelFolder
    loss: Loss
    settings: Settings
    groups: Groups | Blend
    processes: Processes


def parameters_of(run: Asked | Training) -> dict[str, Any]:
    """Return what decides the student, as JSON values: no paths, no intervals of checkpoints.

    Several processes add up their gradients in another order than one, and their in-batch
    negatives are those of a share: how many there are is part of the request.
    """
    world, drawn = run.processes.world, run.settings.negatives is not None
    parts = run.groups.parts if isinstance(run.groups, Blend) else [run.groups]
    together = any(part.positives == "together" for part in parts)
    labels = together and (drawn or run.loss.supervised)  # what decides is which are negatives
    return {
        **({} if world == 1 else {"processes": world}),
        **({"further_positives": "no negatives"} if labels else {}),
        **({"blend": list(run.groups.counts)} if isinstance(run.groups, Blend) else {}),
        **identity_of(run.student, run.model),
        "loss": str(run.loss),
        **run.settings.declared(),
        "telemetry": TELEMETRY,
    }


def _blended(groups: Groups | Blend) -> dict[str, Any]:
    """Say for the card which groups were blended, and what share of the examples each gave."""
    if not isinstance(groups, Blend):
        return {}
    told = zip(groups.parts, groups.shares, strict=True)
    return {
        "groups": [
            {"groups": part.artifact.root_hash, "share": share, "groups_stored": len(part)}
            for part, share in told
        ]
    }


def write_student(folder: Path, run: Training) -> None:
    """Write the checkpoint, the telemetry and the card of a finished run."""
    assert run.network is not None
    s = run.settings
    length = run.student.max_length(run.model, Limits(s.query_length, s.doc_length))
    run.network.save(files.make_folder(folder / "model"), run.model, length)
    files.write_arrow(folder / "telemetry.arrow", run.telemetry.table())
    seen = int(run.telemetry.rows["documents"][-1])
    budget = run.budget(seen // run.size)
    card = {
        **parameters_of(run),
        "score_kind": run.student.score_kind,
        "teacher_score_kind": run.groups.kind,
        "groups": run.groups.artifact.root_hash,
        **_blended(run.groups),
        "group_size": run.size,
        "max_length": length,
        "documents_seen": budget.documents,
        "groups_stored": budget.stored,
        "epochs": budget.epochs,
        "unique_pairs": budget.unique_pairs,
        **run.telemetry.summary(),
    }
    if s.compute == "float16":
        card["steps_skipped"] = run.telemetry.skipped()
    data = json.dumps(card, indent=1, sort_keys=True).encode()
    files.write_bytes(folder / "card.json", data + b"\n", mode=0o644)
