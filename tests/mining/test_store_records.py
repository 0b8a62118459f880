"""Completion records of an artifact that is not finished: what they say decides what is published,
so one that was changed is made again with its part, or refused; never believed."""

from __future__ import annotations

import copy
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from object_store import Machines
from store_workers import squares

from rankmill.mining.errors import BadInput, Corrupt
from rankmill.mining.store import Artifact, Workspace
from rankmill.mining.store.manifest import canonical_json
from rankmill.mining.store.parts.records import kept_record
from rankmill.mining.store.sums import is_sound_record

ODD: tuple[Any, ...] = (None, [], {}, "x", -1, 10**30, 1.5, True, 1, 0, {"pairs": 3})
Mutation = Callable[[Path], object]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose artifact has two of its four parts."""
    place = tmp_path_factory.mktemp("begun") / "work"
    with pytest.raises(BadInput, match="a bad query"):
        Workspace(place).build(squares(mischief="fail:2"))
    return place


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The artifact as it is made undisturbed."""
    return Workspace(tmp_path_factory.mktemp("oracle")).build(squares())


def resumed(begun: Path, place: Path, mutate: Mutation) -> tuple[Workspace, Path]:
    """Return a copy of what was begun, changed, and its folder."""
    shutil.copytree(begun, place)
    (folder,) = (place / "run").iterdir()
    mutate(folder)
    return Workspace(place), folder


def put(path: Path, data: bytes) -> None:
    """Write in the place of a published file."""
    path.unlink()
    path.write_bytes(data)


def edits(record: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every edit of every field of a record, with what it is."""
    for key, value in record.items():
        more: tuple[Any, ...] = (value + 1,) if isinstance(value, int) else ()
        if key == "dropped":
            more = ({"seventh": [5]}, {"other": [6]}, {"seventh": [6, 6]}, {"seventh": "x"})
        if key == "file":
            more = ("part-00001.arrow", "../../../x", "/etc/passwd")
        for new in (*ODD, *more):
            if type(new) is not type(value) or new != value:
                yield f"{key}: {new!r}", copy.deepcopy(record) | {key: new}
        yield f"no {key}", {name: one for name, one in record.items() if name != key}
    yield "more", record | {"more": 1}
    yield "examples", record | {"examples": {"x": ["y"]}}


def test_no_edit_and_no_flipped_bit_of_a_record_is_believed(begun: Path, tmp_path: Path) -> None:
    (path,) = begun.glob("run/*/part-00000.json")
    fingerprint, whole = path.parent.name, path.read_bytes()
    record = json.loads(whole)
    changed = {what: canonical_json(told) for what, told in edits(record) if what != "no sum"}
    for place, bit in itertools.product(range(len(whole)), range(8)):
        data = bytearray(whole)
        data[place] ^= 1 << bit
        changed[f"bit {bit} of byte {place}"] = bytes(data)
    assert kept_record(path, fingerprint) == record
    other = tmp_path / path.name
    for what, told in changed.items():
        other.write_bytes(told)
        if names_another(told, fingerprint):
            with pytest.raises(Corrupt, match="lies in the folder of"):
                kept_record(other, fingerprint)
        else:
            assert kept_record(other, fingerprint) is None, what


@pytest.mark.parametrize(
    "change",
    [
        {"counts": {}},
        {"counts": None},
        {"dropped": {"other": [6]}},
        {"rows": 8},
        {"fingerprint": None},
        {"examples": {"x": ["y"]}},
    ],
    ids=str,
)
def test_what_was_begun_with_a_changed_record_comes_out_as_ever(
    begun: Path, oracle: Artifact, tmp_path: Path, change: dict[str, Any]
) -> None:
    def mutate(folder: Path) -> None:
        path = folder / "part-00000.json"
        put(path, canonical_json(json.loads(path.read_bytes()) | change))

    workspace, _ = resumed(begun, tmp_path / "work", mutate)
    made = workspace.build(squares())
    assert (made.root_hash, made.faults()) == (oracle.root_hash, [])


def names_another(record: bytes, fingerprint: str) -> bool:
    """Say whether a record seems to be one of another artifact."""
    try:
        said = json.loads(record).get("fingerprint", "")
    except ValueError:
        return False
    return said != fingerprint and re.fullmatch("[0-9a-f]{40}", str(said)) is not None


def exchanged(folder: Path, endings: tuple[str, ...]) -> None:
    """Let files of two parts change places."""
    for ending in endings:
        first, second = (folder / f"part-0000{n}.{ending}" for n in (0, 1))
        first.rename(folder / "aside")
        second.rename(first)
        (folder / "aside").rename(second)


def doubled(folder: Path) -> None:
    """Let the second part and its record stand in the place of the first."""
    for ending in ("json", "arrow"):
        put(folder / f"part-00000.{ending}", (folder / f"part-00001.{ending}").read_bytes())


@pytest.mark.parametrize(
    "mutate",
    [
        lambda folder: exchanged(folder, ("json",)),
        lambda folder: exchanged(folder, ("arrow",)),
        lambda folder: exchanged(folder, ("json", "arrow")),
        doubled,
    ],
    ids=["records", "data", "parts", "doubled"],
)
def test_parts_in_each_others_place_are_made_again(
    begun: Path, oracle: Artifact, tmp_path: Path, mutate: Mutation
) -> None:
    workspace, _ = resumed(begun, tmp_path / "work", mutate)
    made = workspace.build(squares())
    assert (made.root_hash, made.faults()) == (oracle.root_hash, [])


def without_sum(folder: Path) -> None:
    """Write the records as earlier versions did."""
    for path in folder.glob("part-*.json"):
        told = json.loads(path.read_bytes())
        told.pop("sum", None)
        put(path, canonical_json(told))


def test_records_of_earlier_versions_are_read(
    begun: Path, oracle: Artifact, tmp_path: Path
) -> None:
    workspace, _ = resumed(begun, tmp_path / "work", without_sum)
    trace = tmp_path / "trace"
    made = workspace.build(squares(trace=str(trace)))
    assert trace.read_text().split() == ["2", "3"]
    assert (made.root_hash, made.faults()) == (oracle.root_hash, [])
    again = Workspace(tmp_path / "again").build(squares())
    without_sum(again.path)
    assert len(again.faults()) == len(again.parts)  # these had sums when they were published


def test_a_changed_record_of_a_store_is_not_believed(machine: Machines, oracle: Artifact) -> None:
    here = machine()
    with pytest.raises(BadInput, match="a bad query"):
        here.build(squares(mischief="fail:2"))
    name = f"run/{oracle.fingerprint}/part-00000.json"
    assert here.mirror is not None
    record = here.mirror.bucket.get(name)
    assert record is not None
    told = json.loads(record)
    assert is_sound_record(told, record)
    here.mirror.bucket.put(name, canonical_json(told | {"counts": {"pairs": 3}}))
    made = machine().build(squares())
    assert (made.root_hash, made.faults()) == (oracle.root_hash, [])
