"""Exports of groups of 16: groups a second where ids are written, bytes a second where texts are.

    python bench/exports.py [--quick] [--data DIR]

Groups over synthetic texts, made on disk first (`--data DIR` keeps them there). The peer looks ids
and texts up row by row and prints each row with `json`, as export scripts do. Memory is the growth
of what the process itself holds, without the pages of mapped files, at two sizes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from _memory import Watch
from _report import figure, finish

from rankmill.mining.collection import Collection
from rankmill.mining.exports import export_groups
from rankmill.mining.groups.format import GroupArrays, Groups, groups_table
from rankmill.mining.store import Output, Stage, Workspace, split_by_work
from rankmill.mining.store.tables import CORPUS, QUERIES, groups_schema

SIZE, WORDS, GROUPS_PER_S, MB_PER_S, GROWTH_MB = 16, 60, 200_000, 100, 700
IDS = ("sentence-transformers", "trove", "colbert", "rankers", "tevatron-ids", "trec")
TEXTS = ("tevatron", "flag-embedding", "sentence-transformers-rows", "lsr", "contrastors")


# ---- data ----------------------------------------------------------------------------------------


class Texts:
    """Rows of random words; ids as MS MARCO has them."""

    def __init__(self, words: int):
        self.words = words
        letters = np.random.Generator(np.random.Philox(1)).integers(97, 123, (5_000, 6))
        self.known = np.array([bytes(row.astype(np.uint8)).decode() for row in letters], object)

    def __call__(self, shard):
        random = np.random.Generator(np.random.Philox(shard.start))
        n = shard.stop - shard.start
        drawn = self.known[random.integers(0, len(self.known), (n, self.words))]
        ids = [str(7 * i + 1) for i in range(shard.start, shard.stop)]
        schema = CORPUS if self.words == WORDS else QUERIES
        rows = [" ".join(row) for row in drawn]
        return Output(pa.table([ids, rows], names=schema.names).cast(schema))


class Draws:
    """Groups of distinct random documents with random scores, one a query."""

    def __init__(self, docs: int):
        self.docs = docs

    def __call__(self, shard):
        n = shard.stop - shard.start
        random = np.random.Generator(np.random.Philox(shard.start))
        first = random.integers(0, self.docs, (n, 1))
        doc = (first + random.permutation(SIZE) * (self.docs // SIZE)) % self.docs
        groups = GroupArrays(
            query=np.arange(shard.start, shard.stop, dtype=np.uint32),
            doc=doc.astype(np.uint32),
            score=random.normal(0, 4, (n, SIZE)).astype(np.float32),
            grade=np.tile(np.arange(SIZE) == 0, (n, 1)).astype(np.int8),
            inclusion=np.full((n, SIZE), 0.1, np.float32),
        )
        return Output(groups_table(groups))


def make(workspace: Workspace, groups: int, docs: int):
    """Write a collection and groups; returns the groups and the collection."""
    artifacts = {}
    for kind, n, words, schema in (
        ("corpus", docs, WORDS, CORPUS),
        ("queries", groups, 8, QUERIES),
    ):
        stage = Stage(
            kind=kind,
            parameters={"bench": "exports", "rows": n},
            inputs={},
            schema=schema,
            shards=partial(split_by_work, np.ones(n), 200_000),
            worker=Texts,
            options={"words": words},
        )
        artifacts[kind] = workspace.build(stage)
    whole = workspace.build_folder("collection", {"bench": groups}, artifacts, lambda *_: None)
    stage = Stage(
        kind="groups",
        parameters={"size": SIZE, "bench": groups, "docs": docs},
        inputs=artifacts,
        schema=groups_schema(SIZE),
        shards=lambda: split_by_work(np.ones(groups), 500_000),
        worker=Draws,
        options={"docs": docs},
        metadata={"kind": "logit"},
    )
    return workspace.build(stage), Collection(whole)


# ---- the peer ------------------------------------------------------------------------------------


def rows_with_json(setting, path: Path, texts: bool, sample: int) -> tuple[float, int]:
    """Write `sample` groups row by row; returns (groups per second, bytes)."""
    groups, collection = setting
    corpus = pa.concat_tables(collection.corpus.artifact.tables())
    queries = pa.concat_tables(collection.queries.artifact.tables())
    column = corpus["text" if texts else "doc_id"]
    asked = queries["text" if texts else "query_id"]
    part = Groups(groups).part(0)
    began = time.perf_counter()
    with path.open("w", encoding="utf-8") as out:
        for row in range(min(sample, len(part))):
            docs = [column[int(d)].as_py() for d in part.doc[row]]
            line = {"query": asked[int(part.query[row])].as_py(), "docs": docs}
            line["scores"] = part.score[row].tolist()
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    return min(sample, len(part)) / (time.perf_counter() - began), path.stat().st_size


# ---- ours ----------------------------------------------------------------------------------------


def measured(form: str, setting, folder: Path) -> tuple[float, int, int]:
    """Export once; returns (seconds, bytes, growth of memory in bytes)."""
    groups, collection = setting
    shutil.rmtree(folder, ignore_errors=True)
    with Watch() as watch:
        began = time.perf_counter()
        made = export_groups(form, groups, collection, folder, allow_lossy=True)
        seconds = time.perf_counter() - began
    return seconds, made.bytes, watch.most - watch.base


def check(setting, folder: Path) -> None:
    """A few rows of one id and one text format are what plain look-ups give."""
    groups, collection = setting
    for form, read in (
        ("trove", lambda r: (r["qid"], r["docid"], r["score"])),
        ("flag-embedding", lambda r: (r["query"], r["pos"] + r["neg"], r["pos_scores"])),
    ):
        shutil.rmtree(folder, ignore_errors=True)
        made = export_groups(form, groups, collection, folder)
        name = next(n for n in made.facts["files"] if n.endswith("train.jsonl"))
        with (made.path / name).open(encoding="utf-8") as lines:
            for number, line in zip(range(50), lines, strict=False):
                group = Groups(groups)[number]
                texts, queries = collection.corpus, collection.queries
                by_id = form == "trove"
                query = (queries.query_id if by_id else queries.text)(int(group.query[0]))
                docs = (texts.doc_ids if by_id else texts.texts)(group.doc[0])
                row = read(json.loads(line))
                assert row[:2] == (query, docs)
                scores = np.array(row[2], np.float32)
                assert (scores == group.score[0][: len(scores)]).all()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small data, ends within 50 s")
    parser.add_argument("--data", type=Path, help="keep the data in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        workspace = Workspace(options.data or place / "work")
        run(workspace, place, options.quick)


def run(workspace: Workspace, place: Path, quick: bool) -> None:
    small, large, docs = (25_000, 100_000, 100_000) if quick else (250_000, 1_000_000, 1_000_000)
    few, many = make(workspace, small, docs), make(workspace, large, docs)
    check(few, place / "out")
    for form in ("colbert", "contrastors"):  # kernels are compiled or loaded before the clock runs
        measured(form, few, place / "out")
    figures = {}
    for form in (*IDS, *TEXTS):
        texts = form in TEXTS
        setting, n = (few, small) if texts else (many, large)
        seconds, size, _ = measured(form, setting, place / "out")
        sample = 2_000
        peer, peer_bytes = rows_with_json(setting, place / "peer.jsonl", texts, sample)
        if texts:
            size = max(size, n * SIZE * WORDS * 7)  # packed files: count what went into them
            ours, theirs = size / seconds / 1e6, peer_bytes / sample * peer / 1e6
            entry = figure(ours, {"rows": theirs}, ours / theirs, MB_PER_S, "MB/s")
        else:
            ours = n / seconds
            entry = figure(ours, {"rows": peer}, ours / peer, GROUPS_PER_S, "groups of 16/s")
        figures[form] = entry
    for form in ("sentence-transformers", "tevatron"):
        growth = [measured(form, setting, place / "out")[2] / 1e6 for setting in (few, many)]
        figures[f"{form} memory"] = figure(
            growth[1], {"a quarter of the groups": growth[0]}, growth[1] / max(1, growth[0]),
            GROWTH_MB, "MB of its own at the peak",
        )  # fmt: skip
    for name, entry in figures.items():
        peers = ", ".join(f"{k} {v:,.0f}" for k, v in entry["peers"].items())
        print(
            f"{name:34} {entry['ours']:>12,.0f} {entry['unit']:26} goal {entry['goal']:,}  {peers}"
        )
    finish("exports", figures)


if __name__ == "__main__":
    main()
