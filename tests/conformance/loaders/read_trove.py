"""Read grouped JSON lines with Trove's own data set: passages with their scores."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from trove import DataArguments, MaterializedQRelConfig, MultiLevelDataset


def main(export: Path, out: Path) -> None:
    config = MaterializedQRelConfig(
        qrel_path=str(export / "train.jsonl"),
        query_path=str(export / "queries.jsonl"),
        corpus_path=str(export / "corpus.jsonl"),
    )
    size = json.loads((export / "export.json").read_text())["group_size"]
    data = MultiLevelDataset(
        data_args=DataArguments(group_size=size),
        format_query=lambda text, *_: text,
        format_passage=lambda text, *_: text,
        qrel_config=config,
        num_proc=1,
    )
    with out.open("w", encoding="utf-8") as stream:
        for number in range(len(data.all_qids)):
            group = data.create_group(number)
            line = {
                "query": group["query"],
                "docs": [passage["text"] for passage in group["passages"]],
                "scores": [passage["score"] for passage in group["passages"]],
            }
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
