"""Records of parts, the only sign that one is done, and the manifest that is made of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import Corrupt, RankmillError
from .. import files
from ..artifact import Artifact
from ..declared import schema_lines
from ..execution import Report
from ..manifest import canonical_json
from ..objects.mirror import Mirror, Stored
from ..plan import Shard, Stage
from ..sums import is_sound_record, summed
from ..tables import FORMAT_VERSION, KEYED_BY_QUERY, KEYED_BY_ROW

_FINGERPRINT = re.compile(r"[0-9a-f]{40}")

Holds = Callable[[Mapping[str, Any]], bool]
"""Says whether the data of a record are whole."""


class Frame:
    """The identity of a folder artifact, in the shape that `manifest_of` reads."""

    def __init__(
        self, parameters: Mapping[str, Any], inputs: Mapping[str, Artifact], algorithm: int
    ):
        self.parameters, self.inputs, self.algorithm = parameters, inputs, algorithm


def record_for(
    number: int,
    file: str,
    table: str,
    facts: files.Facts,
    fingerprint: str,
    counts: Mapping[str, int],
    dropped: Mapping[str, Sequence[int]],
    examples: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Return the completion record of a part with these values."""
    record = {
        "number": number,
        "file": file,
        "table": table,
        "rows": facts.rows,
        "bytes": facts.bytes,
        "sha256": facts.sha256,
        "fingerprint": fingerprint,
        "counts": dict(counts),
        "dropped": {k: sorted(int(q) for q in v) for k, v in dropped.items() if len(v)},
    }
    more = {"examples": {k: list(v) for k, v in examples.items()}} if examples else {}
    return summed(record | more)


def finished_records(
    folder: Path, plan: Sequence[Shard], fingerprint: str, holds: Holds
) -> dict[int, dict[str, Any]]:
    """Return the completion records of the shards that are done, by number."""
    records = ((s.number, _finished_record(folder, s, fingerprint, holds)) for s in plan)
    return {number: record for number, record in records if record is not None}


def _finished_record(
    folder: Path, shard: Shard, fingerprint: str, holds: Holds
) -> dict[str, Any] | None:
    """Return the shard's completion record if its part still `holds` what it says."""
    path = folder / f"part-{shard.number:05d}.json"
    record = kept_record(path, fingerprint) if path.exists() else None
    if record is None or (record["number"], record["table"]) != (shard.number, shard.table):
        return None  # that of another part: this one is done again
    return record if holds(record) else None


def kept_record(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """Read the completion record of a part of this artifact; None for a file that is none, or that
    does not say what was written: it counts as absent, the shard is done again.

    Raises Corrupt for one of another artifact.
    """
    try:
        data = files.read_small(path)
        record = json.loads(data)
    except (ValueError, RecursionError, files.NoFile):
        return None  # torn, or no file
    said = record.get("fingerprint") if isinstance(record, dict) else None
    if isinstance(said, str) and said != fingerprint and _FINGERPRINT.fullmatch(said):
        raise Corrupt(
            f"a record of {said[:12]} lies in the folder of {fingerprint[:12]}",
            where=path,
            do=f"delete {path.parent} and run the same command again",
        )
    sound = is_sound_record(record, data) and said == fingerprint
    return record if sound and record["file"] == path.with_suffix(".arrow").name else None


def are_summed(records: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether each record ends in its own sum; those that an earlier version wrote do not."""
    return all("sum" in record for record in records)


def is_intact(folder: Path, record: Mapping[str, Any]) -> bool:
    """Say whether the part of a record is here with the bytes that it says (level 2)."""
    data = folder / str(record["file"])
    same = data.exists() and data.stat().st_size == record["bytes"]
    return same and files.sha256_of(data) == record["sha256"]


def commit_part(
    folder: Path, stage: Stage, fingerprint: str, report: Report, mirror: Mirror | None
) -> dict[str, Any]:
    """Check a finished attempt, give it its final name, then write the record that says so.

    Where the folder is a mirror, both go into the store first; returns the record that counts.
    """
    shard, facts = report.shard, report.facts
    here = mirror is None or report.path.exists()
    actual = report.path.stat().st_size if here else facts.bytes
    if actual != facts.bytes:
        raise Corrupt(f"the attempt has {actual} bytes, reported {facts.bytes}", where=report.path)
    _check_books(stage.kind, shard, report)
    record = record_of(report, fingerprint)
    counts, own = canonical_json(record), True  # own: its data stand here, too
    if mirror is not None:
        ours = counts
        counts = mirror.making.commit(folder, report.path, Stored.of(record), ours)
        record = json.loads(counts)
        own = counts == ours and mirror.cache.make_room(facts.bytes)
    name = f"part-{shard.number:05d}"
    if here and own:
        files.publish(report.path, folder / f"{name}.arrow")
    files.write_bytes(folder / f"{name}.json", counts)
    return record


def record_of(report: Report, fingerprint: str) -> dict[str, Any]:
    """Return the completion record of a part: the sign that it is done, and what it holds."""
    shard = report.shard
    return record_for(
        shard.number,
        f"part-{shard.number:05d}.arrow",
        shard.table,
        report.facts,
        fingerprint,
        report.counts,
        report.dropped,
        report.examples,
    )


def _check_books(kind: str, shard: Shard, report: Report) -> None:
    """Invariant 4: every key of the shard came out, or was dropped with a reason."""
    asked = shard.stop - shard.start
    if kind in KEYED_BY_QUERY:
        answered = report.queries + sum(len(v) for v in report.dropped.values())
    elif kind in KEYED_BY_ROW:
        answered = report.facts.rows
    else:
        return
    if answered != asked:
        raise RankmillError(
            f"the books of {kind} part {shard.number} do not balance: {asked} keys in, "
            f"{answered} out or dropped with a reason",
            where=report.path,
            do="this is a bug in rankmill: please report it with the recipe",
        )


def manifest_of(
    kind: str,
    fingerprint: str,
    frame: Any,
    metadata: Mapping[str, str],
    parts: list[dict[str, Any]],
) -> bytes:
    """Return the manifest of an artifact of these parts, whose identity is that of a stage or a
    `Frame`."""
    counts: dict[str, int] = {}
    dropped: dict[str, list[int]] = {}
    examples: dict[str, list[str]] = {}
    for part in parts:
        for odd, first in part.get("examples", {}).items():
            examples.setdefault(odd, []).extend(first)
        for key, value in part["counts"].items():
            counts[key] = counts.get(key, 0) + value
        for reason, queries in part["dropped"].items():
            dropped.setdefault(reason, []).extend(queries)
    manifest = {
        "format": FORMAT_VERSION,
        "kind": kind,
        "fingerprint": fingerprint,
        "parameters": dict(frame.parameters),
        "inputs": {
            role: {"kind": a.kind, "fingerprint": a.fingerprint, "root": a.root_hash}
            for role, a in frame.inputs.items()
        },
        "schema": schema_lines(getattr(frame, "schema", {})),
        "metadata": dict(metadata),
        "parts": [
            {k: p[k] for k in ("number", "file", "table", "rows", "bytes", "sha256", "counts")}
            for p in parts
        ],
        "counts": counts,
        "dropped": dropped,
    }
    if frame.algorithm != 1:  # the neutral value is not said
        manifest["algorithm"] = frame.algorithm
    if examples:  # the key is there only where there is something to show
        manifest["examples"] = examples
    return canonical_json(manifest)
