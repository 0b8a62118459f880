"""Which judged queries a student was trained on: its figures on them say nothing of new queries.

A run names its student by content, `model=bert-32x1@1a2b3c4d`, so the student is found in the
workspace, its groups by what it was made from, and their queries are compared as sets of ids.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..mining.collection.rows import Queries
from ..mining.groups.format import Groups
from ..mining.models.folder import fingerprint_of_files
from ..mining.pair_keys import distinct
from ..mining.store import Artifact
from .blend import Blend, artifacts_of

_CONTENT = re.compile(r"@([0-9a-f]{8})\b")
_GROUPS = re.compile(r"groups(\[\d+\])?")  # of a blend several


def told(shared: int, judged: int, split: str, by: str = "the student") -> str:
    """Say that queries are judged that were trained on; the same words everywhere."""
    which = "all" if shared == judged else f"{shared:,}"
    return (
        f"{which} of the {judged:,} judged queries of the split {split!r} are queries that {by} "
        "was trained on: the mean says little of new queries; evaluate on a split of its own"
    )


def judged_and_trained_on(run: Artifact, queries: Queries, judged: np.ndarray) -> np.ndarray:
    """Return the judged queries (uint32, ascending) that a student behind a run was trained on.

    `judged`: ordinals in `queries`, uint32. Students that the workspace does not hold are not
    known.
    """
    seen = [
        shared(groups, own, queries, judged)
        for student in students_of(run)
        for groups, own in groups_of(student)
    ]
    return distinct(np.concatenate([np.empty(0, np.uint32), *seen]))


def students_of(run: Artifact) -> list[Artifact]:
    """Return the students of the workspace whose checkpoint a run's source names."""
    tags = set(_CONTENT.findall(run.metadata.get("source", "")))
    if not tags:
        return []
    return [one for one in run.workspace.artifacts("student") if tags & _tags(one)]


def groups_of(student: Artifact) -> list[tuple[Artifact, Queries]]:
    """Return the groups that a student was trained on, each with the queries that it counts in;
    those that are gone are left out."""
    return [
        (groups := student.input(role), _queries_of(groups, student.input("queries")))
        for role, fingerprint in student.inputs.items()
        if _GROUPS.fullmatch(role) and student.workspace.has("groups", fingerprint)
    ]


def _queries_of(groups: Artifact, other: Artifact) -> Queries:
    """Return the queries that groups count in: their own input, of others those given beside."""
    return Queries(groups.input("queries") if "queries" in groups.inputs else other)


def shared(groups: Artifact, own: Queries, queries: Queries, judged: np.ndarray) -> np.ndarray:
    """Return which of the judged queries (uint32) have a group; groups count in `own` queries.

    Of other tables of queries ids are compared, and of those that are equal the texts: the id of
    another collection's query means nothing.
    """
    parts = [part.query for part in Groups(groups).parts()]
    trained = distinct(np.concatenate([np.empty(0, np.uint32), *parts]))
    if own.artifact.fingerprint == queries.artifact.fingerprint:
        return np.intersect1d(judged, trained, assume_unique=True)
    known = {query_id: int(row) for row, query_id in zip(trained, own.ids(trained), strict=True)}
    both = [
        (int(row), known[query_id])
        for row, query_id in zip(judged, queries.ids(judged), strict=True)
        if query_id in known
    ]
    if not both:
        return np.empty(0, np.uint32)
    here, there = np.array(both, dtype=np.int64).T
    same = np.array(queries.texts(here), dtype=object) == np.array(own.texts(there), dtype=object)
    return here[same].astype(np.uint32)


def validated_and_trained_on(
    trained: Groups | Blend, held_out: Groups, other: Artifact
) -> tuple[np.ndarray, int]:
    """Return the queries of validation groups (uint32) that are trained on, and how many there
    are; `other`: the queries of groups that name none."""
    parts = [part.query for part in held_out.parts()]
    judged = distinct(np.concatenate([np.empty(0, np.uint32), *parts]))
    queries = _queries_of(held_out.artifact, other)
    seen = [shared(one, _queries_of(one, other), queries, judged) for one in artifacts_of(trained)]
    return distinct(np.concatenate(seen)), len(judged)


def _tags(student: Artifact) -> frozenset[str]:
    """Return the first eight digits of the fingerprints of a student's models: one, or two of
    separate towers."""
    return _tags_of(student.path, tuple((part.file, part.sha256) for part in student.parts))


@lru_cache(maxsize=4096)
def _tags_of(path: Path, parts: tuple[tuple[str, str], ...]) -> frozenset[str]:
    """The hashes of a student's files stand in its manifest, so nothing large is read."""
    hashes = {path / name: sha256 for name, sha256 in parts}
    folders = [path / "model" / tower for tower in ("", "doc", "query")]
    there = [one for one in folders if one / "config.json" in hashes]
    return frozenset(fingerprint_of_files(one, hashes)[:8] for one in there)
