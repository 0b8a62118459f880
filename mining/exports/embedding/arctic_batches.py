"""Arctic Embed, the input of its trainer: batches, tokenised beforehand.

    metadata.json                      tokenizer, batch size, length, prefixes
    data/batch_00000000/queries        BATCH_QUERY_ID uint64, QUERY_TOKEN_ID_LIST list<int>
    data/batch_00000000/documents      BATCH_DOCUMENT_ID uint64, DOCUMENT_TOKEN_ID_LIST list<int>
    data/batch_00000000/relations      BATCH_QUERY_ID, BATCH_DOCUMENT_ID, RELEVANCE int8: 1 or −1

Such an export is tied to one tokenizer, length and batch size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import pyarrow as pa

from ...errors import UsageError
from ...models.folder import resolve
from ...options import Option
from ..base import EXPORTS, Format
from ..columns import lists
from ..folder import ExportFolder
from ..numbering import Renumbering
from ..source import Batch, GroupSource, concat_of, part_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_RELATIONS = pa.schema(
    [
        ("BATCH_QUERY_ID", pa.uint64()),
        ("BATCH_DOCUMENT_ID", pa.uint64()),
        ("RELEVANCE", pa.int8()),
    ]
)


@EXPORTS.register("arctic-embed-batches")
@dataclass(frozen=True, slots=True)
class ArcticEmbedBatches(Format):
    """Arctic Embed: batches for its trainer, tokenised beforehand.

    `queries` in a batch; texts, behind their prefixes, are cut at `length` tokens of `model`.
    """

    model: Annotated[
        str,
        Option("Whose tokenizer counts: a model folder, or OWNER/NAME of the Hub.", example="PATH"),
    ]
    queries: Annotated[int, Option("Queries in a batch.", unit="queries")] = 256
    length: Annotated[int, Option("Most tokens of a text.", unit="tokens")] = 512
    query_prefix: Annotated[str, Option("What stands before every query.")] = ""
    document_prefix: Annotated[str, Option("What stands before every document.")] = ""
    scores: ClassVar[str] = "dropped"

    def __post_init__(self) -> None:
        for name in ("queries", "length"):
            value = getattr(self, name)
            if value < 1:
                raise UsageError(
                    f"{name}={value}", where="arctic-embed-batches", do="give 1 or more"
                )

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write a folder for each batch, what they were made with, and the map of ids."""
        model = resolve(self.model)
        tokenizer = model.tokenizer()
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.length)
        number = Renumbering(source, keep_docs=True)
        for place, batch in enumerate(self._batches(source)):
            folder = f"data/batch_{place:08d}"
            asked, docs = batch.query, np.unique(batch.doc)
            for noun, ids, texts in (
                ("QUERY", number.queries[asked], self._texts("query", source, asked)),
                ("DOCUMENT", number.docs[docs], self._texts("document", source, docs)),
            ):
                table = _tokenised(noun, ids, texts, tokenizer)
                name = "queries" if noun == "QUERY" else "documents"
                with out.parquet(f"{folder}/{name}.parquet", table.schema) as writer:
                    writer.write_table(table)
            with out.parquet(f"{folder}/relations.parquet", _RELATIONS) as writer:
                writer.write_table(_relations(batch, number))
        facts = {
            "tokenizer": model.tag,
            "queries_per_batch": self.queries,
            "max_seq_length": self.length,
            "query_prefix": self.query_prefix,
            "document_prefix": self.document_prefix,
        }
        out.json("metadata.json", facts)
        return number.write_map(out) | {"tokenizer": model.tag}

    def _batches(self, source: GroupSource) -> Iterator[Batch]:
        rest: Batch | None = None
        for batch in source.by_query(texts=True):
            rest = batch if rest is None else concat_of(rest, batch)
            while len(rest) > self.queries:
                yield part_of(rest, 0, self.queries)
                rest = part_of(rest, self.queries, len(rest))
        if rest is not None:
            yield rest

    def _texts(self, side: str, source: GroupSource, rows: np.ndarray) -> list[str]:
        if side == "query":
            return [self.query_prefix + text for text in source.query_texts(rows).to_pylist()]
        return [self.document_prefix + text for text in source.doc_texts(rows).to_pylist()]


def _tokenised(noun: str, ids: np.ndarray, texts: list[str], tokenizer: Tokenizer) -> pa.Table:
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in encoded])])
    tokens = lists(np.concatenate([np.array(row, np.int32) for row in encoded]), offsets)
    return pa.table(
        {
            f"BATCH_{noun}_ID": ids.astype(np.uint64),
            f"{noun}_TOKEN_ID_LIST": tokens.cast(pa.list_(pa.int32())),
        }
    )


def _relations(batch: Batch, number: Renumbering) -> pa.Table:
    columns = [
        pa.array(number.queries[batch.query[batch.rows]].astype(np.uint64)),
        pa.array(number.docs[batch.doc].astype(np.uint64)),
        pa.array(np.where(batch.lead, 1, -1).astype(np.int8)),
    ]
    return pa.Table.from_arrays(columns, schema=_RELATIONS)
