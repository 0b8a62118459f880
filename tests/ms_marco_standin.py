"""MS MARCO, TREC DL and two BEIR sets in small: files of the same shape, where ir_datasets keeps
its own copies, so that its own classes read them under their own ids."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

from tiny_collection import tiny_beir


def stand_in(home: Path, *, docs: int = 400, queries: int = 60) -> Path:
    """Fill a folder for IR_DATASETS_HOME; returns the scores of a published file, for `imported`.

    The passages, queries and judgements of `tiny_beir`: even queries for training, the odd ones
    shared by the two evaluation years; judgements as TREC writes them, queries of every subset in
    one file each, as on Microsoft's servers.
    """
    tiny = tiny_beir(home / "tiny", docs=docs, queries=queries, seed=4)
    corpus = _rows(tiny / "corpus.jsonl")
    passages = [row for row in corpus if row["_id"].startswith("d")]
    asked = _rows(tiny / "queries.jsonl")
    place = home / "msmarco-passage"
    for name in ("train", "trec-dl-2019", "trec-dl-2020"):
        (place / name).mkdir(parents=True)
    (place / "irds_version.txt").write_text("v2")
    lines = [f"{row['_id'][1:]}\t{row['title']} {row['text']}\n" for row in passages]
    (place / "collection.tsv").write_text("".join(lines), encoding="utf-8")
    texts = {row["_id"]: row["text"] for row in asked}
    judged = {split: _judged(tiny / "qrels" / f"{split}.tsv") for split in ("train", "test")}
    train = sorted({q for q, _, _ in judged["train"]})
    years = sorted({q for q, _, _ in judged["test"]})
    halves = {"trec-dl-2019": years[::2], "trec-dl-2020": years[1::2]}
    # Training judgements hold the positives only; a query without judgements stands beside them.
    _write_queries(place / "train" / "queries.tsv", [*train, years[0]], texts)
    _write_qrels(place / "train" / "qrels", [row for row in judged["train"] if row[2] > 0])
    for year, ids in halves.items():
        rows = [row for row in judged["test"] if row[0] in ids]
        _write_qrels(place / year / "qrels", rows)
    _write_queries(place / "trec-dl-2019" / "queries.tsv", years, texts)
    packed = place / "trec-dl-2020" / "queries.tsv.gz"
    _write_queries(packed, years, texts)
    for name in ("nfcorpus", "scifact"):
        (home / "beir" / name).mkdir(parents=True)
        with zipfile.ZipFile(home / "beir" / name / "source.zip", "w") as out:
            for file, texts_of in (("corpus", corpus), ("queries", asked)):
                lines = [json.dumps({**row, "metadata": {"url": "-"}}) + "\n" for row in texts_of]
                out.writestr(f"{name}/{file}.jsonl", "".join(lines))
            for split, source in (("train", "train"), ("dev", "test"), ("test", "test")):
                out.write(tiny / "qrels" / f"{source}.tsv", f"{name}/qrels/{split}.tsv")
    return _scores(home / "scores.jsonl", train, len(passages), judged["train"])


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").strip().split("\n")]


def _judged(path: Path) -> list[tuple[str, str, int]]:
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    return [(q[1:], d[1:], int(grade)) for q, d, grade in rows]


def _write_queries(path: Path, ids: list[str], texts: dict[str, str]) -> None:
    lines = "".join(f"{one}\t{texts[f'q{one}']}\n" for one in ids)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines.encode()))
    else:
        path.write_text(lines, encoding="utf-8")


def _write_qrels(path: Path, rows: list[tuple[str, str, int]]) -> None:
    path.write_text("".join(f"{q} 0 {d} {grade}\n" for q, d, grade in rows))


def _scores(path: Path, queries: list[str], docs: int, judged: list) -> Path:
    """Write a score for most pairs: high for positives, none for every seventh document."""
    good = {(q, d) for q, d, grade in judged if grade > 0}
    with path.open("w") as out:
        for number, query in enumerate(queries):
            for doc in range(docs):
                if doc % 7 and (query, str(doc)) not in good:
                    score = -8 + (doc * 37 + number * 11) % 100 / 10
                    row = {"query_id": query, "doc_id": str(doc), "score": score}
                    out.write(json.dumps(row) + "\n")
        for query, doc in sorted(good):
            out.write(json.dumps({"query_id": query, "doc_id": doc, "score": 9.5}) + "\n")
    return path
