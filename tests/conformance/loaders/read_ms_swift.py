"""Read chat messages with ms-swift's own `load_dataset`; it takes no teacher scores."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from swift.dataset import load_dataset


def main(export: Path, out: Path) -> None:
    data, _ = load_dataset(str(export / "train.jsonl"), num_proc=1, shuffle=False)
    with out.open("w", encoding="utf-8") as stream:
        for row in data:
            docs = [text(one) for one in (*row["positive_messages"], *row["negative_messages"])]
            line = {"query": text(row["messages"]), "docs": docs, "scores": None}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


def text(messages: list) -> str:
    (message,) = messages
    return message["content"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
