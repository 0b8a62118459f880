"""Every stage, struck at its steps on the disk: it goes on, and makes what it makes undisturbed.

A case is one step of one stage: a child makes the stage and is struck there, another makes it
again. Then everything in its workspace and what it wrote for others is as in the oracle, nothing
temporary is left, and what was made verifies. The stages before it are found, by links to the
oracle's folders.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from every_kind import SHORT, STEPS, World, every_kind
from reliability.outcome import Form, Result
from strikes import Ended, counted, in_child, leftovers
from tiny_models import tiny_cross_encoder
from tiny_study import RECIPE, study_place

from rankmill import api
from rankmill.mining.store import Workspace

Step = Callable[[World], None]
INJECTED = {"kill": "kills", "lost": "lost acknowledgements"}
HEAVY = {"rankmill", "torch", "transformers", "faiss", "tokenizers", "safetensors", "scipy"}
STUDY = (
    RECIPE.partition('[study.axes."train.student"]')[0]
    .replace('loss = "kl"', 'loss = "kl"\nstudent = "bi_encoder(model=encoder,layers=1)"')
    .replace("seeds = [1, 2]", "seeds = [1]")
)


def _cross_encoder(world: World) -> None:
    teacher = f"cross_encoder(model={world.inputs / 'cross'},max_length=40)"
    api.score(teacher, world("pool"), name="crossed")


def _checkpoints(world: World) -> None:
    student = f"bi_encoder(model={world.inputs / 'encoder'},layers=1)"
    settings = SHORT | {"documents": 48, "checkpoint_steps": 2}
    to = outside(world) / "student"
    _if_absent(to, lambda: api.train(student, world("groups"), loss="kl", to=to, **settings))


def _export(world: World) -> None:
    for form in ("sentence-transformers", "colbert"):
        to = outside(world) / form
        write = partial(api.export, form, world("groups"), to=to, allow_lossy=True)
        _if_absent(to, write)


def _study(world: World) -> None:
    with contextlib.chdir(world.inputs / "study"):  # its recipe names files beside it
        api.study("one.toml", workspace=world.workspace.root)


def _if_absent(to: Path, write: Callable[[], Any]) -> None:
    """Write a folder for others, which is refused where it is there: it is there whole or not at
    all."""
    if not to.exists():
        write()


MORE: dict[str, Step] = {
    "score, cross-encoder": _cross_encoder,
    "train with checkpoints, --to": _checkpoints,
    "export": _export,
    "study": _study,
}


def outside(world: World) -> Path:
    """Return the folder for what a stage writes outside the workspace."""
    return world.workspace.root.parent / "out"


def write_more(inputs: Path) -> None:
    """Write what `MORE` reads."""
    tiny_cross_encoder(inputs / "cross", seed=3)
    study_place(inputs / "study")
    (inputs / "study" / "one.toml").write_text(STUDY)


def snapshot(world: World) -> dict[str, str]:
    """Return the root hash of each artifact, and the hash of each name and each file outside."""
    roots = {f"{a.kind}/{a.fingerprint}": a.root_hash for a in world.workspace.artifacts()}
    beside = [p for p in (world.workspace.root / "names").glob("*.json") if p.is_file()]
    beside += [p for p in outside(world).rglob("*") if p.is_file()]
    for path in beside:
        name = path.relative_to(world.workspace.root.parent).as_posix()
        roots[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return roots


def prepare(form: Form) -> Result:
    """Make the workspace with every kind of artifact, and what else the stages read."""
    every_kind(form.world)
    write_more(form.world)
    return Result(cases=1)


def kills(form: Form) -> Result:
    """Kill every stage at its steps."""
    return swept(form, ("kill",))


def disk(form: Form) -> Result:
    """Let the disk be full, fail, and lose acknowledgements, in turn."""
    return swept(form, ("ENOSPC", "EIO", "lost"))


def swept(form: Form, faults: tuple[str, ...]) -> Result:
    """Strike every stage at steps drawn evenly, `form.count` in all; each of `faults` in turn."""
    result, steps = Result(), STEPS | MORE
    told = in_child(partial(_oracle, form.world, form.place / "oracle", steps))
    if told.error:
        raise RuntimeError(f"the oracle could not be made: {told.trace}")
    made = told.told["made"]
    _import(told.told["modules"])
    form = replace(form, began=time.monotonic())  # the oracle's time is not counted
    points = {name: one["steps"] for name, one in made.items()}
    result.figures["steps on the disk by stage"] = points
    chosen = _chosen(points, form.count, form.seed)
    for number, (name, at) in enumerate(chosen):
        if form.late():
            result.notes.append(f"the time was over after {number} of {len(chosen)} cases")
            break
        fault = faults[number % len(faults)]
        case = _Case(name, steps[name], earlier(made, name), made[name], fault, at)
        complaint = _tried(form, case, result)
        result.cases += 1
        if complaint:
            result.wrong.append(f"{name}, {fault} at step {at}: {complaint}")
    whole = list(made.values())[-1]["roots"]
    result.roots = [hashlib.sha256(repr(sorted(whole.items())).encode()).hexdigest()]
    result.notes.append("the root hash is one over all artifacts, names, exports of the oracle")
    after = in_child(partial(_faults, form.place / "oracle" / "work"))
    result.wrong += [f"the oracle was changed: {fault}" for fault in after.told or []]
    return result


def _chosen(points: dict[str, int], count: int, seed: int) -> list[tuple[str, int]]:
    """Return steps of stages, evenly spaced in each, about `count` of them or all there are.

    Every stage has the same share: at least three, its first and its last among them.
    """
    if count >= sum(points.values()):
        return [(name, at) for name, steps in points.items() for at in range(1, steps + 1)]
    chosen = []
    for name, steps in points.items():
        share = min(max(3, round(count / len(points))), steps)
        places = {1 + (steps - 1) * i // max(share - 1, 1) for i in range(share)}
        inner = {min(max(2, at + seed % 3 - 1), steps - 1) for at in places - {1, steps}}
        chosen += [(name, at) for at in sorted(inner | {1, steps})]
    return chosen


def _oracle(inputs: Path, place: Path, steps: dict[str, Step]) -> dict[str, Any]:
    """Make every stage once; returns what was there after each, and its steps on the disk."""
    world = World(inputs, Workspace(place / "work"))
    made = {}
    for name, step in steps.items():
        before = counted()
        step(world)
        taken, calls = (now - then for now, then in zip(counted(), before, strict=True))
        made[name] = {"steps": taken, "calls": calls, "roots": snapshot(world)}
    return {"made": made, "modules": sorted(sys.modules)}


def _import(modules: list[str]) -> None:
    """Import what the oracle has imported, so that the children of this process have it at once.

    Modules that are made at run time are in the list too, and cannot be imported.
    """
    for name in modules:
        if name.partition(".")[0] in HEAVY and name not in sys.modules:
            with contextlib.suppress(ImportError, AttributeError):
                importlib.import_module(name)
    gc.freeze()  # else each child copies the pages that its collector looks at


def earlier(made: dict[str, Any], name: str) -> dict[str, str]:
    """Return what was there before a stage."""
    names = list(made)
    place = names.index(name)
    return made[names[place - 1]]["roots"] if place else {}


@dataclass(frozen=True, slots=True)
class _Case:
    """One stage, what was there before and after it in the oracle, and where it is struck."""

    name: str
    step: Step
    earlier: dict[str, str]
    made: dict[str, Any]
    fault: str
    at: int

    @property
    def place(self) -> int:
        """The step on the disk; of a lost acknowledgement the rename or link as far on the way."""
        if self.fault != "lost":
            return self.at
        return 1 + (self.at - 1) * self.made["calls"] // self.made["steps"]


def _tried(form: Form, case: _Case, result: Result) -> str:
    """Strike one stage at one step, and make it again; returns what is wrong."""
    place = form.place / "victim"
    world = World(form.world, _victim(form.place / "oracle", place, case.earlier))
    try:
        struck = in_child(partial(case.step, world), case.fault, case.place)
        if struck.struck:
            result.inject(INJECTED.get(case.fault, f"{case.fault} errors"))
        if not struck.explained:
            return f"an error that is none of ours: {struck.trace or struck.error}"
        again = in_child(partial(_again, case.step, world))
        if again.error:
            return f"not resumed: {again.trace or again.error}"
        return _compared(again, case.made["roots"])
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _compared(again: Ended, expected: dict[str, str]) -> str:
    roots, left, faults = again.told["roots"], again.told["left"], again.told["faults"]
    if roots != expected:
        other = sorted(
            name for name in roots.keys() | expected if roots.get(name) != expected.get(name)
        )
        return f"other than the oracle: {other[:5]}"
    return f"left behind: {left[:3]}" if left else "; ".join(faults[:3])


def _victim(oracle: Path, place: Path, earlier: dict[str, str]) -> Workspace:
    """Return a workspace with links to what was there before a stage, and copies of the rest."""
    for name in earlier:
        source, target = oracle / "work" / name, place / "work" / name
        if name.startswith(("work/", "out/")):
            source, target = oracle / name, place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            target.symlink_to(source)
        else:
            shutil.copy2(source, target)
    return Workspace(place / "work")


def _again(step: Step, world: World) -> dict[str, Any]:
    """Make a stage again; returns what is there, what is left, what does not verify."""
    step(world)
    own = [a for a in world.workspace.artifacts() if not a.path.is_symlink()]
    left = leftovers(world.workspace.root) + leftovers(outside(world))
    return {
        "roots": snapshot(world),
        "left": left,
        "faults": [str(fault) for artifact in own for fault in artifact.faults()],
    }


def _faults(root: Path) -> list[str]:
    return [str(fault) for a in Workspace(root).artifacts() for fault in a.faults()]
