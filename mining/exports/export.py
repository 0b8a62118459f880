"""Writing groups for another trainer: one folder, whole or not at all, with its sidecar."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..collection import Collection
from ..errors import BadInput, UsageError
from ..inputs.given_paths import path_given
from ..names import Call, parse
from ..store import Artifact, canonical_json, files, places
from .base import EXPORTS, Format
from .folder import ExportFolder
from .source import GroupSource

SIDECAR = "export.json"
VERSION = 2
"""Of sidecars: those of the first version say none, and have no sum."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Exported:
    """A finished export: its folder and what its sidecar says."""

    path: Path
    facts: Mapping[str, Any]

    def __repr__(self) -> str:
        facts = self.facts
        size = f" of {facts['group_size']} documents" if "group_size" in facts else ""
        return (
            f"<Exported {facts.get('format')}: {facts.get('groups', 0):,} groups{size}, "
            f"{len(facts['files'])} files, {self.bytes:,} bytes, in {self.path}>"
        )

    @property
    def bytes(self) -> int:
        """The size of its files."""
        return sum(file["bytes"] for file in self.facts["files"].values())


def export_groups(
    format: str,
    groups: Artifact,
    collection: Collection,
    to: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    allow_lossy: bool = False,
    size: int | None = None,
    seed: int = 0,
    missing: str = "error",
) -> Exported:
    """Write groups into the folder `to` in the layout of `format`, with a sidecar `export.json`.

    `settings` are further parameters of the format. `size`: documents per group, fewer than
    stored; negatives are drawn by (seed, query). `missing`: `error`, or `drop_group` for groups
    with a score that is not finite. The folder appears under its name only when it is complete.

    Raises UsageError for an unknown format, a size beyond the groups', and a format that cannot
    hold the scores unless `allow_lossy`; BadInput for a folder that is not empty, empty texts and
    missing scores.
    """
    chosen = format_of(format, settings or {})
    target = path_given(to).absolute()
    refuse_loss(chosen, allow_lossy)
    places.refuse_existing(target)
    source = source_for(chosen, groups, collection, size=size, seed=seed, missing=missing)
    with files.building(target) as attempt:
        out = ExportFolder(attempt)
        notes = chosen.write(source, out)
        facts = sidecar(chosen, source, notes) | {"files": dict(sorted(out.facts.items()))}
        facts["sum"] = sum_of(facts)
        out.json(SIDECAR, facts)
    return Exported(target, facts)


def source_for(
    format: Format, groups: Artifact, collection: Collection, **options: Any
) -> GroupSource:
    """Open groups for a format; raises BadInput for what it cannot hold."""
    source = GroupSource(groups, collection, **options)
    if format.single_positive and source.several:
        raise BadInput(
            f"{format} holds one positive a group, these groups have several",
            where=groups.path,
            do="select again with --positives first or all, or choose another format",
        )
    if format.texts:
        source.check_texts()
    return source


def sum_of(facts: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a sidecar says besides this sum: no other file binds it."""
    said = {key: value for key, value in facts.items() if key != "sum"}
    return hashlib.sha256(canonical_json(said)).hexdigest()


def format_of(text: str, settings: Mapping[str, Any]) -> Format:
    """Return the format called `text`, with `settings` added to its parameters."""
    call = parse(text)
    if isinstance(call, str):
        call = Call(call)
    if not isinstance(call, Call):
        raise UsageError(f"{text!r} is not an export format", do=f"known: {EXPORTS.names()}")
    return EXPORTS.parse(Call(call.name, call.positional, (*call.named, *settings.items())))


def refuse_loss(format: Format, allowed: bool) -> None:
    """Raise UsageError for a format that cannot hold the teacher's scores, unless allowed."""
    if format.scores != "raw" and not allowed:
        lost = {
            "dropped": "cannot hold teacher scores: they would be dropped",
            "margins": "holds only differences of teacher scores: the scores would be lost",
        }[format.scores]
        raise UsageError(f"{format} {lost}", do="add --allow-lossy to write it all the same")


def sidecar(format: Format, source: GroupSource, notes: Mapping[str, object]) -> dict[str, Any]:
    """Return what `export.json` says of everything but the files."""
    groups = source.groups.artifact
    roles = ("scores", "corpus", "queries")
    scores = groups.input("scores") if "scores" in groups.inputs else None
    teacher = (scores or groups).metadata
    return {
        "format": str(format),
        "written_by": "rankmill",
        "version": VERSION,
        "teacher": teacher.get("teacher"),
        "revision": teacher.get("revision"),
        "score_kind": source.groups.kind,
        "scores": format.scores,
        "temperature": None,  # scores are as the teacher gave them
        "strategy": groups.parameters.get("strategy"),
        "seed": groups.parameters.get("seed"),
        "groups": source.rows,
        "group_size": source.size,
        "queries": int(source.used_queries.sum()),
        "documents": int(source.used_docs.sum()),
        "negatives": {"stored": source.groups.size - 1, "drawn": source.size - 1}
        | ({"seed": source.seed} if source.size < source.groups.size else {}),
        "min_grade": source.groups.min_grade,
        "unjudged_first": source.unjudged,
        "dropped_groups": {"missing_score": source.dropped} if source.dropped else {},
        "dropped_queries": {reason: len(queries) for reason, queries in groups.dropped.items()},
        "breaks_in_texts": format.breaks if format.texts else None,
        "ids": "strings",
        "inputs": {"groups": groups.root_hash}
        | {role: groups.input(role).root_hash for role in roles if role in groups.inputs},
        **notes,
    }
