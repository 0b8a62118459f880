"""Tevatron: passages with scores inline (distillation), rows of ids (contrastive), Megatron rows.

    passages  {"query_id", "query", "positive_passages": [{"docid", "text", "score"}], …}
    ids       {"query_id", "query_text", "positive_document_ids", "negative_document_ids"}, corpus
    megatron  query_id, query, passages: list<{title, text}>, scores; item 0 is the positive

The corpus key is `text`: with the README's `document_text` every passage becomes empty in silence.
Retriever rows carry no `title`, since an empty one adds a leading blank; reranker rows must.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pyarrow as pa

from ...options import Option
from ..base import EXPORTS, Format
from ..columns import lists, structs
from ..folder import ExportFolder, write_json_lines
from ..source import Batch, GroupSource


@EXPORTS.register("tevatron")
@dataclass(frozen=True, slots=True)
class Tevatron(Format):
    """Tevatron: passages and scores in the rows, for distillation.

    `train.jsonl`; `titles` adds the empty titles rerankers ask for.
    """

    titles: Annotated[bool, Option("Add the empty titles that its reranker asks for.")] = False

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write the one file."""
        with out.stream("train.jsonl") as stream:
            for batch in source.batches(texts=True):
                write_json_lines(stream, self._rows(source, batch))
        return {}

    def _rows(self, source: GroupSource, batch: Batch) -> pa.Table:
        title = {"title": pa.array([""] * len(batch.doc))} if self.titles else {}
        docid, texts = source.doc_ids(batch.doc), source.doc_texts(batch.doc)
        passages = structs(docid=docid, **title, text=texts, score=batch.score)
        positive = passages.take(pa.array(batch.positive))
        negative = passages.take(pa.array(batch.negative))
        return pa.table(
            {
                "query_id": source.query_ids(batch.query),
                "query": source.query_texts(batch.query),
                "positive_passages": lists(positive, batch.positive_offsets),
                "negative_passages": lists(negative, batch.negative_offsets),
            }
        )


@EXPORTS.register("tevatron-ids")
@dataclass(frozen=True, slots=True)
class TevatronIds(Format):
    """Tevatron: rows of ids beside the corpus, contrastive only.

    `train.jsonl` beside `corpus.jsonl`; Tevatron cannot distil over it.
    """

    scores: ClassVar[str] = "dropped"

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write groups and corpus."""
        with out.stream("train.jsonl") as stream:
            for batch in source.batches():
                write_json_lines(stream, self._rows(source, batch))
        with out.stream("corpus.jsonl") as stream:
            for _, table in source.texts_of("docs"):
                write_json_lines(stream, table.rename_columns(["docid", "text"]))
        return {}

    def _rows(self, source: GroupSource, batch: Batch) -> pa.Table:
        ids = source.doc_ids(batch.doc)
        positive, negative = (ids.take(pa.array(i)) for i in (batch.positive, batch.negative))
        return pa.table(
            {
                "query_id": source.query_ids(batch.query),
                "query_text": source.query_texts(batch.query),
                "positive_document_ids": lists(positive, batch.positive_offsets),
                "negative_document_ids": lists(negative, batch.negative_offsets),
            }
        )


_PASSAGES = pa.list_(pa.struct([("title", pa.string()), ("text", pa.string())]))
_MEGATRON = pa.schema(
    [
        ("query_id", pa.string()),
        ("query", pa.string()),
        ("passages", _PASSAGES),
        ("scores", pa.list_(pa.float32())),
    ]
)


@EXPORTS.register("tevatron-megatron")
@dataclass(frozen=True, slots=True)
class TevatronMegatron(Format):
    """Tevatron-Megatron: a folder that `datasets.load_from_disk` opens.

    Scores are raw log-odds, the positive first.
    """

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write one Arrow stream and the two files that `save_to_disk` writes beside it."""
        with out.arrow_stream("data-00000-of-00001.arrow", _MEGATRON) as writer:
            for batch in source.batches(texts=True):
                title = pa.array([""] * len(batch.doc))
                passages = structs(title=title, text=source.doc_texts(batch.doc))
                columns = [
                    source.query_ids(batch.query),
                    source.query_texts(batch.query),
                    lists(passages, batch.offsets),
                    lists(batch.score, batch.offsets),
                ]
                table = pa.Table.from_arrays(columns, names=_MEGATRON.names)
                writer.write_table(table.cast(_MEGATRON))
        out.json("state.json", _STATE)
        out.json("dataset_info.json", {"features": _FEATURES})
        return {}


def _value(dtype: str) -> dict[str, str]:
    return {"dtype": dtype, "_type": "Value"}


# What `datasets` writes for this schema; the conformance test opens it with `load_from_disk`.
_FEATURES = {
    "query_id": _value("string"),
    "query": _value("string"),
    "passages": {
        "feature": {"title": _value("string"), "text": _value("string")},
        "_type": "List",
    },
    "scores": {"feature": _value("float32"), "_type": "List"},
}
_STATE: dict[str, object] = {
    "_data_files": [{"filename": "data-00000-of-00001.arrow"}],
    "_fingerprint": "rankmill",
    "_format_columns": None,
    "_format_kwargs": {},
    "_format_type": None,
    "_output_all_columns": False,
    "_split": "train",
}
