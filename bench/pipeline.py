"""The whole way of the data in the shape of MS MARCO, one command a stage: seconds, memory, bytes.

    python bench/pipeline.py [--quick] [--data DIR] [--docs N] [--queries N] [--part whole|all]
                             [--workers N] [--lists N]

`whole`: collect, BM25 index and run, random run, pool, stored scores, selection of 16, statistics,
three exports, verify. `all`: also the same collection from TSV, gzip, JSON Lines and Parquet;
scores from Parquet, TSV, JSON Lines and list columns; a TREC run; a pool as Parquet; summary,
audit, explain. Text is that of bench/scale.py. Every command is a process of its own: its wall and
processor seconds and its peak memory are the system's figures for that process and its children.
With `--lists N` a folder of lists of N scores for every query is imported and selected from too:
the stored lists as candidates, pool, selection, statistics.
With `--workers N` the whole way is done a second time by N Ray actors and the root hashes are
compared. Default 8,841,823 documents and 502,939 queries; quick: 50,000 and 2,000.
Everything is kept under `--data` (default ./rankmill-pipeline); what is there is not made again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import scale
from _memory import Watch
from _report import figure, finish

from rankmill.mining.store import Workspace

DOCS, QUERIES, DEPTH, SIZE = 8_841_823, 502_939, 200, 16
RANKMILL = [sys.executable, "-m", "rankmill"]
READERS = {"parquet": "parquet", "tsv": "tsv", "tsv-gz": "tsv", "jsonl": "jsonl"}
TSV = pacsv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")


# ---- files as others publish them ----------------------------------------------------------------


def write_once(path: Path, write: Callable[[Path], None]) -> Path:
    """Make a file under another name and rename it, unless it is there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"unfinished-{path.name}")
        write(unfinished)
        unfinished.rename(path)
    return path


def collections(root: Path, docs: int, queries: int, forms: Iterable[str]) -> dict[str, Path]:
    """Return the folder of the collection in each format."""
    base = root / f"parquet-{docs}-{queries}"
    scale.write_collection(base, docs, queries)
    asked = pq.read_table(base / "queries.parquet")
    judged = pa.table(
        {
            "query_id": asked["query_id"],
            "doc_id": asked["made_from"],
            "grade": np.ones(len(asked), np.int16),
        }
    )
    write_once(base / "qrels" / "train.parquet", lambda path: pq.write_table(judged, path))
    made = {"parquet": base}
    for name in forms:
        made[name] = folder = root / f"{name}-{docs}-{queries}"
        ending = name.replace("-", ".")
        for table in ("documents", "queries", "qrels/train"):
            source = base / f"{table}.parquet"
            write_once(folder / f"{table}.{ending}", partial(convert, source, name))
    return made


def convert(source: Path, name: str, to: Path) -> None:
    """Write a Parquet file's rows as lines."""
    opened: Any = partial(gzip.open, compresslevel=3) if name == "tsv-gz" else open
    with pq.ParquetFile(source) as file, opened(to, "wb") as out:
        names = [n for n in file.schema_arrow.names if n != "made_from"]
        for batch in file.iter_batches(65_536, columns=names):
            if name == "jsonl":
                pl.DataFrame(pl.from_arrow(batch)).write_ndjson(out)
            else:
                pacsv.write_csv(pa.Table.from_batches([batch]), out, TSV)


def pairs_of(workspace: Path, name: str) -> Iterator[pa.Table]:
    """Yield (query_id, doc_id, score) of every pair of a pool, part by part; scores are made up."""
    pool = Workspace(workspace).find(name, "pool")
    collection = Workspace(workspace).find("ms", "collection")
    doc_ids = pa.concat_tables(collection.input("corpus").tables())["doc_id"].combine_chunks()
    query_ids = pa.concat_tables(collection.input("queries").tables())["query_id"].combine_chunks()
    for number, table in enumerate(pool.tables()):
        docs = table["doc"].combine_chunks()
        lengths = pc.list_value_length(docs).to_numpy()
        random = np.random.Generator(np.random.Philox(key=[20_261_128, number]))
        score = random.normal(0, 4, int(lengths.sum())).astype(np.float32)
        query = np.repeat(table["query"].to_numpy(), lengths)
        columns = [query_ids.take(pa.array(query)), doc_ids.take(docs.flatten()), pa.array(score)]
        yield pa.table(columns, names=["query_id", "doc_id", "score"])


def score_files(root: Path, workspace: Path, forms: Iterable[str]) -> dict[str, Path]:
    """Return the files of made-up scores of the pool `pool`, Parquet and the formats asked for."""
    folder = root / f"scores-{workspace.name}"
    flat = write_once(folder / "scores.parquet", partial(write_pairs, workspace))
    write: dict[str, Callable[[Path], None]] = {
        "tsv": partial(convert, flat, "tsv"),
        "jsonl": partial(convert, flat, "jsonl"),
        "lists.parquet": partial(write_lists, flat),
        "trec": partial(write_trec, flat),
    }
    made = {name: write_once(folder / f"scores.{name}", write[name]) for name in forms}
    return {"parquet": flat, **made}


def write_pairs(workspace: Path, path: Path) -> None:
    tables = pairs_of(workspace, "pool")
    first = next(tables)
    with pq.ParquetWriter(path, first.schema) as out:
        out.write_table(first)
        for table in tables:
            out.write_table(table)


def write_lists(flat: Path, path: Path) -> None:
    with pq.ParquetFile(flat) as file:
        out = None
        for group in range(file.num_row_groups):
            table = file.read_row_group(group).combine_chunks()
            runs = pc.run_end_encode(table["query_id"].chunk(0))
            ends = np.concatenate([[0], runs.run_ends.to_numpy()]).astype(np.int32)
            row = pa.table(
                {
                    "query_id": runs.values,
                    "document_ids": pa.ListArray.from_arrays(ends, table["doc_id"].chunk(0)),
                    "scores": pa.ListArray.from_arrays(ends, table["score"].chunk(0)),
                }
            )
            out = out or pq.ParquetWriter(path, row.schema)
            out.write_table(row)
        if out is not None:
            out.close()


def long_lists(root: Path, workspace: Path, length: int) -> Path:
    """Return a folder of shards of lists of made-up scores: `length` documents of every query."""
    collection = Workspace(workspace).find("ms", "collection")
    doc_ids = pa.concat_tables(collection.input("corpus").tables())["doc_id"].combine_chunks()
    docs, folder = len(doc_ids), root / f"lists-{length}"
    query_ids = pa.concat_tables(collection.input("queries").tables())["query_id"].combine_chunks()

    def shard(first: int, last: int, path: Path) -> None:
        out = None
        for start in range(first, last, 2048):
            queries = np.arange(start, min(start + 2048, last))
            step = queries % (docs // length) + 1  # no list goes round the corpus: none repeats one
            place = (queries[:, None] * 7919 + np.arange(length) * step[:, None]) % docs
            random = np.random.Generator(np.random.Philox(key=[20_261_129, start]))
            score = random.normal(0, 4, place.size).astype(np.float32)
            ends = pa.array(np.arange(0, place.size + 1, length), pa.int32())
            ids = doc_ids.take(pa.array(place.reshape(-1)))
            columns = {
                "query_id": query_ids.take(pa.array(queries)),
                "document_ids": pa.ListArray.from_arrays(ends, ids),
                "scores": pa.ListArray.from_arrays(ends, pa.array(score)),
            }
            table = pa.table(columns)
            out = out or pq.ParquetWriter(path, table.schema, use_dictionary=False)
            out.write_table(table)
        if out is not None:
            out.close()

    cuts = np.linspace(0, len(query_ids), 9).astype(int).tolist()
    for number, (first, last) in enumerate(zip(cuts[:-1], cuts[1:], strict=True)):
        write_once(folder / f"train-{number:05d}-of-00008.parquet", partial(shard, first, last))
    return folder


def write_trec(flat: Path, path: Path) -> None:
    """Write the pairs as a run: of every query the best first, as systems write them."""
    options = pacsv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none")
    with pq.ParquetFile(flat) as file, path.open("wb") as out:
        for group in range(file.num_row_groups):
            table = pl.DataFrame(pl.from_arrow(file.read_row_group(group)))
            table = table.with_columns(row=pl.col("query_id").rle_id())
            table = table.sort(["row", "score"], descending=[False, True], maintain_order=True)
            rank = (pl.int_range(pl.len()).over("row") + 1).alias("rank")
            zero, tag = pl.lit("Q0").alias("q0"), pl.lit("made").alias("tag")
            table = table.select("query_id", zero, "doc_id", rank, "score", tag)
            pacsv.write_csv(table.to_arrow(), out, options)


# ---- commands ------------------------------------------------------------------------------------


@dataclass
class Spent:
    """What one command took."""

    wall: float
    cpu: float
    rss: float  # bytes, the most at one time of the process and its children
    bytes: int  # added to the workspace
    output: dict[str, Any] = field(default_factory=dict)


Steps = dict[str, Spent]


def size_of(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def command(workspace: Path, *arguments: str) -> Spent:
    """Run one command of rankmill, and refuse to go on when it fails."""
    before, began = size_of(workspace), time.perf_counter()
    words = [*RANKMILL, *arguments, "--workspace", str(workspace)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    spent = os.times()
    with Watch(process.pid, children=True, every=0.1) as memory:
        out, err = process.communicate()
    after = os.times()
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}\nended with {process.returncode}:\n{err[-3000:]}")
    cpu = after.children_user + after.children_system - spent.children_user - spent.children_system
    wall = time.perf_counter() - began
    lines = out.strip().splitlines()
    told = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return Spent(wall, cpu, memory.most, size_of(workspace) - before, told)


def whole(workspace: Path, source: str, scores: Callable[[], Path], workers: int) -> Steps:
    """Do the whole way; `scores()` makes the file of stored scores when the pool is there."""
    many = ["--workers", str(workers)] if workers else []
    spent: Steps = {}

    def step(name: str, *words: str) -> None:
        spent[name] = command(workspace, *words)
        tell(name, spent[name])

    step("collect", "collect", source, "--name", "ms")
    asked = ["-c", "ms", "--split", "train", "--depth", str(DEPTH), *many]
    step("bm25", "mine", "bm25(k1=0.9,b=0.4)", *asked, "--name", "bm25")
    step("random", "mine", "random", *asked, "--name", "random")
    step("pool", "pool", "bm25", "random", "--name", "pool", *many)
    asked = ["-c", "ms", "--as", "scores", "--kind", "logit", "--name", "scores"]
    step("scores", "import", str(scores()), *asked)
    asked = ["--pool", "pool", "--scores", "scores", "--size", str(SIZE), "--name", "groups", *many]
    strategy = f"uniform(source=bm25,last={DEPTH})"
    step("select", "select", strategy, *asked, "--filter", "margin(gap=0.5)")
    step("stats", "stats", "--groups", "groups", "--name", "stats", *many)
    for form in ("sentence-transformers", "tevatron", "colbert"):
        to = workspace.parent / f"export-{workspace.name}-{form}"
        shutil.rmtree(to, ignore_errors=True)
        step(f"export {form}", "export", form, "--groups", "groups", "--to", str(to))
    step("verify", "verify", "groups")
    return spent


def tell(name: str, spent: Spent) -> None:
    print(
        f"{name:30} {spent.wall:8.1f} s {spent.cpu:8.1f} s of processors "
        f"{spent.rss / 1e9:6.2f} GB {spent.bytes / 1e9:7.2f} GB on disk",
        flush=True,
    )


def hashes(workspace: Path) -> dict[str, str]:
    names = ("ms", "bm25", "random", "pool", "scores", "groups", "stats")
    roots = {}
    for name in names:
        words = [*RANKMILL, "hash", name, "--workspace", str(workspace)]
        roots[name] = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return roots


def doors(root: Path, folders: dict[str, Path], files: dict[str, Path]) -> Steps:
    """Every way in and the ways to look, each into a workspace that holds the collection only."""
    spent: Steps = {}

    def timed(name: str, workspace: Path, *words: str) -> None:
        spent[name] = command(workspace, *words)
        tell(name, spent[name])

    for name, folder in folders.items():
        fresh = root / f"work-door-{name}"
        shutil.rmtree(fresh, ignore_errors=True)
        timed(f"collect {name}", fresh, "collect", f"{READERS[name]}:{folder}")
        shutil.rmtree(fresh, ignore_errors=True)
    place = root / "work-doors"
    shutil.rmtree(place, ignore_errors=True)
    command(place, "collect", f"parquet:{folders['parquet']}", "--name", "ms")
    for name, file in files.items():
        if name == "trec":
            timed("import run", place, "import", str(file), "-c", "ms", "--split", "train")
        else:
            words = ["-c", "ms", "--as", "scores", "--kind", "logit"]
            timed(f"import scores {name}", place, "import", str(file), *words)
    shutil.rmtree(place, ignore_errors=True)
    place = root / "work"
    table = root / "pool.parquet"
    words = ["--rows", "0", "--format", "parquet", "--to", str(table)]
    timed("show pool as Parquet", place, "show", "pool", *words)
    timed("summary", place, "summary", "stats")
    timed("audit", place, "audit", "--groups", "groups")
    timed("explain", place, "explain", "q7", "--groups", "groups")
    return spent


def of_lists(root: Path, work: Path, length: int) -> Steps:
    """Import long lists of scores of every query: what the disk holds at most, besides seconds."""
    folder, place = long_lists(root, work, length), root / "work-lists"
    shutil.rmtree(place, ignore_errors=True)
    command(place, "collect", f"tsv:{next(root.glob('tsv-*'))}", "--name", "ms")
    before, most, done = size_of(place), [0], threading.Event()

    def watch() -> None:
        while not done.wait(1):
            most[0] = max(most[0], used(place))

    watcher = threading.Thread(target=watch)
    watcher.start()
    words = ["-c", "ms", "--as", "scores", "--kind", "logit", "--name", "scores"]
    spent = {"import lists": command(place, "import", str(folder), *words)}
    done.set()
    watcher.join()
    tell("import lists", spent["import lists"])
    print(f"  the disk held {(most[0] - before) / 1e9:.1f} GB of it at most")
    asked = ["-c", "ms", "--split", "train", "--depth", str(length), "--name", "lists"]
    both = ["--pool", "pool", "--scores", "scores", "--size", str(SIZE), "--name", "groups"]
    chosen = ["select", f"uniform(last={length})", *both, "--filter", "margin(gap=0.5)"]
    ways = {
        "mine lists": ["mine", "stored(scores=scores)", *asked],
        "pool lists": ["pool", "lists", "--name", "pool"],
        "select of lists": [*chosen, "--missing", "drop_doc"],
        "stats of lists": ["stats", "--groups", "groups", "--name", "stats"],
    }
    for name, words in ways.items():
        spent[name] = command(place, *words)
        tell(name, spent[name])
    return spent


def used(folder: Path) -> int:
    """Return the bytes that files take on the disk, those with holes too."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_blocks * 512
        except FileNotFoundError:
            continue  # renamed or removed meanwhile
    return total


GOALS = {  # of the full size on two cores: seconds of wall time
    "collect tsv": 40,
    "summary": 10,
    "audit": 20,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="50,000 documents, 2,000 queries")
    parser.add_argument("--data", type=Path, default=Path("rankmill-pipeline"))
    parser.add_argument("--docs", type=int, help=f"default {DOCS:,}")
    parser.add_argument("--queries", type=int, help=f"default {QUERIES:,}")
    parser.add_argument("--part", choices=("whole", "all"), default="whole")
    parser.add_argument("--workers", type=int, default=0, help="a second time by so many actors")
    parser.add_argument("--lists", type=int, default=0, help="scores of so many documents a query")
    options = parser.parse_args()
    docs = options.docs or (50_000 if options.quick else DOCS)
    queries = options.queries or (2_000 if options.quick else QUERIES)
    root = (options.data / f"{docs}-{queries}").absolute()
    every = options.part != "whole"
    folders = collections(root, docs, queries, ["tsv", *(["tsv-gz", "jsonl"] if every else [])])
    work = root / "work"
    shutil.rmtree(work, ignore_errors=True)
    source = f"tsv:{folders['tsv']}"
    scores = partial(score_files, root, work, ())
    print(f"{docs:,} documents, {queries:,} queries: the whole way", flush=True)
    spent = whole(work, source, lambda: scores()["parquet"], 0)
    figures = {name: figure(s.wall, {}, 0, GOALS.get(name, 0), "s") for name, s in spent.items()}
    minutes = sum(s.wall for s in spent.values()) / 60
    figures["whole way"] = figure(minutes, {}, 0, 45, "min")
    figures["most memory"] = figure(max(s.rss for s in spent.values()) / 1e9, {}, 0, 6, "GB")
    figures["disk"] = figure(size_of(work) / 1e9, {}, 0, 60, "GB")
    print(f"whole way: {minutes:.1f} min, {size_of(work) / 1e9:.2f} GB on disk")
    if options.workers:
        again = root / "work-workers"
        shutil.rmtree(again, ignore_errors=True)
        print(f"again with {options.workers} actors")
        whole(again, source, lambda: scores()["parquet"], options.workers)
        differ = [n for n, h in hashes(work).items() if hashes(again)[n] != h]
        if differ:
            raise SystemExit(f"other root hashes with actors: {', '.join(differ)}")
        print("the same root hashes")
        shutil.rmtree(again)
    if every:
        files = score_files(root, work, ("tsv", "jsonl", "lists.parquet", "trec"))
        for name, s in doors(root, folders, files).items():
            figures[name] = figure(s.wall, {}, 0, GOALS.get(name, 0), "s")
    if options.lists:
        for name, s in of_lists(root, work, options.lists).items():
            figures[name] = figure(s.wall, {}, 0, GOALS.get(name, 0), "s")
    finish("pipeline", figures)


if __name__ == "__main__":
    main()
