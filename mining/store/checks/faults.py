"""Every fault of one artifact: its inputs, what stands beside its parts, and each part, read whole.

Nothing stops at the first one, and no content of any file ends in anything but a fault.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...errors import Corrupt, RankmillError
from .. import files, ledger
from ..manifest import MANIFEST, made_again
from ..sums import LOCK, RECORD, files_below, is_left, is_sound_record
from ..tables import KEYED_BY_QUERY

if TYPE_CHECKING:
    from ..artifact import Artifact, Part


# What libraries make of bytes that nobody wrote.
_OF_ODD_BYTES = (
    pa.ArrowException,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    MemoryError,
)


def faults_of(artifact: Artifact) -> Iterator[Corrupt]:
    """Yield what is wrong with an artifact whose manifest could be opened, at level 3.

    Of an object store: what is there, not what stands in the mirror.
    """
    if artifact.workspace.mirror is not None:
        artifact.workspace.mirror.finished.pull(artifact.path, afresh=True)
        artifact.workspace.mirror.finished.bring_records(artifact.path, _records_of(artifact))
    for role in artifact.inputs:
        yield from _fault_of_input(artifact, role)
    yield from _faults_beside(artifact)
    yield from _faults_of_records(artifact)
    sound = True
    for part in artifact.parts:
        fault = fault_of_part(artifact, part)
        if fault is not None:
            sound = False
            yield fault
    if sound:
        yield from _faults_of_books(artifact)


def _fault_of_input(artifact: Artifact, role: str) -> Iterator[Corrupt]:
    try:
        artifact.input(role)
    except Corrupt as error:
        yield error
    except (RankmillError, OSError) as error:
        yield Corrupt(
            f"its input {role!r} cannot be opened: {getattr(error, 'what', error)}",
            where=artifact.path,
            do="run the command that made that input again",
        )


def fault_of_part(artifact: Artifact, part: Part) -> Corrupt | None:
    """Return what is wrong with one part: size, hash, schema, rows, meaning."""
    try:
        artifact.check(part, 2, afresh=True)
        if part.file.endswith(".arrow"):
            artifact.table(part.number, level=3)
    except Corrupt as error:
        return error
    except _OF_ODD_BYTES as error:
        return artifact.corrupt(part, f"cannot be read: {type(error).__name__}: {error}")
    return None


def _faults_beside(artifact: Artifact) -> Iterator[Corrupt]:
    state, told = ledger.state(artifact.path), ledger.read(artifact.path)
    if state != ledger.WHOLE:
        yield Corrupt(
            f"the ledger is {state}: what the artifact cost, and the hashes of what stands beside "
            "its parts",
            where=artifact.path / ledger.LEDGER,
            do=f"rankmill repair {artifact.fingerprint[:12]} sums it up again; the data are as "
            "they were",
        )
    sums: dict[str, str] = told.get("sums", {})
    for name in sums.keys() - {MANIFEST}:
        path = artifact.path / name
        what = "is missing" if not path.is_file() else "does not hold the bytes that were written"
        if not path.is_file() or files.sha256_of(path) != sums[name]:
            yield Corrupt(
                f"a file beside the parts {what}",
                where=path,
                do=f"{made_again(artifact.path)}; the data are as they were",
            )
    yield from unlisted(artifact)


def unlisted(artifact: Artifact) -> Iterator[Corrupt]:
    """Yield files that nothing tells of; where there are no sums, files beside may be ours."""
    known = ledger.state(artifact.path) == ledger.WHOLE
    sums: dict[str, str] | None = (known and ledger.read(artifact.path).get("sums")) or None
    if not_ours(artifact.path / LOCK):
        yield Corrupt(
            "what stands where runs lock the artifact is no file: it would be written through",
            where=artifact.path / LOCK,
            do=f"rankmill repair {artifact.fingerprint[:12]}, or remove it",
        )
    listed = {part.file for part in artifact.parts} | _records_of(artifact)
    for name in files_below(artifact.path):
        if name in listed or name in (MANIFEST, ledger.LEDGER, LOCK) or is_left(name):
            continue
        stands_beside = not (name.endswith(".arrow") or RECORD.fullmatch(name))
        if name in sums if sums is not None else stands_beside or name == "timing.arrow":
            continue
        yield Corrupt(
            "a file that no part and no ledger tells of",
            where=artifact.path / name,
            do="it is not read; move it elsewhere, or remove it",
        )


def not_ours(path: Path) -> bool:
    """Say whether something stands at a path that is no regular file."""
    return path.is_symlink() or (path.exists() and not path.is_file())


# ---- completion records, and the books of the whole ----------------------------------------------


def _faults_of_records(artifact: Artifact) -> Iterator[Corrupt]:
    """Compare the records with the manifest that was made of them."""
    if not artifact.manifest["schema"]:  # a folder of files has none
        return
    records = [_record(artifact, part) for part in artifact.parts]
    yield from (fault for _, fault in records if fault is not None)
    told = [record for record, _ in records if record is not None]
    if len(told) < len(records):
        return
    for name, whole in (("dropped", artifact.dropped), ("examples", artifact.examples)):
        joined: dict[str, list[Any]] = {}
        for record in told:
            for key, values in record.get(name, {}).items():
                joined.setdefault(key, []).extend(values)
        if joined != whole:
            yield Corrupt(
                f"what the completion records say of {name!r} is not what the manifest does",
                where=artifact.path / "part-*.json",
                do=f"{made_again(artifact.path)}; the data are as they were",
            )


def parts_to_make_anew(artifact: Artifact) -> list[int]:
    """Return the numbers of the parts that are damaged, they or their records."""
    if artifact.workspace.mirror is not None:
        artifact.workspace.mirror.finished.bring_records(artifact.path, _records_of(artifact))
    damaged = [part.number for part in artifact.parts if fault_of_part(artifact, part)]
    if not artifact.manifest["schema"]:
        return damaged
    unsaid = [part.number for part in artifact.parts if _record(artifact, part)[1]]
    if not damaged and not unsaid and list(_faults_of_records(artifact)):
        return [part.number for part in artifact.parts]  # it does not show which of them it is
    return sorted({*damaged, *unsaid})


def records_are_summed(artifact: Artifact) -> bool:
    """Say whether each completion record is sound and ends in its own sum."""
    records = [_record(artifact, part)[0] for part in artifact.parts]
    staged = bool(artifact.manifest["schema"])
    return staged and all(record is not None and "sum" in record for record in records)


def _record_of(part: Part) -> str:
    return f"part-{part.number:05d}.json"


def _records_of(artifact: Artifact) -> set[str]:
    """Return the names of the records; a folder of files has none."""
    return {_record_of(part) for part in artifact.parts} if artifact.manifest["schema"] else set()


def _record(artifact: Artifact, part: Part) -> tuple[dict[str, Any] | None, Corrupt | None]:
    """Return the completion record of a part, and what is wrong with it."""
    path = artifact.path / _record_of(part)
    of_part = artifact.manifest["parts"][part.number]
    try:
        data = files.read_small(path)
        record = json.loads(data)
        sound = is_sound_record(record, data) and record["fingerprint"] == artifact.fingerprint
        sound = sound and ("sum" in record or not ledger.read(artifact.path).get("record_sums"))
        sound = sound and all(record[name] == value for name, value in of_part.items())
        what = "says something else than the manifest"
    except FileNotFoundError:
        record, sound, what = None, False, "is missing"
    except (OSError, ValueError, RecursionError) as error:
        record, sound, what = None, False, f"cannot be read: {error}"
    if sound:
        return record, None
    return None, Corrupt(
        f"the completion record of part {part.number} {what}",
        where=path,
        do=f"{made_again(artifact.path)}; the data are as they were",
    )


def _faults_of_books(artifact: Artifact) -> Iterator[Corrupt]:
    """Every query came out, or was dropped for one reason: never both, never twice."""
    if artifact.kind not in KEYED_BY_QUERY:
        return
    dropped = list(chain.from_iterable(artifact.dropped.values()))
    tables = (artifact.table(part.number)["query"] for part in artifact.parts)
    came_out = {query for column in tables for query in column.unique().to_pylist()}
    twice = len(dropped) - len(set(dropped)) + len(came_out & set(dropped))
    if twice:
        yield Corrupt(
            f"the books do not balance: {twice} queries came out and were dropped, or were "
            "dropped for two reasons",
            where=artifact.path / MANIFEST,
            do=made_again(artifact.path),
        )
