"""Read scores with SPLADE's data set, and triples with the class of its older distillation.

The data set draws negatives, with repetition when asked for as many as there are: it is asked for
one fewer until all were seen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from splade.datasets.datasets import DistilPairsDatasetPreLoad
from splade.hf.datasets import L2I_Dataset

Group = tuple[str, list[str], list[float]]


def main(export: Path, out: Path) -> None:
    negatives = json.loads((export / "export.json").read_text())["group_size"] - 1
    groups = triples if (export / "raw.tsv").exists() else drawn
    with out.open("w", encoding="utf-8") as stream:
        for query, docs, scores in groups(export, negatives):
            line = {"query": query, "docs": docs, "scores": scores}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


def drawn(export: Path, negatives: int) -> Iterator[Group]:
    kind = "json" if (export / "scores.json").exists() else "trec"
    data = L2I_Dataset(
        str(export / "collection.tsv"),
        str(export / "queries.tsv"),
        str(export / "qrels.json"),
        n_negatives=negatives - 1,
        training_file_path=str(export / f"scores.{kind}"),
        training_data_type=kind,
    )
    for number in range(len(data)):
        found: dict[tuple[str, float], int] = {}
        for _ in range(1_000):
            (query, positive, *others), scores = data[number]
            first, *rest = scores.reshape(-1).tolist()
            pairs = list(zip(others, rest, strict=True))
            found |= {p: max(pairs.count(p), found.get(p, 0)) for p in pairs}
            if sum(found.values()) == negatives:
                break
        assert sum(found.values()) == negatives, query
        flat = [pair for pair, times in found.items() for _ in range(times)]
        yield query, [positive, *(d for d, _ in flat)], [first, *(s for _, s in flat)]


def triples(export: Path, negatives: int) -> Iterator[Group]:
    rows = DistilPairsDatasetPreLoad(str(export))
    for at in range(0, len(rows), negatives):
        found = [rows[at + i] for i in range(negatives)]
        query, positive, _, score, _ = found[0]
        assert all((row[0], row[1], row[3]) == (query, positive, score) for row in found)
        yield query, [positive, *(r[2] for r in found)], [score, *(r[4] for r in found)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
