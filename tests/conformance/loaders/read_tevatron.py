"""Read inline passages with Tevatron's own code (0.1: texts only, it does not know scores).

Its preprocessor stores token ids. The tokenizer given to it here turns a text into its code points,
so that what it made of the file can be compared with the texts.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from tevatron.data import TrainDataset
from tevatron.datasets import HFTrainDataset


class CodePoints:
    """As much of a tokenizer as the loader asks for."""

    def encode(self, text: str, **_: object) -> list[int]:
        return [ord(letter) for letter in text]

    def encode_plus(self, ids: list[int], **_: object) -> list[int]:
        return ids


def main(export: Path, out: Path) -> None:
    size = json.loads((export / "export.json").read_text())["group_size"]
    arguments = SimpleNamespace(
        train_path=str(export / "train.jsonl"),
        dataset_split="train",
        dataset_name="json",
        dataset_language="default",
        q_max_len=10**6,
        p_max_len=10**6,
        dataset_proc_num=1,
        train_n_passages=size,
        passage_field_separator=" ",
        positive_passage_no_shuffle=True,
        negative_passage_no_shuffle=True,
    )
    read = HFTrainDataset(CodePoints(), arguments, str(export.parent / "cache"))
    read.preprocessor = __import__(
        "tevatron.datasets.preprocessor", fromlist=["x"]
    ).TrainPreProcessor
    trainer = SimpleNamespace(state=SimpleNamespace(epoch=0), args=SimpleNamespace(seed=0))
    data = TrainDataset(arguments, read.process(), CodePoints(), trainer)
    with out.open("w", encoding="utf-8") as stream:
        for number in range(len(data)):
            query, docs = data[number]
            line = {"query": text(query), "docs": [text(doc) for doc in docs], "scores": None}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


def text(points: list[int]) -> str:
    return "".join(map(chr, points))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
