"""Read the three layouts of NeMo Automodel with its own data sets; it takes no teacher scores."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from nemo_automodel.components.datasets.llm.retrieval_dataset import make_retrieval_dataset
from nemo_automodel.components.datasets.llm.retrieval_dataset_normalized import (
    make_normalized_retrieval_dataset,
)


def main(export: Path, out: Path) -> None:
    size = json.loads((export / "export.json").read_text())["group_size"]
    if (export / "metadata.json").exists():
        data = make_normalized_retrieval_dataset(str(export), n_passages=size)
    else:
        (file,) = export.glob("train.json*")
        data = make_retrieval_dataset(str(file), n_passages=size)
    with out.open("w", encoding="utf-8") as stream:
        for row in data:
            line = {"query": row["question"], "docs": row["doc_text"], "scores": None}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
