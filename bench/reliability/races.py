"""Two processes at one thing at the same moment: one wins, the other is told, nothing is torn.

Four things are raced for in turn: an artifact, a manifest with other bytes, a folder for others,
and a name. A case is one race of two processes that begin together.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from reliability.outcome import Form, Result
from store_workers import squares
from strikes import Ended, at_once, in_child, leftovers

from rankmill.mining.store import Workspace, files

QUERIES, SIZE = 12, 6


def run(form: Form) -> Result:
    """Run `form.count` races."""
    result = Result()
    named = in_child(partial(_two, form.place / "named")).told
    oracle = named[0]
    races: dict[str, Callable[[Path], tuple[list[Ended], str]]] = {
        "an artifact": partial(_artifact, oracle),
        "a manifest": _manifest,
        "a folder": _folder,
        "a name": partial(_name, form.place / "named"),
    }
    kinds, winners = list(races), 0
    for number in range(form.count):
        if form.late():
            result.notes.append(f"the time was over after {number} of {form.count} races")
            break
        kind, place = kinds[number % len(kinds)], form.place / "race"
        place.mkdir()
        outcomes, complaint = races[kind](place)
        winners += sum(not one.error for one in outcomes)
        result.cases += 1
        result.inject(f"races for {kind}")
        foreign = [one.trace or one.error for one in outcomes if not one.explained]
        if complaint or foreign:
            result.wrong.append(f"race {number} for {kind}: {complaint or foreign[0]}")
        shutil.rmtree(place)
    result.roots = [oracle]
    result.figures["ended without an error, of two in each race"] = winners
    return result


def _two(root: Path) -> list[str]:
    """Make two artifacts that a name can be given to; returns their root hashes."""
    workspace = Workspace(root)
    return [workspace.build(squares(queries, SIZE)).root_hash for queries in (QUERIES, 7)]


def _build(root: Path) -> str:
    return Workspace(root).build(squares(QUERIES, SIZE)).root_hash


def _artifact(oracle: str, place: Path) -> tuple[list[Ended], str]:
    """Both make it, or one is told that the other does; it is whole."""
    root = place / "work"
    outcomes = at_once([partial(_build, root)] * 2)
    made = {one.told for one in outcomes if not one.error}
    others = {one.error for one in outcomes if one.error}
    if made != {oracle} or others - {"Locked"}:
        return outcomes, f"made {made}, errors {others}"
    faults = [str(f) for a in Workspace(root).artifacts() for f in a.faults()]
    left = leftovers(root)
    return outcomes, "; ".join(faults or left)


def _publish(path: Path, data: bytes) -> None:
    files.create_only(path, data)


def _manifest(place: Path) -> tuple[list[Ended], str]:
    """One publishes; for the other it is an alarm, since the bytes differ."""
    path, said = place / "manifest.json", [b'{"a":1}', b'{"a":2}']
    outcomes = at_once([partial(_publish, path, data) for data in said])
    won = [data for data, one in zip(said, outcomes, strict=True) if not one.error]
    if len(won) != 1 or path.read_bytes() != won[0] or len(list(place.iterdir())) != 1:
        return outcomes, f"{len(won)} published, {sorted(p.name for p in place.iterdir())} is there"
    return outcomes, ""


def _fill(target: Path, text: str) -> None:
    with files.building(target) as folder:
        (folder / "who").write_text(text)


def _folder(place: Path) -> tuple[list[Ended], str]:
    """One fills it; the other is told, before or after, and changes nothing."""
    target, said = place / "out", ["0", "1"]
    outcomes = at_once([partial(_fill, target, text) for text in said])
    won = [text for text, one in zip(said, outcomes, strict=True) if not one.error]
    others = {one.error for one in outcomes if one.error}
    whole = (target / "who").exists() and (target / "who").read_text() in won
    if (
        len(won) != 1
        or not whole
        or others - {"Locked", "BadInput"}
        or len(list(place.iterdir())) > 1
    ):
        return outcomes, f"filled by {won}, errors {others}"
    return outcomes, ""


def _alias(root: Path, which: int) -> None:
    workspace = Workspace(root)
    workspace.alias("mine", list(workspace.artifacts())[which])


def _name(root: Path, place: Path) -> tuple[list[Ended], str]:
    """Both give it; it stands for one of the two."""
    outcomes = at_once([partial(_alias, root, which) for which in (0, 1)])
    errors = [one.error for one in outcomes if one.error]
    workspace = Workspace(root)
    there = [p.name for p in (root / "names").iterdir()]
    known = {a.fingerprint for a in workspace.artifacts()}
    if errors or there != ["mine.json"] or workspace.find("mine").fingerprint not in known:
        return outcomes, f"errors {errors}, names {there}"
    return outcomes, ""
