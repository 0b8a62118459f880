"""Fields of TSV files that stand in quotation marks, as Python's csv and pandas write them.

A writer of csv puts a field that holds a quotation mark into marks and doubles those inside:
`"He said ""hi"" to me"`. A file counts as written so if every field with a mark has this form, and if there
is evidence for it: a doubled mark in one of them, or a column that stands in marks from top to
bottom. Otherwise marks are part of the text, as in MS MARCO's files.
"""

from __future__ import annotations

from collections.abc import Iterable

MARK = '"'


def well_formed(cell: str) -> bool:
    """Say whether a field with marks is one that csv would write: marks around it, doubled inside."""
    inside = cell[1:-1]
    framed = len(cell) >= 2 and cell[0] == MARK and cell[-1] == MARK
    return framed and MARK not in inside.replace(MARK * 2, "")


def unquoted(cell: str) -> str:
    """Return what a field of a file that csv wrote stands for."""
    return cell[1:-1].replace(MARK * 2, MARK) if cell.startswith(MARK) else cell


def written_by_csv(lines: Iterable[str]) -> bool:
    """Say whether the lines of a tab-separated file, its header left out, are quoted as csv does.

    Stops at the first line that is not.
    """
    doubled, rows = False, 0
    framed: list[bool] = []
    for line in lines:
        cells = line.split("\t")
        if MARK not in line:
            framed = [False] * len(cells)
            rows += 1
            continue
        for cell in cells:
            if MARK in cell:
                if not well_formed(cell):
                    return False
                doubled = doubled or MARK * 2 in cell[1:-1]
        marked = [cell.startswith(MARK) for cell in cells]
        framed = [a and b for a, b in zip(framed, marked, strict=False)] if rows else marked
        rows += 1
    return doubled or (rows > 1 and any(framed))
