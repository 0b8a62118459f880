"""One command proves it: faults put in at random, and what comes out compared.

    python bench/reliability/run.py quick            ten minutes on two quiet cores
    python bench/reliability/run.py chaos            hours
    python bench/reliability/run.py chaos --only raylets --count raylets=100 --seconds 7200

Each experiment is a process of its own. A table for people, then one JSON line, last. The figures
go to bench/results/reliability/ by machine and form, and docs/RELIABILITY.md is written from there.
Ends with 1 if anything did not come out as promised. What cannot be done here is listed as not run.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PLACES = [str(HERE.parent), str(ROOT / "tests")]
sys.path[:] = [place for place in sys.path if place != str(HERE)]  # its modules have plain names
sys.path[:0] = PLACES

import environment  # noqa: E402

environment.settle()

from _report import commit, machine  # noqa: E402
from reliability.outcome import Form  # noqa: E402
from reliability.page import around, write_page  # noqa: E402
from reliability.registry import CHAOS, EXPERIMENTS, QUICK, Experiment  # noqa: E402

RESULTS = HERE.parent / "results" / "reliability"
SECONDS = {QUICK: 90.0, CHAOS: 6 * 3600.0}  # of one experiment, until it begins no new case
SECONDS_HELP = "of one experiment, then no new case begins; parts, inputs, schedules end by count"
GRACE_S = 1800.0  # then, for the case that runs, until it counts as hanging


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of all experiments: the form, counts by name, a bound of seconds, the seed."""

    form: str
    counts: dict[str, int]
    seconds: float
    seed: int

    def form_of(self, experiment: Experiment, place: Path, world: Path) -> Form:
        """Return what is asked of one experiment."""
        count = self.counts.get(experiment.name, experiment.counts[self.form])
        return Form(self.form, count, self.seconds, self.seed, world, place)


def perform(
    experiments: Sequence[Experiment],
    asked: Asked,
    place: Path,
    kept: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Do experiments one after the other below a folder; returns what came of each, by name.

    `kept` is given each as soon as it is there: a run that is stopped has what it has done.
    """
    world, outcomes = place / "world", dict[str, Any]()
    if any(one.world and one.target and not one.reason() for one in experiments):
        began = time.perf_counter()
        _in_process("reliability.sweep:prepare", Form("", 0, 0, 0, world, world))
        print(f"the workspace with every kind: {time.perf_counter() - began:,.0f} s", flush=True)
    for one in experiments:
        if reason := one.reason():
            outcomes[one.name] = {"not_run": reason}
        else:
            folder = place / one.name
            folder.mkdir()
            outcomes[one.name] = _timed(one.target, asked.form_of(one, folder, world))
        outcomes[one.name] |= {"title": one.title, "form": asked.form}
        kept({one.name: outcomes[one.name]})
        print(line_of(one.name, outcomes[one.name]), flush=True)
        for complaint in outcomes[one.name].get("first_wrong", []):
            print(f"    {complaint}", flush=True)
    return outcomes


def _timed(target: str, form: Form) -> dict[str, Any]:
    """Do one experiment; returns its result with seconds, or what ended it as a fault."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    try:
        told = _in_process(target, form)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        told = {"cases": 0, "injected": {}, "wrong": 1, "first_wrong": [str(error)[-3000:]]}
        told |= {"roots": [], "notes": [], "figures": {}}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if not told["cases"] and not told["wrong"]:
        told |= {"wrong": 1, "first_wrong": ["nothing was tried"]}
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    about = {"machine": machine(), "commit": commit(), "date": when, "seed": form.seed}
    return told | {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(cpu, 1),
    } | about  # fmt: skip


def _in_process(target: str, form: Form) -> dict[str, Any]:
    """Call `module:function` with a form in a process of its own; raises RuntimeError where that
    does not come to its end."""
    told = form.place.with_name(f"{form.place.name}.json")
    asked = {"name": form.name, "count": form.count, "seconds": form.seconds, "seed": form.seed}
    asked |= {"world": str(form.world), "place": str(form.place), "told": str(told)}
    paths = [*PLACES, os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    line = [sys.executable, str(HERE / "run.py"), "--child", target, json.dumps(asked)]
    with tempfile.TemporaryFile() as said:  # actors may hold it after the process has ended
        limit = form.seconds + GRACE_S
        done = subprocess.run(line, env=environment, stdout=said, stderr=said, timeout=limit)
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    if done.returncode or not told.exists():
        raise RuntimeError(f"the experiment itself ended with {done.returncode}: {text[-2500:]}")
    return json.loads(told.read_bytes())


def child(target: str, asked: dict[str, Any]) -> None:
    """Do one experiment in this process and write what came of it."""
    told = Path(asked.pop("told"))
    asked |= {name: Path(asked[name]) for name in ("world", "place")}
    module, _, name = target.partition(":")
    result = getattr(importlib.import_module(module), name)(Form(**asked))
    told.write_text(json.dumps(result.told()))


def line_of(name: str, outcome: dict[str, Any]) -> str:
    """Return a line of the table for people."""
    if "not_run" in outcome:
        return f"{name:<10} not run: {outcome['not_run']}"
    injected = ", ".join(f"{n:,} {what}" for what, n in outcome["injected"].items())
    if len(injected) > 90:
        injected = f"{sum(outcome['injected'].values()):,} of {len(outcome['injected'])} sorts"
    root = outcome["roots"][0][:12] if len(outcome["roots"]) == 1 else len(outcome["roots"]) or "–"
    took = f"{outcome['seconds']:>7,.0f} s  {outcome['cpu_seconds']:>7,.0f} s CPU"
    tried = f"{name:<10} {outcome['cases']:>7,} cases  {outcome['wrong']:>3} wrong"
    return f"{tried}  {took}  root {root}  {injected}"


def keep(outcomes: dict[str, Any], results: Path) -> None:
    """Put outcomes in the place of earlier ones of the same machine, form and name."""
    about = machine()
    slug = re.sub(r"[^a-z0-9]+", "-", f"{about['cpu']} {about['cores']} cores".lower()).strip("-")
    path = results / f"{slug}.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    for name, outcome in outcomes.items():
        kept.setdefault(outcome["form"], {})[name] = outcome
    results.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def counts_of(words: Sequence[str]) -> dict[str, int]:
    """Read `NAME=N` words."""
    return {name: int(number) for name, _, number in (word.partition("=") for word in words)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the words ask for; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--child"]:
        child(words[1], json.loads(words[2]))
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("form", choices=(QUICK, CHAOS))
    names = [one.name for one in EXPERIMENTS]
    parser.add_argument("--only", nargs="+", choices=names, help="these experiments alone")
    parser.add_argument("--count", nargs="+", default=[], metavar="NAME=N", help="cases of one")
    parser.add_argument("--seconds", type=float, help=SECONDS_HELP)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS, help="where figures are kept")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "RELIABILITY.md")
    given = parser.parse_args(words)
    try:  # before minutes, or hours, of work
        around(given.page)
    except (OSError, ValueError) as error:
        parser.error(f"--page: {error}")
    chosen = [one for one in EXPERIMENTS if not given.only or one.name in given.only]
    seconds = given.seconds or SECONDS[given.form]
    asked = Asked(given.form, counts_of(given.count), seconds, given.seed)
    with tempfile.TemporaryDirectory(prefix="reliability-") as place:
        outcomes = perform(chosen, asked, Path(place), lambda one: keep(one, given.results))
    write_page(given.results, given.page)
    print(json.dumps({"bench": "reliability", "form": given.form, "figures": outcomes,
                      "machine": machine(), "commit": commit()}))  # fmt: skip
    return int(any(outcome.get("wrong") for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
