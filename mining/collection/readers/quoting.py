"""Fields of TSV files that stand in quotation marks, as Python's csv and pandas write them.

A writer of csv puts a field that holds a quotation mark into marks and doubles those inside:
`"He said ""hi"" to me"`. A file counts as written so if every field with a mark has this form, and
if there is evidence for it: a doubled mark in one of them, a column that stands in marks from top
to bottom, or a header in marks. Otherwise marks are part of the text, as in MS MARCO's files.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MARK = '"'


def unquoted(cell: str) -> str:
    """Return what a field of a file that csv wrote stands for."""
    return cell[1:-1].replace(MARK * 2, MARK) if cell.startswith(MARK) else cell


def unquoted_column(cells: pa.StringArray) -> pa.StringArray:
    """Return what the fields of a column of a file that csv wrote stand for."""
    inside = pc.replace_substring(pc.utf8_slice_codeunits(cells, 1, -1), MARK * 2, MARK)
    return pc.if_else(pc.starts_with(cells, MARK), inside, cells)


class Evidence:
    """What the rows of a table tell of how it was written; `add` is asked block by block.

    `headed`: the header stands in marks; a single row is no column from top to bottom, but a name
    in marks is no text of somebody's. `fields`: how many stand in marks so far. `found`: a doubled
    mark, a column in marks from top to bottom, or fields below a header in marks.
    """

    def __init__(self, width: int, headed: bool = False):
        self.fields = 0
        self._headed = headed
        self._doubled = False
        self._rows = 0
        self._framed = np.zeros(width, dtype=np.int64)

    @property
    def found(self) -> bool:
        """Whether there is evidence that csv wrote the file."""
        whole = self._rows > 1 and bool((self._framed == self._rows).any())
        return self._doubled or whole or (self._headed and self.fields > 0)

    def add_unmarked(self) -> None:
        """Take in rows without any mark: no column stands in marks from top to bottom."""
        self._rows += 1

    def add(self, columns: Sequence[pa.StringArray]) -> bool:
        """Take in the columns of some rows; False if a field has marks that csv would not write."""
        self._rows += len(columns[0])
        for place, cells in enumerate(columns):
            marked = cells.filter(pc.match_substring(cells, MARK))
            if not len(marked):
                continue
            if not pc.all(pc.match_substring_regex(marked, _WRITTEN)).as_py():
                return False
            inside = pc.utf8_slice_codeunits(marked, 1, -1)
            self._doubled |= bool(pc.any(pc.match_substring(inside, MARK * 2)).as_py())
            self._framed[place] += len(marked)
            self.fields += len(marked)
        return True


_WRITTEN = r'(?s)^"([^"]|"")*"$'
