"""Read an export with PyLate's own code and take one optimiser step on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from datasets import load_dataset
from pylate import losses, models, utils


def main(export: Path, out: Path, model: str) -> None:
    size = json.loads((export / "export.json").read_text())["group_size"]
    train = transformed(export, size)
    with out.open("w", encoding="utf-8") as stream:
        for row in train:
            line = {"query": row["query"], "docs": row["documents"], "scores": row["scores"]}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": step(export, model)}))


def transformed(export: Path, size: int):
    train, queries, documents = (
        load_dataset("parquet", data_files=str(export / f"{name}.parquet"), split="train")
        for name in ("train", "queries", "documents")
    )
    work = utils.KDProcessing(queries=queries, documents=documents, n_ways=size)
    train.set_transform(work.transform)
    return train


def step(export: Path, model: str) -> float:
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )

    student = models.ColBERT(model_name_or_path=model, document_length=64, device="cpu")
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(export.parent / "step"),
        per_device_train_batch_size=4,
        max_steps=1,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
    )
    before = next(student.parameters()).detach().clone()
    trainer = SentenceTransformerTrainer(
        model=student,
        args=arguments,
        train_dataset=transformed(export, 4),
        loss=losses.Distillation(model=student),
        data_collator=utils.ColBERTCollator(student.tokenize),
    )
    found = trainer.train()
    assert not before.equal(next(student.parameters()).detach()), "the step changed nothing"
    return found.training_loss


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
