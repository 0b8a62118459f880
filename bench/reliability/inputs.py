"""Files from outside, changed at random, given to the command that reads them, in limited memory.

A case is one command on one changed file. It ends well or is refused with the place and the next
step: no signal, no traceback, «this is a bug» nowhere. And it takes no more memory than the same
command takes for the file as it was, with twice the changed file and 64 MiB on top.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from attack_runner import Case, attacked, case, complaint
from reliability.outcome import Form, Result

from rankmill import api

MOST_BEYOND_MB = 64
TOKENS = (b"\0", b"[", b"{", b'"', b"\n", b"\t", b",", b"\xff", b"1e999", b"NaN", b"-", b"9" * 40)
WHOLE = "as it was"


class Door(NamedTuple):
    """A file, and the words that read it: FILE and FOLDER stand for where it lies."""

    name: str
    data: bytes
    words: str


def run(form: Form) -> Result:
    """Change files of all doors in turn, `form.count` times in all."""
    result = Result()
    os.environ["RANKMILL_WORKSPACE"] = str(form.place / "ws")
    _world(form.place)
    doors = _doors(form.place)
    cases, sizes = _cases(doors, form)
    outcomes = attacked(cases, form.place)
    usual = {one["name"].partition(":")[0]: one for one in outcomes if one["name"].endswith(WHOLE)}
    greedy = 0
    for one in outcomes:
        door = one["name"].partition(":")[0]
        beyond = one["memory_mb"] - usual[door]["memory_mb"] - 2 * sizes[one["name"]] / 2**20
        greedy = max(greedy, beyond)
        result.cases += 1
        why = complaint(one)
        if one["name"].endswith(WHOLE) and one["status"]:
            why = f"status {one['status']} for a sound file: {one['err'][-300:]}"
        if beyond > MOST_BEYOND_MB:
            why = f"took {beyond:.0f} MiB beyond twice the file"
        if why:
            result.wrong.append(f"{one['name']}: {why}")
    result.inject("files changed", result.cases - len(doors))
    result.figures |= {
        "refused": sum(one["status"] != 0 for one in outcomes),
        "doors": len(doors),
        "MiB beyond twice the file": round(greedy, 1),
    }
    return result


def _world(place: Path) -> None:
    """Make a workspace with a small collection, `t`, and scores for it, `s`."""
    good = place / "good"
    (good / "qrels").mkdir(parents=True)
    for name, data in _beir().items():
        (good / name).write_bytes(data)
    collection = api.collect(f"beir:{good}", workspace=place / "ws", name="t")
    (place / "s.jsonl").write_bytes(_lines(_SCORES))
    api.import_scores(place / "s.jsonl", collection, kind="logit", name="s")


def _beir() -> dict[str, bytes]:
    docs = [{"_id": f"d{n}", "title": f"title {n}", "text": f"text number {n}"} for n in range(9)]
    queries = [{"_id": f"q{n}", "text": f"question {n}"} for n in range(1, 4)]
    qrels = b"query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n"
    told = {"corpus.jsonl": docs, "queries.jsonl": queries}
    lines = {name: _lines(rows) for name, rows in told.items()}
    return lines | {f"qrels/{split}.tsv": qrels for split in ("train", "test")}


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _doors(place: Path) -> list[Door]:
    """Return every kind of file that commands read, small and sound."""
    docs = [{"doc_id": f"d{n}", "text": f"text number {n}"} for n in range(9)]
    scores = _SCORES
    nested = {f"q{q}": {f"d{d}": d / 4 for d in (1, 2)} for q in (1, 2)}
    imported = "import FILE --as scores --kind logit -c t"
    groups = "import FILE --as groups --format trove --kind logit -c t"
    doors = [
        Door(f"beir {name}", data, f"collect beir:FOLDER/{'../' * name.count('/')}".rstrip("/"))
        for name, data in _beir().items()
    ]
    doors += [
        Door("documents.jsonl", _lines(docs), "collect jsonl:FOLDER"),
        Door("documents.tsv", _tsv(docs, header=True), "collect tsv:FOLDER"),
        Door("documents.parquet", _parquet(docs, place), "collect parquet:FOLDER"),
        Door("run.txt", _trec(scores), "import FILE -c t --split test"),
        Door("scores.jsonl", _lines(scores), imported),
        Door("scores.json", json.dumps(nested).encode(), imported),
        Door("scores.tsv", _tsv(scores, header=False), imported),
        Door("scores.parquet", _parquet(scores, place), imported),
        Door("scores.trec", _trec(scores), imported),
        Door("groups.jsonl", b'{"qid":"q1","docid":["d1","d2"],"score":[2.5,1]}\n' * 3, groups),
        Door("recipe.toml", _RECIPE.replace(b"GOOD", bytes(place / "good")), "check FILE"),
    ]
    return doors


_SCORES: list[dict[str, Any]] = [
    {"query_id": f"q{q}", "doc_id": f"d{d}", "score": d / 4 - q} for q in (1, 2) for d in (1, 2)
]
_RECIPE = b"""name = "x"
collection = "beir:GOOD"
teacher = "stored(scores=s)"
seed = 3
[mine]
split = "train"
depth = 5
[mine.sources]
bm25 = "bm25(k1=0.9,b=0.4)"
[groups]
size = 4
[groups.samplers]
top = "uniform(source=bm25,last=5)"
"""


def _tsv(rows: list[dict[str, Any]], *, header: bool) -> bytes:
    lines = [list(rows[0])] if header else []
    lines += [list(row.values()) for row in rows]
    return "".join("\t".join(map(str, line)) + "\n" for line in lines).encode()


def _trec(rows: list[dict[str, Any]]) -> bytes:
    lines = [f"{r['query_id']} Q0 {r['doc_id']} {n} {9 - n} t\n" for n, r in enumerate(rows)]
    return "".join(lines).encode()


def _parquet(rows: list[dict[str, Any]], place: Path) -> bytes:
    path = place / "rows.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path.read_bytes()


def _cases(doors: list[Door], form: Form) -> tuple[list[Case], dict[str, int]]:
    """Write a sound file for each door and changed ones; returns the cases, and sizes by name."""
    cases, sizes = [], dict[str, int]()
    for number in range(form.count + len(doors)):
        door = doors[number % len(doors)]
        sound = number < len(doors)
        data = (
            door.data if sound else changed(door.data, np.random.default_rng([form.seed, number]))
        )
        folder = form.place / "cases" / str(number)
        path = folder / door.name.removeprefix("beir ")
        if door.name.startswith("beir "):
            shutil.copytree(form.place / "good", folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        words = door.words.replace("FILE", str(path)).replace("FOLDER", str(path.parent))
        one = case(door.name, WHOLE if sound else str(number), folder, *words.split())
        cases.append(one)
        sizes[one["name"]] = len(data)
    return cases, sizes


def changed(data: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes with one to four places changed: flipped, taken out, doubled, put in, cut."""
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(data) + 1))
        stop = min(at + int(rng.integers(1, 32)), len(data))
        change = _CHANGES[int(rng.integers(len(_CHANGES)))]
        data = change(data, at, stop, rng)
    return data


_CHANGES: tuple[Callable[[bytes, int, int, np.random.Generator], bytes], ...] = (
    lambda d, a, s, r: (
        d[:a] + bytes(b ^ (1 << int(r.integers(8))) for b in d[a : a + 1]) + d[a + 1 :]
    ),
    lambda d, a, s, r: d[:a] + d[s:],
    lambda d, a, s, r: d[:s] + d[a:s] * int(r.integers(1, 50)) + d[s:],
    lambda d, a, s, r: d[:a] + TOKENS[int(r.integers(len(TOKENS)))] * int(r.integers(1, 9)) + d[a:],
    lambda d, a, s, r: d[:a],
)
