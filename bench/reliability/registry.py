"""The experiments: what each is called, how often it is done, and why one cannot be done here.

Another experiment is one entry here and one module with `run(form) -> Result`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

QUICK, CHAOS = "quick", "chaos"


def _nothing() -> str:
    return ""


def _needs(*packages: str) -> Callable[[], str]:
    def missing() -> str:
        absent = [name for name in packages if importlib.util.find_spec(name) is None]
        return f"not installed here: {', '.join(absent)}" if absent else ""

    return missing


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is tried. `target` is `module:function`; empty for one that is announced, and not there
    yet. `counts`: cases by form; in the longer one there may be fewer where there are no more."""

    name: str
    title: str
    target: str
    counts: dict[str, int]
    world: bool = False  # it needs the workspace with every kind of artifact
    reason: Callable[[], str] = _nothing  # why it cannot be done here, if it cannot


EXPERIMENTS = (
    Experiment(
        "golden",
        "Golden files of every kind at this format version are read",
        "reliability.golden:run",
        {QUICK: 1, CHAOS: 1},
    ),
    Experiment(
        "kills",
        "Every stage killed at its steps on the disk, and resumed",
        "reliability.sweep:kills",
        {QUICK: 90, CHAOS: 1_000_000},
        world=True,
    ),
    Experiment(
        "disk",
        "Every stage with a full disk, errors of the disk, lost acknowledgements",
        "reliability.sweep:disk",
        {QUICK: 54, CHAOS: 1_000_000},
        world=True,
    ),
    Experiment(
        "damage",
        "Every file of every kind damaged: found, and parts repaired",
        "reliability.damage:run",
        {QUICK: 1_200, CHAOS: 20_000},
        world=True,
    ),
    Experiment(
        "parts",
        "Parts changed behind matching hashes, read by every stage",
        "reliability.parts:run",
        {QUICK: 2_000, CHAOS: 100_000},
        world=True,
    ),
    Experiment(
        "inputs",
        "Files from outside changed at random, given to the commands that read them",
        "reliability.inputs:run",
        {QUICK: 150, CHAOS: 20_000},
    ),
    Experiment(
        "races",
        "Two processes at one artifact, manifest, folder or name",
        "reliability.races:run",
        {QUICK: 1_000, CHAOS: 10_000},
    ),
    Experiment(
        "schedules",
        "Every stage under threads × executors × environments × orders",
        "reliability.schedules:run",
        {QUICK: 2, CHAOS: 12},
        reason=_needs("ray"),
    ),
    Experiment(
        "raylets",
        "Raylets and actors of a Ray cluster killed while a stage runs",
        "reliability.raylets:run",
        {QUICK: 6, CHAOS: 100},
        reason=_needs("ray"),
    ),
    Experiment(
        "objects",
        "A workspace on an object store with errors, torn uploads, lost acknowledgements",
        "reliability.objects:run",
        {QUICK: 40, CHAOS: 2_000},
        reason=_needs("moto", "obstore"),
    ),
)
