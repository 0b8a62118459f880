"""Read training data with GPL's own data sets: margins, and negatives that fit to them.

The package imports its miner, which wants Elasticsearch; the reading code does not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from without_init import without_init

without_init("gpl", "gpl.toolkit")
from beir.datasets.data_loader import GenericDataLoader  # noqa: E402
from gpl.toolkit.dataset import (  # noqa: E402
    GenerativePseudoLabelingDataset,
    HardNegativeDataset,
)


def main(export: Path, out: Path) -> None:
    negatives = json.loads((export / "export.json").read_text())["group_size"] - 1
    corpus, queries, _ = GenericDataLoader(str(export)).load("train")
    margins = GenerativePseudoLabelingDataset(
        str(export / "gpl-training-data.tsv"), queries, corpus
    )
    mined = HardNegativeDataset(str(export / "hard-negatives.jsonl"), queries, corpus)
    with out.open("w", encoding="utf-8") as stream:
        for at in range(0, len(margins), negatives):
            rows = [margins[at + i] for i in range(negatives)]
            query, positive, _ = rows[0].texts
            assert all(row.texts[:2] == [query, positive] for row in rows)
            docs = [row.texts[2] for row in rows]
            drawn = mined[at // negatives].texts
            assert drawn[:2] == [query, positive]
            assert drawn[2] in docs
            line = {"query": query, "docs": [positive, *docs]}
            line["scores"] = [0.0, *(row.label for row in rows)]
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
