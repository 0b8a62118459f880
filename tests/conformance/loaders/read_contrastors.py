"""Read shards with contrastors' own stream, the texts taken before they are tokenised."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from without_init import without_init

without_init("contrastors")  # it imports models, which want CUDA extensions
from contrastors.dataset.text_text_loader import StreamingShardDataset  # noqa: E402

SPEC = """datasets:
  - name: rankmill
    bucket: "{export}/shard-{{00000..00000}}.jsonl.gz"
    kd_loss: true
    objective:
      type: triplet
      columns: [query, document, negatives]
"""


class Texts(StreamingShardDataset):
    """The stream, its batches as they are before the tokenizer."""

    def create_stream(self, path: str, processed: int):
        # At the end of a shard it deletes an entry that it makes for downloaded shards only.
        self.path2stream[path] = None
        return super().create_stream(path, processed)

    def tokenize_pairs(self, samples: list[dict], objective: dict) -> list[dict]:
        return samples


def main(export: Path, out: Path) -> None:
    facts = json.loads((export / "export.json").read_text())
    spec = out.parent / "spec.yaml"
    spec.write_text(SPEC.format(export=export))
    groups = Texts(str(spec), 1, None, seed=0, num_negatives=facts["group_size"] - 1, verbose=False)
    with out.open("w", encoding="utf-8") as stream:
        for batch in groups:
            for row in batch:
                line = {"query": row["query"], "docs": row["document"], "scores": row["kd_scores"]}
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
