"""Read exports with sentence-transformers' own code and take one optimiser step on them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from datasets import load_dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import resolve_ids

Group = tuple[str, list[str], list[float]]


def main(export: Path, out: Path, model: str) -> None:
    facts = json.loads((export / "export.json").read_text())
    layout, size = facts["format"], facts["group_size"]
    groups = by_id if layout == "sentence-transformers" else in_rows
    with out.open("w", encoding="utf-8") as stream:
        for query, docs, scores in groups(export, size):
            line = {"query": query, "docs": docs, "scores": scores}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    loss = step(export, model) if layout == "sentence-transformers" else None
    print(json.dumps({"loss": loss}))


def parquet(path: Path):
    return load_dataset("parquet", data_files=str(path), split="train")


def by_id(export: Path, size: int) -> Iterator[Group]:
    """The trainer's own transform, in both of its output forms."""
    train, queries, documents = (
        parquet(export / f"{name}.parquet") for name in ("train", "queries", "documents")
    )
    lookups = {"query_id": queries, "document_ids": documents}
    columns = train.with_transform(resolve_ids(lookups, max_list_length=size))
    lists = train.with_transform(resolve_ids(lookups, output_format="lists"))
    for a, b in zip(columns, lists, strict=True):
        assert group_of(a) == group_of(b)
        yield group_of(a)


def in_rows(export: Path, size: int) -> Iterator[Group]:
    """Rows as the trainers take them: pairs and triplets put together to groups again."""
    rows = parquet(export / "train.parquet")
    rows_each = {"pairs": size, "triplets": size - 1}.get(layout_of(rows.column_names), 1)
    for at in range(0, len(rows), rows_each):
        found = [group_of(rows[at + i]) for i in range(rows_each)]
        assert len({query for query, _, _ in found}) == 1
        query, docs, scores = found[0]
        for _, other_docs, other_scores in found[1:]:
            docs = docs + other_docs[-1:]
            scores = scores + other_scores[-1:]
        yield query, docs, scores


def layout_of(columns: list[str]) -> str:
    return "triplets" if "negative" in columns else "pairs" if "document" in columns else "whole"


def group_of(row: dict) -> Group:
    """The order of columns carries the meaning: first the query, then documents."""
    texts = [value for name, value in row.items() if name not in ("scores", "score")]
    docs = texts[1] if isinstance(texts[1], list) else texts[1:]
    return texts[0], docs, row["scores"] if "scores" in row else [row["score"]]


def step(export: Path, model: str) -> float:
    from sentence_transformers import (
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import DistillKLDivLoss

    train = parquet(export / "train.parquet").select(range(4))
    lookups = {
        "query_id": parquet(export / "queries.parquet"),
        "document_ids": parquet(export / "documents.parquet"),
    }
    train.set_transform(resolve_ids(lookups, max_list_length=4))
    student = SentenceTransformer(model, device="cpu")
    student.max_seq_length = 64
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(export.parent / "step"),
        per_device_train_batch_size=4,
        max_steps=1,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        logging_steps=1,
    )
    before = next(student.parameters()).detach().clone()
    trainer = SentenceTransformerTrainer(
        model=student, args=arguments, train_dataset=train, loss=DistillKLDivLoss(student)
    )
    found = trainer.train()
    assert not before.equal(next(student.parameters()).detach()), "the step changed nothing"
    return found.training_loss


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
