"""Integer ids in place of strings, for formats that hold nothing else."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .folder import ExportFolder
from .source import GroupSource


class Renumbering:
    """Integer ids in place of strings that a format cannot hold; written to `id_map.parquet`.

    `docs` int64 [corpus] and `queries` int64 [queries]: the number of each ordinal, −1 = not
    exported. Documents are numbered 0, 1, … in corpus order, which formats need whose ids are line
    numbers. With `keep`, external ids that are integers already stay as they are.
    """

    def __init__(self, source: GroupSource, *, keep_docs: bool = False):
        self.source = source
        self.queries = self._numbers("queries", keep=True)
        self.docs = self._numbers("docs", keep=keep_docs)

    def write_map(self, out: ExportFolder) -> dict[str, object]:
        """Write the map: `ours` (our ids), `theirs` (the numbers), `of` (query or document)."""
        schema = pa.schema(
            [("of", pa.string()), ("ours", pa.large_string()), ("theirs", pa.int64())]
        )
        with out.parquet("id_map.parquet", schema) as writer:
            for of, column in (("queries", "query_id"), ("docs", "doc_id")):
                numbers = getattr(self, of)
                for rows, table in self.source.texts_of(of):
                    ours = table[column].cast(pa.large_string())
                    noun = "query" if of == "queries" else "document"
                    nouns = pa.array([noun] * len(rows), pa.string())
                    arrays = [nouns, ours.combine_chunks(), pa.array(numbers[rows])]
                    writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        return {"ids": "integers", "id_map": "id_map.parquet"}

    def _numbers(self, of: str, *, keep: bool) -> np.ndarray:
        mask = self.source.used_queries if of == "queries" else self.source.used_docs
        numbers = np.full(len(mask), -1, np.int64)
        if not (keep and self._kept(of, numbers)):
            numbers[mask] = np.arange(int(mask.sum()))
        return numbers

    def _kept(self, of: str, numbers: np.ndarray) -> bool:
        column = "query_id" if of == "queries" else "doc_id"
        for rows, table in self.source.texts_of(of):
            whole = whole_numbers(table[column])
            if whole is None:
                return False
            numbers[rows] = whole
        return True


def whole_numbers(ids: pa.ChunkedArray) -> np.ndarray | None:
    """Return ids as int64 when each is the usual spelling of a whole number below 10⁹, or None."""
    plain = pc.match_substring_regex(ids, r"^(0|[1-9][0-9]{0,8})$")
    return ids.cast(pa.int64()).to_numpy() if pc.all(plain).as_py() else None
