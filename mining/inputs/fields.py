"""The fields of a block of lines, cut by a kernel, as Arrow and NumPy columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from ...native.text_fields import copy_fields, cut_at_blanks, cut_at_tabs
from ..errors import BadInput
from ..processors import in_threads
from .blocks import Block

_TAB = 9
_LEAST_BYTES = 1 << 20  # what is worth a thread of its own


class Fields:
    """The lines of one block that hold something, cut into fields.

    `lines`: their numbers in the file, int64, from 1. `widths`: how many fields each has, int32;
    only the first `limit` can be read.
    """

    def __init__(self, block: Block, limit: int, *, at_blanks: bool = False):
        """Cut at every tab, or with `at_blanks` at runs of blanks and tabs."""
        starts, stops = block.bounds()
        widths = np.empty(len(starts), dtype=np.int32)
        begins, ends = np.zeros((2, len(starts), limit), dtype=np.int64)

        tabs = None if at_blanks else block.places(_TAB)

        def cut(first: int, last: int) -> None:
            rows = slice(first, last)
            lines, out = (starts[rows], stops[rows]), (widths[rows], begins[rows], ends[rows])
            if tabs is None:
                cut_at_blanks(block.data, *lines, *out)
            elif first < last:
                at, end = np.searchsorted(tabs, (starts[first], stops[last - 1]))
                cut_at_tabs(block.data, *lines, tabs[at:end], *out)

        in_threads(cut, np.append(starts, len(block.data)), least=_LEAST_BYTES)
        kept: Any = np.flatnonzero(widths)
        self.block = block
        self.lines = kept + block.first_line
        if len(kept) == len(widths):
            kept = slice(None)  # nearly always: no copies
        self._lines = starts[kept], stops[kept]
        self.widths, self._begins, self._ends = widths[kept], begins[kept], ends[kept]

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """Name the line of a row, for an error."""
        return f"{self.block.path}, line {self.lines[row]}"

    def text(self, column: int, rows: np.ndarray | None = None) -> pa.StringArray:
        """Return one field of every line, or of the rows given; each must have it."""
        return self._strings(column, self._ends[:, column], rows)

    def sizes(self, column: int, rows: np.ndarray) -> np.ndarray:
        """Return how many bytes one field of the rows given has, int64."""
        return (self._ends[rows, column] - self._begins[rows, column]).astype(np.int64)

    def rest(self, column: int, rows: np.ndarray | None = None) -> pa.StringArray:
        """Return everything from one field to the end of the line."""
        starts, stops = self._lines
        stops = stops - _ends_with_return(self.block.data, starts, stops)
        return self._strings(column, stops, rows)

    def _strings(self, column: int, ends: np.ndarray, rows: np.ndarray | None) -> pa.StringArray:
        begins = self._begins[:, column]
        if rows is not None:
            begins, ends = begins[rows], ends[rows]
        return _strings(self.block, begins, ends)

    def numbers(self, column: int, what: str = "score") -> np.ndarray:
        """Return one field as float64, any spelling that Python's `float` takes.

        Raises BadInput with file, line and value for what is no number; infinities and NaN are for
        the caller to judge.
        """
        import polars as pl

        return self._parsed(column, pl.Float64, float, what, "a number such as 1.5 or 2e-3")

    def integers(self, column: int, what: str = "number") -> np.ndarray:
        """Return one field as int64; raises BadInput with file, line and value."""
        import polars as pl

        return self._parsed(column, pl.Int64, int, what, "a whole number such as 3")

    def _parsed(
        self, column: int, dtype: Any, one: Callable[[str], Any], what: str, like: str
    ) -> np.ndarray:
        import polars as pl

        text = pl.Series(pl.from_arrow(self.text(column)))
        values = text.cast(dtype, strict=False)
        out = values.fill_null(0).to_numpy().copy()
        for row in np.flatnonzero(values.is_null().to_numpy()).tolist():
            try:
                out[row] = one(text[row])
            except (ValueError, OverflowError) as error:
                raise BadInput(
                    f"the {what} {text[row]!r} is not a number",
                    where=self.where(row),
                    do=f"write {like}",
                ) from error
        return out


def _ends_with_return(data: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    return (stops > starts) & (data[np.maximum(stops - 1, 0)] == 13)


def _strings(block: Block, begins: np.ndarray, ends: np.ndarray) -> pa.StringArray:
    begins = np.ascontiguousarray(begins)
    offsets = np.zeros(len(begins) + 1, dtype=np.int64)
    np.cumsum(ends - begins, out=offsets[1:])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise BadInput(
            "a line is longer than 2 GiB", where=block.where(0), do="is this a text file?"
        )
    out = np.empty(offsets[-1], dtype=np.uint8)
    narrow = offsets.astype(np.int32)

    def copy(first: int, last: int) -> None:
        copy_fields(block.data, begins[first:last], narrow[first : last + 1], out)

    in_threads(copy, offsets, least=_LEAST_BYTES)
    buffers = [None, pa.py_buffer(narrow), pa.py_buffer(out)]
    return pa.StringArray.from_buffers(len(begins), buffers[1], buffers[2])
