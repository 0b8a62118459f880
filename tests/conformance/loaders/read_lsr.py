"""Read triples with LSR's class for distillation; the triples of a group stand together."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lsr.datasets.triplet_distil_dataset import TripletDistilDataset


def main(export: Path, out: Path) -> None:
    negatives = json.loads((export / "export.json").read_text())["group_size"] - 1
    rows = TripletDistilDataset(str(export / "triplets.tsv"))
    with out.open("w", encoding="utf-8") as stream:
        for at in range(0, len(rows), negatives):
            found = [rows[at + i] for i in range(negatives)]
            query, positive, _, score, _ = found[0]
            assert all((row[0], row[1], row[3]) == (query, positive, score) for row in found)
            line = {
                "query": query,
                "docs": [positive, *(row[2] for row in found)],
                "scores": [score, *(row[4] for row in found)],
            }
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
