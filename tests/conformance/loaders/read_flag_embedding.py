"""Read an export with FlagEmbedding's own code and take one optimiser step on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from FlagEmbedding.abc.finetune.embedder import (
    AbsEmbedderCollator,
    AbsEmbedderDataArguments,
    AbsEmbedderTrainDataset,
)
from FlagEmbedding.finetune.embedder.encoder_only.base import BiEncoderOnlyEmbedderModel
from transformers import AutoModel, AutoTokenizer


def main(export: Path, out: Path, model: str) -> None:
    size = json.loads((export / "export.json").read_text())["group_size"]
    tokenizer = AutoTokenizer.from_pretrained(model)
    data = data_set(export, tokenizer, size)
    with out.open("w", encoding="utf-8") as stream:
        for number in range(len(data)):
            query, docs, scores = data[number]
            line = {"query": query, "docs": docs, "scores": scores}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": step(data_set(export, tokenizer, 4), tokenizer, model)}))


def data_set(export: Path, tokenizer, size: int) -> AbsEmbedderTrainDataset:
    """The folder, as a user would give it: the loader reads every JSON file in it."""
    arguments = AbsEmbedderDataArguments(
        train_data=[str(export / "train")],
        train_group_size=size,
        knowledge_distillation=True,
        cache_path=str(export.parent / "cache"),
    )
    return AbsEmbedderTrainDataset(args=arguments, tokenizer=tokenizer)


def step(data: AbsEmbedderTrainDataset, tokenizer, model: str) -> float:
    student = BiEncoderOnlyEmbedderModel(
        AutoModel.from_pretrained(model), tokenizer=tokenizer, kd_loss_type="kl_div"
    )
    student.train()
    collate = AbsEmbedderCollator(
        tokenizer=tokenizer, query_max_len=32, passage_max_len=64, return_tensors="pt"
    )
    batch = collate([data[number] for number in range(4)])
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-4)
    before = next(student.parameters()).detach().clone()
    loss = student(**batch).loss
    loss.backward()
    optimiser.step()
    assert not before.equal(next(student.parameters()).detach()), "the step changed nothing"
    return float(loss)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
