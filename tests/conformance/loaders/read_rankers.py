"""Read an export with the data set class of rankers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rankers.datasets.corpus import Corpus
from rankers.datasets.dataset import TrainingDataset


def main(export: Path, out: Path) -> None:
    documents, queries = (
        json.loads((export / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("documents", "queries")
    )
    data = TrainingDataset(
        str(export / "train.jsonl"),
        Corpus(documents=documents, queries=queries),
        teacher_file=str(export / "teacher.json"),
        group_size=json.loads((export / "export.json").read_text())["group_size"],
    )
    with out.open("w", encoding="utf-8") as stream:
        for number in range(len(data)):
            query, docs, scores = data[number]
            line = {"query": query, "docs": list(docs), "scores": list(scores)}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
