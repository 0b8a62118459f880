"""Importing a run: what it holds in memory does not grow with the file, and nothing is left."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from tiny_collection import tiny_beir

from rankmill.mining.collection import Collection, collect
from rankmill.mining.runs import files, trec_lines
from rankmill.mining.runs.files import import_run
from rankmill.mining.runs.run import Run
from rankmill.mining.store import Workspace

QUERIES, DOCS = 300, 3_000
COLUMNS = 24  # bytes of a line: query and document 4 each, rank 4, score 8, line 4 at the least


def peak(workspace: Workspace, collection: Collection, path: Path, queries: int) -> int:
    """Return the most bytes of Python and NumPy that importing lists of all documents takes."""
    with path.open("w") as out:
        for query in range(queries):
            rows = (f"q{query} Q0 d{d} {d + 1} {DOCS - d} t\n" for d in range(DOCS))
            out.write("".join(rows))
    tracemalloc.start()
    import_run(workspace, path, collection, "train")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_lines_are_not_held_in_memory(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_SLAB", 100_000)
    monkeypatch.setattr(trec_lines, "_BLOCK_BYTES", 1 << 20)
    folder = tmp_path / "many"
    (folder / "qrels").mkdir(parents=True)
    (folder / "documents.tsv").write_text("".join(f"d{i}\tx\n" for i in range(DOCS)))
    (folder / "queries.tsv").write_text("".join(f"q{i}\tx\n" for i in range(QUERIES)))
    (folder / "qrels" / "train.tsv").write_text("".join(f"q{i}\td{i}\t1\n" for i in range(QUERIES)))
    collection = collect(workspace, f"tsv:{folder}")
    few, many = QUERIES // 3, QUERIES
    short = peak(workspace, collection, tmp_path / "short.run", few)
    long = peak(workspace, collection, tmp_path / "long.run", many)
    assert long - short < COLUMNS * (many - few) * DOCS / 2
    assert not [p for p in (workspace.root / "tmp").iterdir() if p.is_file()]


def test_lists_are_the_same_in_whatever_order_the_lines_stand(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    collection = collect(workspace, f"beir:{tiny_beir(tmp_path / 'beir', docs=60, queries=12)}")
    queries = collection.queries.query_ids(collection.split_queries("train"))
    docs = collection.corpus.ids(range(9))
    lines = [
        f"{q} Q0 {d} {rank} {10 - rank} t\n" for q in queries for rank, d in enumerate(docs, 1)
    ]
    runs = []
    for name, step in (("sorted", 1), ("turned", -1), ("mixed", 7)):
        path = tmp_path / f"{name}.run"
        path.write_text("".join(lines[i * step % len(lines)] for i in range(len(lines))))
        runs.append(Run(import_run(workspace, path, collection, "train", tag="t")))
    for row in range(len(queries)):
        lists = [run.row(row)[1].tolist() for run in runs]
        assert lists[0] == lists[1] == lists[2] == list(range(9))
