"""Read an export with ColBERT's own batcher, the texts taken before they are tokenised.

The package imports its indexer, which wants FAISS and a compiler; the reading code does not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from without_init import without_init

without_init("colbert")
from colbert.infra.config.config import ColBERTConfig  # noqa: E402
from colbert.training import lazy_batcher  # noqa: E402


class Texts(lazy_batcher.LazyBatcher):
    """The batcher, one group at a time."""

    def collate(self, queries: list[str], passages: list[str], scores: list[float]) -> dict:
        assert len(passages) == len(scores) == self.nway
        return {"query": queries[0], "docs": passages, "scores": scores}


def main(export: Path, out: Path) -> None:
    size = json.loads((export / "export.json").read_text())["group_size"]
    lazy_batcher.QueryTokenizer = lazy_batcher.DocTokenizer = lambda config: None
    files = (str(export / name) for name in ("train.json", "queries.tsv", "collection.tsv"))
    groups = Texts(ColBERTConfig(bsize=1, accumsteps=1, nway=size), *files)
    with out.open("w", encoding="utf-8") as stream:
        for group in groups:
            stream.write(json.dumps(group, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
