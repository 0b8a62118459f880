"""lightning-ir: a run as Parquet, self-contained by its texts.

    <name>__<ir_datasets id, slashes as dashes>.parquet
    query_id, doc_id: string, rank: int from 1, score: float, query, text: string

Parquet is the safe form: from JSON lines the loader reads the id "0010" as 10. A second dot in the
name breaks its detection of the suffix. Groups of a query are joined, best score first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa

from ...errors import UsageError
from ...options import Option
from ..base import EXPORTS, Format
from ..folder import ExportFolder
from ..source import Batch, GroupSource

_SCHEMA = pa.schema(
    [
        ("query_id", pa.string()),
        ("doc_id", pa.string()),
        ("rank", pa.int64()),
        ("score", pa.float32()),
        ("query", pa.string()),
        ("text", pa.string()),
        ("relevance", pa.int64()),
        ("iteration", pa.string()),
    ]
)


@EXPORTS.register("lightning-ir")
@dataclass(frozen=True, slots=True)
class LightningIr(Format):
    """Lightning IR: a run as Parquet, with its texts.

    `dataset`: the ir_datasets id that the loader takes from the file name; `name`: before it.
    """

    dataset: Annotated[
        str, Option("The ir_datasets id that the loader takes from the file name.")
    ] = "rankmill"
    name: Annotated[str, Option("What stands before it.")] = "groups"

    def __post_init__(self) -> None:
        for parameter in ("dataset", "name"):
            value = getattr(self, parameter)
            named = parameter == "name"
            allowed = r"[\w-]+" if named else r"[\w/-]+"  # slashes of an id become dashes
            if not re.fullmatch(allowed, value) or (named and "__" in value):
                raise UsageError(
                    f"{value!r} as {parameter} cannot stand in the file name of a run",
                    where="lightning-ir",
                    do="use letters, digits and '-', in an id '/' too: the loader splits at '__' "
                    "and at dots",
                )

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write the run."""
        file = f"{self.name}__{self.dataset.replace('/', '-')}.parquet"
        with out.parquet(file, _SCHEMA) as writer:
            for batch in source.by_query(texts=True):
                writer.write_table(_rows(source, batch))
        return {"order": "score, descending", "run": file}


def _rows(source: GroupSource, batch: Batch) -> pa.Table:
    ranked, rank = best_first(batch)
    row = batch.rows[ranked]
    columns = [
        source.query_ids(batch.query[row]),
        source.doc_ids(batch.doc[ranked]),
        pa.array(rank),
        pa.array(batch.score[ranked]),
        source.query_texts(batch.query[row]),
        source.doc_texts(batch.doc[ranked]),
        pa.array(source.labels(batch)[ranked].astype(np.int64)),
        pa.array(["0"] * len(ranked)),
    ]
    return pa.Table.from_arrays(columns, names=_SCHEMA.names).cast(_SCHEMA)


def best_first(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Return (flat places by query, score descending, then ordinal; rank of each from 1)."""
    lengths = np.diff(batch.offsets)
    rank = np.arange(len(batch.doc)) - np.repeat(batch.offsets[:-1], lengths) + 1
    if (lengths != lengths[0]).any():
        return np.lexsort((batch.doc, -batch.score, batch.rows)), rank
    # One integer a document, ascending as (−score, doc): a short row is sorted much faster so.
    bits = (-batch.score + np.float32(0)).view(np.int32).astype(np.int64)
    ascending = np.where(bits < 0, ~(bits & 0x7FFFFFFF), bits)
    keys = (ascending << 32) + batch.doc
    inner = np.argsort(keys.reshape(len(batch), -1), axis=1)
    return (inner + batch.offsets[:-1, None]).reshape(-1), rank
