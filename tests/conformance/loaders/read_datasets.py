"""Open exports with `datasets`: a folder with its card, and one laid out as by `save_to_disk`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from datasets import load_dataset, load_from_disk


def main(export: Path, out: Path) -> None:
    megatron = (export / "state.json").exists()
    with out.open("w", encoding="utf-8") as stream:
        for query, docs, scores in (on_disk if megatron else folder)(export):
            line = {"query": query, "docs": docs, "scores": scores}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


def on_disk(export: Path) -> Iterator[tuple[str, list[str], list[float]]]:
    for row in load_from_disk(str(export)):
        assert all(passage["title"] == "" for passage in row["passages"])
        yield row["query"], [p["text"] for p in row["passages"]], row["scores"]


def folder(export: Path) -> Iterator[tuple[str, list[str], list[float]]]:
    tables = {
        name: load_dataset(str(export), name, split="train")
        for name in ("groups", "queries", "documents")
    }
    assert load_dataset(str(export), split="train").column_names == tables["groups"].column_names
    queries = dict(zip(tables["queries"]["query_id"], tables["queries"]["text"], strict=True))
    docs = dict(zip(tables["documents"]["doc_id"], tables["documents"]["text"], strict=True))
    for row in tables["groups"]:
        assert row["grades"][0] > 0
        yield queries[row["query_id"]], [docs[d] for d in row["doc_ids"]], row["scores"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
