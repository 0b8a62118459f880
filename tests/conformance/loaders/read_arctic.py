"""Read batches with Arctic Embed's own loader; stage tables go through its last stage first.

Texts are there as token ids: they are compared so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
from without_init import without_init

without_init("arctic_embed", "arctic_embed.core")  # they import the trainer
from arctic_embed.core.pretokenized_batch_loader import (  # noqa: E402
    ContrastiveLearningBatchDataset,
)
from arctic_embed.data_processing import pretokenize  # noqa: E402

LENGTH = 64


def main(export: Path, out: Path, model: str) -> None:
    facts = json.loads((export / "export.json").read_text())
    made = export
    if facts["format"] == "arctic-embed":
        made = out.parent / "batches"
        last_stage(export, made, model, facts)
    with out.open("w", encoding="utf-8") as stream:
        for query, docs in groups(made):
            line = {"query": query, "docs": docs, "scores": None}
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(json.dumps({"loss": None}))


def last_stage(export: Path, made: Path, model: str, facts: dict) -> None:
    """Let the trainer tokenise and batch our tables."""
    from_file = pretokenize.Tokenizer.from_file
    pretokenize.Tokenizer = type(
        "Local",
        (),
        {"from_pretrained": staticmethod(lambda _: from_file(f"{model}/tokenizer.json"))},
    )
    pretokenize.pretokenize_and_batch_mined_data(
        pretokenize.PretokenizeAndBatchMinedDataConfig(
            tokenizer_id=model,
            query_loc=str(export / "queries.parquet"),
            document_loc=str(export / "documents.parquet"),
            labels_loc=str(export / "mined.parquet"),
            output_loc=str(made),
            query_prefix="",
            document_prefix="",
            queries_per_batch=facts["queries"],
            num_query_uses=1,
            num_negatives_per_query_per_batch=facts["group_size"] - 1,
            max_seq_length=LENGTH,
            pre_truncate_max_chars_per_token=10_000,
            random_seed=0,
        )
    )


def groups(made: Path) -> Iterator[tuple[str, list[str]]]:
    """Queries with the documents that they have a relation to, positives first."""
    system = fsspec.filesystem("file")
    for batch in ContrastiveLearningBatchDataset(system, str(made / "data")):
        queries = texts(batch.query_tokens, batch.query_attention_mask)
        docs = texts(batch.document_tokens, batch.document_attention_mask)
        related: dict[int, list[tuple[int, int]]] = {}
        label = batch.relevance_labels.coalesce()
        for (query, doc), grade in zip(
            label.indices().T.tolist(), label.values().tolist(), strict=True
        ):
            related.setdefault(query, []).append((-grade, doc))
        for query, found in sorted(related.items()):
            assert [grade for grade, _ in sorted(found)] == [-1, *[1] * (len(found) - 1)]
            yield queries[query], [docs[doc] for _, doc in sorted(found)]


def texts(tokens, mask) -> list[str]:
    rows = zip(tokens.tolist(), mask.tolist(), strict=True)
    return [
        " ".join(str(t) for t, there in zip(row, seen, strict=True) if there) for row, seen in rows
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
