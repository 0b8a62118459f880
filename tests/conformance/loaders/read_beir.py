"""Read a collection with BEIR's own loader: queries with the grades of their documents."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from beir.datasets.data_loader import GenericDataLoader


def main(export: Path, out: Path) -> None:
    corpus, queries, qrels = GenericDataLoader(str(export)).load("train")
    with out.open("w", encoding="utf-8") as stream:
        for query, grades in qrels.items():
            line = {
                "query": queries[query],
                "docs": [corpus[doc]["text"] for doc in grades],
                "scores": list(grades.values()),
            }
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
