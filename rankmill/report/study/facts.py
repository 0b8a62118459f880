"""What a study's folder says of itself in JSON: which study and part, what was declared, on which
machines and when it was measured."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill.mining.errors import BadInput, UsageError, need
from rankmill.mining.inputs.given_paths import path_given
from rankmill.mining.store.places import check_folder_place
from rankmill.study.grid.hypotheses import declared_hash

if TYPE_CHECKING:
    from rankmill.study.grid.outcome import StudyOutcome

NAME = "study.json"


def facts_of(outcome: StudyOutcome) -> dict[str, Any]:
    """Return what a reader of the tables must know of them, as plain values.

    `machines`: where students were trained, by their ledgers, each with the processor (None in
    ledgers of earlier versions), the platform, how many students, and the first and last day (UTC).
    """
    study = outcome.study
    return {
        "study": study.name,
        "title": study.title,
        "recipe": study.where,
        "overrides": list(study.overrides),
        "cells": len(study.cells),
        "seeds": list(study.seeds),
        "hypotheses_sha256": declared_hash(study.declared),
        "claims": [one.name for one in study.hypotheses],
        "claims_elsewhere": [one.name for one in study.elsewhere],
        "machines": machines_of(outcome),
        "versions": versions_of(outcome),
    }


def machines_of(outcome: StudyOutcome) -> list[dict[str, Any]]:
    """Return the machines that trained the students, in the order of the cells."""
    machines: dict[tuple[Any, Any], list[str]] = {}
    for ledger in _ledgers(outcome):
        key = ledger.get("processor"), ledger.get("platform")
        machines.setdefault(key, []).append(str(ledger.get("finished", "")))
    return [
        {
            "processor": processor,
            "platform": system,
            "students": len(days),
            "first": min(days)[:10] or None,
            "last": max(days)[:10] or None,
        }
        for (processor, system), days in machines.items()
    ]


def versions_of(outcome: StudyOutcome) -> dict[str, str]:
    """Return the versions of what students were trained with, several of one package with `/`
    between, and of what wrote this."""
    known: dict[str, dict[str, None]] = {}
    for ledger in _ledgers(outcome):
        for name, version in ledger.get("versions", {}).items():
            known.setdefault(name, {})[version] = None
    written = {
        "python": platform.python_version(),
        "written by rankmill": metadata.version("rankmill"),
    }
    return written | {name: "/".join(versions) for name, versions in known.items()}


def place_of(machine: Mapping[str, Any]) -> str:
    """Say where and when some students were trained: the processor, the platform, the days."""
    days = dict.fromkeys(day for day in (machine["first"], machine["last"]) if day)
    said = (machine["processor"], machine["platform"], " to ".join(days))
    return ", ".join(one for one in said if one)


def _ledgers(outcome: StudyOutcome) -> list[Mapping[str, Any]]:
    return [one.cost() for track in outcome.engine.tracks for one in track.students.values()]


def check_study_place(folder: str | Path, name: str) -> None:
    """Raise BadInput or UsageError, before any work, where a study's folder cannot be made, or
    holds the tables of another study; MissingDependency where no page could be drawn."""
    need("matplotlib")
    check_folder_place(folder, empty=False)
    path = path_given(folder) / NAME
    if not path.exists():
        return
    try:
        other = json.loads(path.read_text(encoding="utf-8"))["study"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"this is no {NAME} of a study: {error}",
            where=path,
            do="name another folder, or remove the file",
        ) from error
    if other != name:
        raise UsageError(
            f"the folder holds the results of the study {other!r}, this one is {name!r}",
            where=folder,
            do="name another folder: tables of two studies in one would be taken for one",
        )
