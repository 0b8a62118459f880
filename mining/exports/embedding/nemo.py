"""NeMo Automodel: contrastive groups. Its readers accept a `score` key and drop it.

ids     train.json, corpus/merlin_metadata.json, corpus/train.parquet (id, text)
inline  train.jsonl {"query", "pos_doc": "text", "neg_doc": ["text", …]}
arrow   metadata.json, sources/source-00000/…: Arrow streams as `datasets` writes them
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import BadInput
from ...options import Option
from ..base import EXPORTS, Format, refuse_unknown
from ..columns import lists, structs
from ..folder import ExportFolder, write_json_lines
from ..source import Batch, GroupSource

_BUNDLE = {"format": "nemo_automodel_normalized_vl_retrieval_arrow", "version": 1}
_CORPUS_ID = "rankmill"
_DOC = pa.struct([("id", pa.string())])
_ROWS = pa.schema(
    [
        ("question_id", pa.string()),
        ("question", pa.string()),
        ("corpus_id", pa.string()),
        ("pos_doc", pa.list_(_DOC)),
        ("neg_doc", pa.list_(_DOC)),
    ]
)
_TEXTS = pa.schema([("id", pa.string()), ("text", pa.string())])


@EXPORTS.register("nemo")
@dataclass(frozen=True, slots=True)
class Nemo(Format):
    """NeMo Automodel: contrastive groups, without scores; `layout`: ids, inline or arrow."""

    layout: Annotated[str, Option("ids, inline or arrow.")] = "ids"
    scores: ClassVar[str] = "dropped"

    def __post_init__(self) -> None:
        refuse_unknown("nemo", "layout", self.layout, ("ids", "inline", "arrow"))

    @property
    def single_positive(self) -> bool:
        """An inline row has one `pos_doc`."""
        return self.layout == "inline"

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write groups and corpus."""
        if self.layout == "inline":
            with out.stream("train.jsonl") as stream:
                for batch in source.batches(texts=True):
                    write_json_lines(stream, _inline(source, batch))
            return {}
        _refuse_numbered(source)
        if self.layout == "ids":
            _write_ids(source, out)
        else:
            _write_bundle(source, out)
        repeated = "query id, '#' and its number where a query has several groups"
        return {"question_id": repeated if source.repeated else "query id"}


def _inline(source: GroupSource, batch: Batch) -> pa.Table:
    texts = source.doc_texts(batch.doc)
    negative = texts.take(pa.array(batch.negative))
    return pa.table(
        {
            "query": source.query_texts(batch.query),
            "pos_doc": texts.take(pa.array(batch.positive)),
            "neg_doc": lists(negative, batch.negative_offsets),
        }
    )


def _write_ids(source: GroupSource, out: ExportFolder) -> None:
    out.json("corpus/merlin_metadata.json", {"class": "TextQADataset", "corpus_id": _CORPUS_ID})
    with out.parquet("corpus/train.parquet", _TEXTS) as writer:
        for _, table in source.texts_of("docs"):
            writer.write_table(table.rename_columns(_TEXTS.names).cast(_TEXTS))
    with out.stream("train.json") as stream:
        stream.write(b'{"corpus":[{"path":"corpus"}],"data":[\n')
        for number, rows in enumerate(_rows(source)):
            if number:
                stream.write(b",\n")
            lines = io.BytesIO()
            write_json_lines(lines, rows)
            # Between objects, never within one: a line break inside a text is escaped.
            stream.write(lines.getvalue()[:-1].replace(b"}\n{", b"},\n{"))
        stream.write(b"\n]}\n")


def _write_bundle(source: GroupSource, out: ExportFolder) -> None:
    place = "sources/source-00000"
    out.json("metadata.json", _BUNDLE | {"sources": [{"path": place}]})
    corpus = {"corpus_id": _CORPUS_ID, "shards": ["corpus/0.arrow"], "metadata": {}}
    shards = {"train_shards": ["train/0.arrow"], "corpora": [corpus]}
    out.json(f"{place}/metadata.json", _BUNDLE | shards)
    with out.arrow_stream(f"{place}/train/0.arrow", _ROWS) as writer:
        for rows in _rows(source):
            writer.write_table(rows)
    with out.arrow_stream(f"{place}/corpus/0.arrow", _TEXTS) as writer:
        for _, table in source.texts_of("docs"):
            writer.write_table(table.rename_columns(_TEXTS.names).cast(_TEXTS))


def _rows(source: GroupSource) -> Iterator[pa.Table]:
    seen = np.zeros(len(source.used_queries), np.int32) if source.repeated else None
    for batch in source.batches():
        ids = structs(id=source.doc_ids(batch.doc))
        columns = [
            _question_ids(source, batch, seen),
            source.query_texts(batch.query),
            pa.array([_CORPUS_ID] * len(batch)),
            lists(ids.take(pa.array(batch.positive)), batch.positive_offsets),
            lists(ids.take(pa.array(batch.negative)), batch.negative_offsets),
        ]
        yield pa.Table.from_arrays(columns, names=_ROWS.names).cast(_ROWS)


def _refuse_numbered(source: GroupSource) -> None:
    """Refuse a query `q#2` beside a query `q`: it would be taken for the second group of q."""
    columns = [table["query_id"] for _, table in source.texts_of("queries")]
    numbered = [ids.filter(pc.match_substring_regex(ids, _NUMBERED)).to_pylist() for ids in columns]
    firsts = pa.array(
        {name.rpartition("#")[0] for names in numbered for name in names}, pa.string()
    )
    for ids in columns if len(firsts) else ():
        beside = ids.filter(pc.is_in(ids, value_set=firsts))
        if len(beside):
            raise BadInput(
                f"beside the query {beside[0].as_py()!r} stands one called like its further "
                f"groups, {beside[0].as_py()}#N",
                where=source.groups.artifact.path,
                do="choose nemo(layout=inline), or another format",
            )


_NUMBERED = r"#[0-9]+$"


def _question_ids(source: GroupSource, batch: Batch, seen: np.ndarray | None) -> pa.Array:
    """Return ids that are unique, as the reader demands: the second group of q is `q#2`."""
    ids = source.query_ids(batch.query)
    if seen is None:
        return ids
    unique = []
    for query, name in zip(batch.query, ids.to_pylist(), strict=True):
        seen[query] += 1
        unique.append(f"{name}#{seen[query]}" if seen[query] > 1 else name)
    return pa.array(unique, pa.large_string())
