"""Read exports with the data sets of Tevatron's repository: texts, for distillation with scores."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from without_init import without_init

without_init("tevatron.megatron")  # it imports its engine
from tevatron.megatron import distill_data  # noqa: E402
from tevatron.retriever.arguments import DataArguments  # noqa: E402
from tevatron.retriever.dataset import DistilTrainDataset, TrainDataset  # noqa: E402

Group = tuple[str, list[str], list[float] | None]
TRAINER = SimpleNamespace(state=SimpleNamespace(epoch=0), args=SimpleNamespace(seed=0))


def main(export: Path, out: Path) -> None:
    size = json.loads((export / "export.json").read_text())["group_size"]
    megatron = (export / "state.json").exists()
    with out.open("w", encoding="utf-8") as stream:
        for query, docs, scores in (pairs if megatron else retriever)(export, size):
            line = {"query": query, "docs": docs, "scores": scores}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


def retriever(export: Path, size: int) -> Iterator[Group]:
    by_id = (export / "corpus.jsonl").exists()
    arguments = DataArguments(
        dataset_name="json",
        dataset_path=str(export / "train.jsonl"),
        corpus_name="json" if by_id else None,
        corpus_path=str(export / "corpus.jsonl") if by_id else None,
        train_group_size=size,
    )
    data = (TrainDataset if by_id else DistilTrainDataset)(arguments, TRAINER)
    for number in range(len(data)):
        (query, *_), docs, *scores = data[number]
        yield query, [doc[0] for doc in docs], scores[0] if scores else None


def pairs(export: Path, size: int) -> Iterator[Group]:
    """The rows for Megatron; a pair is taken before it becomes one text."""
    distill_data.format_pair = lambda query, text, title, *_: (query, text)
    data = distill_data.MegatronRerankerDistilDataset(str(export), size, "", "", trainer=TRAINER)
    for number in range(len(data)):
        found, scores = data[number]
        yield found[0][0], [doc for _, doc in found], scores


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
