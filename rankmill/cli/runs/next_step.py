"""The command to type next, with the names of what was made."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rankmill.stages import DEFAULT_WORKSPACE

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact

_SPLITS = ("train", "validation", "dev", "test")  # the first of them that there is, to mine for


def next_step(artifact: Artifact, name: str | None) -> str | None:
    """Return the command that usually follows one that made this artifact; None where none does.

    What nobody but the user can know, which model, stands there as MODEL.
    """
    step = _STEPS.get(artifact.kind)
    if step is None:
        return None
    from rankmill.mining.store.parts.titles import names_in

    names = names_in(artifact.workspace)
    words = step(
        artifact, name or names.get(artifact.fingerprint, artifact.fingerprint[:12]), names
    )
    return command(words, artifact.workspace.root)


def command(words: list[str] | None, workspace: Path) -> str | None:
    """Return a command line, with the workspace where it is not where it would be looked for."""
    if words is None:
        return None
    usual = Path(os.environ.get("RANKMILL_WORKSPACE") or DEFAULT_WORKSPACE).absolute()
    place = [] if workspace == usual else ["--workspace", str(workspace)]
    return shlex.join(["rankmill", *words, *place])


Names = dict[str, str]


def _called(artifact: Artifact, role: str, names: Names) -> str:
    fingerprint = artifact.inputs[role]
    return names.get(fingerprint, fingerprint[:12])


def _base(name: str, *endings: str) -> str:
    """Return `nf` of `nf-pool`."""
    for ending in endings:
        name = name.removesuffix(f"-{ending}")
    return name


def _after_collection(made: Artifact, name: str, names: Names) -> list[str] | None:
    splits = _splits(made)
    if not splits:
        return None
    split = next((one for one in _SPLITS if one in splits), splits[0])
    source = ["mine", "bm25(k1=0.9,b=0.4)", "--collection", name, "--split", split]
    return [*source, "--name", f"{name}-bm25"]


def _after_run(made: Artifact, name: str, names: Names) -> list[str]:
    if made.metadata.get("split") == "test":
        return ["eval", "--run", name]
    runs = [name]
    for other in _alike(made):
        called = names.get(other.fingerprint)
        runs += [called] if called and called not in runs else []
    return ["pool", *runs, "--name", f"{_base(name, 'bm25', 'random', 'dense')}-pool"]


def _alike(made: Artifact) -> list[Artifact]:
    """Return the other runs of the same queries over the same documents."""
    roles = ("corpus", "queries", "qrels")
    about = {role: made.inputs[role] for role in roles if role in made.inputs}
    return [
        other
        for other in made.workspace.artifacts("run")
        if other.fingerprint != made.fingerprint and about.items() <= other.inputs.items()
    ]


def _after_pool(made: Artifact, name: str, names: Names) -> list[str]:
    scores = f"{_base(name, 'pool')}-scores"
    return ["score", "cross_encoder(model=MODEL)", "--pool", name, "--name", scores]


def _after_scores(made: Artifact, name: str, names: Names) -> list[str] | None:
    if "pool" not in made.inputs:  # of a file, which names its own pairs
        return None
    where = ["--pool", _called(made, "pool", names), "--scores", name]
    base = _base(name, "scores")
    size = ["--size", str(_size_for(made))]
    return ["select", "stratified(bins=8)", *where, *size, "--name", f"{base}-groups"]


def _size_for(scores: Artifact) -> int:
    """Return the size of groups to propose: 16, or the power of two that lists still fill."""
    pairs = scores.counts.get("pairs", 0)
    listed = pairs - scores.input("pool").counts.get("positives_not_found", 0)
    fits = (size for size in (4, 8, 16) if not pairs or (size - 1) * scores.rows < listed)
    return max([2, *fits])


def _after_groups(made: Artifact, name: str, names: Names) -> list[str]:
    return ["stats", "--groups", name, "--name", f"{_base(name, 'groups')}-stats"]


def _after_statistics(made: Artifact, name: str, names: Names) -> list[str] | None:
    if "groups" not in made.inputs:
        return None
    groups = ["--groups", _called(made, "groups", names)]
    student = f"{_base(name, 'stats')}-student"
    documents = ["--documents", _documents_for(made.input("groups"))]
    return ["train", "bi_encoder(model=MODEL)", *groups, *documents, "--name", student]


_PASSES, _MILLION = 10, 1_000_000


def _documents_for(groups: Artifact) -> str:
    """Return the budget to propose: a million documents, but few groups at most ten times."""
    seen = _PASSES * groups.rows * int(groups.parameters.get("size", 0))
    return str(seen) if 0 < seen < _MILLION else "1M"


def _after_student(made: Artifact, name: str, names: Names) -> list[str] | None:
    collection = names.get(made.inputs.get("corpus", ""))
    if collection is None:
        return None
    splits = _splits(made.workspace.find(collection, "collection"))
    split = next((one for one in reversed(_SPLITS) if one in splits), None)
    about = ["--collection", collection, "--split", str(split)]
    return None if split is None else ["eval", "--student", name, *about]


def _splits(collection: Artifact) -> list[str]:
    return [role[len("qrels[") : -1] for role in collection.inputs if role.startswith("qrels[")]


_STEPS = {
    "collection": _after_collection,
    "run": _after_run,
    "pool": _after_pool,
    "scores": _after_scores,
    "groups": _after_groups,
    "statistics": _after_statistics,
    "student": _after_student,
}
