"""Judgement files: tables as BEIR (`query-id corpus-id score`) and TREC (`query 0 doc grade`) write
them, JSON Lines and Parquet.

A header names the columns, in any order; without one they stand as BEIR (3) or TREC (4) has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from ...errors import BadInput
from ...inputs import column_names as columns
from ...inputs.blocks import read_blocks
from ...inputs.fields import Fields
from ...inputs.shards import in_order, shard_of, unpacked_name
from ..base import BLOCK_BYTES, Judged, judged_of
from ..lines import field, grade_of, read_lines, read_objects
from .parquet_rows import parquet_judgements, parquet_names
from .quoting import MARK, Evidence, unquoted

TABLES = (".tsv", ".txt", ".qrels", ".qrel", ".trec", ".tab")
ENDINGS = (*TABLES, ".jsonl", ".ndjson", ".parquet")
QUERY, DOC = columns.JUDGED_QUERY_ID, columns.JUDGED_DOC_ID
DO = "columns are query id, document id, grade; or the four of TREC qrels; or name them in a header"

Row = tuple[int, str, str, int]
"""(line, query_id, doc_id, grade)"""


def qrels_files(folder: Path) -> dict[str, list[Path]]:
    """Return split name → files of a `qrels` folder, sorted: one, or all the shards of a split.

    What cannot be read as judgements is refused by name, so that no split vanishes; names that
    begin with a dot are passed over. A split in two files that are no shards is refused.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = unpacked_name(path.name)
        ending = next((e for e in ENDINGS if name.lower().endswith(e)), None)
        if path.name.startswith("."):
            continue
        if ending is None or not path.is_file() or name.lower() == ending:
            what = "is no judgement file that can be read"
            if ending is not None and not path.is_file():
                lost = path.is_symlink() and not path.exists()
                what = "is a link to what is not there" if lost else "is no file"
            raise BadInput(
                f"{path.name} {what}",
                where=folder,
                do=f"a split is a file NAME{', NAME'.join(ENDINGS)}, plain or compressed; "
                "move other files out of the folder",
            )
        shard = shard_of(path)
        split = name[: len(name) - len(ending)] if shard is None else shard.name
        before = files.setdefault(split, [])
        if before and (shard is None or shard_of(before[0]) is None):
            raise BadInput(
                f"the split {split!r} has two files: {before[0].name} and {path.name}",
                where=folder,
                do="remove one of them",
            )
        before.append(path)
    return {split: in_order(paths) for split, paths in files.items()}


def together(parts: Sequence[Judged], where: str) -> Judged:
    """Return the judgements of several files as those of one; `where` names them all."""
    if len(parts) == 1:
        return parts[0]
    return Judged(
        pa.concat_arrays([part.query_ids for part in parts]),
        pa.concat_arrays([part.doc_ids for part in parts]),
        np.concatenate([part.grades for part in parts]),
        where,
        np.arange(1, sum(map(len, parts)) + 1, dtype=np.int64),
        "row of all files",
    )


def read_judgements(path: Path) -> Judged:
    """Return the judgements of one file, by its ending."""
    name = unpacked_name(path.name).lower()
    if name.endswith(".parquet"):
        return parquet_judgements(path)
    if name.endswith((".jsonl", ".ndjson")):
        return judged_of(_objects(path), str(path))
    return _by_blocks(path) or judged_of(_table(path), str(path))


def reading_of(path: Path) -> dict[str, str]:
    """Return how a file is read where that is not the plain way, as a part of its identity."""
    name = unpacked_name(path.name).lower()
    if name.endswith(".parquet"):
        return _named_columns(parquet_names(path))
    if name.endswith((".jsonl", ".ndjson")):
        row = next((row for _, row in read_objects(path)), {})
        return _named_columns([field for field, value in row.items() if value is not None])
    table = table_of(path)
    said = {"quoting": "csv"} if table.quoted else {}
    if table.order is not None and table.order != [0, table.width - 2, table.width - 1]:
        said["columns"] = " ".join(map(str, table.order))
    return said


def _named_columns(names: list[str]) -> dict[str, str]:
    """Return the ids' columns where `id` stands beside them, which was once taken for one."""
    query = columns.first_named(names, columns.TOPIC_ID)
    doc = columns.first_named((name for name in names if name != query), columns.CORPUS_ID)
    chosen = columns.judged_names(names)
    return {} if chosen == (query, doc) else {"columns": " ".join(map(str, chosen))}


def ending_of(path: Path) -> str:
    """Return the ending of a judgement file without that of its compression: `.tsv`."""
    return Path(unpacked_name(path.name)).suffix


def _objects(path: Path) -> Iterator[Row]:
    for number, row in read_objects(path):
        name = columns.has_value(row, columns.GRADE)
        where = f"{path}, line {number}"
        if name is None:
            null = columns.first_named(row, columns.GRADE)
            raise BadInput(
                f"{null!r} is null, and no grade"
                if null
                else f"the field 'grade' is missing; this line has "
                f"{', '.join(map(repr, row)) or 'none'}",
                where=where,
                do="leave out what was not judged"
                if null
                else f"name it one of: {', '.join(columns.GRADE)}",
            )
        grade = grade_of(row[name], where)
        query = columns.judged_names([key for key, value in row.items() if value is not None])[0]
        query_id = field(row, columns.JUDGED_ROW_QUERY_ID, path, number)
        rest = {key: value for key, value in row.items() if key != query}
        doc_id = field(rest, columns.JUDGED_ROW_DOC_ID, path, number, shown="doc_id")
        yield number, query_id, doc_id, grade


class Table:
    """How one table of judgements is laid out: header or not, which columns, csv's quoting."""

    def __init__(self, path: Path):
        self.path = path
        self.order: list[int] | None = None  # columns of query, document, grade by a header's names
        self.width = 0
        self.first = 0  # the line of the header
        number, line = next(_lines(path), (0, ""))
        self.marked = MARK in line  # the header's, where there is one
        cells = [unquoted(cell) for cell in _cells(line)] if line else []
        self._read_header(number, cells)
        self.quoted = self._written_by_csv()

    def _written_by_csv(self) -> bool:
        if not any(
            (block.data == ord(MARK)).any() for block in read_blocks(self.path, size=BLOCK_BYTES)
        ):
            return False
        rows = [_cells(line) for number, line in _lines(self.path) if number != self.first]
        width = min((len(cells) for cells in rows), default=0)
        evidence = Evidence(width, bool(self.first) and self.marked)
        cells_by_column = [
            pa.array([cells[i] for cells in rows], pa.string()) for i in range(width)
        ]
        return bool(rows) and evidence.add(cells_by_column) and evidence.found

    def _read_header(self, number: int, cells: list[str]) -> None:
        where = f"{self.path}, line {number}"
        try:
            order = columns.header(cells, QUERY, DOC, columns.GRADE)
        except ValueError as error:
            raise BadInput(str(error), where=where, do=DO) from error
        if order is None:
            known = columns.looks_like_names(cells, QUERY, DOC, columns.GRADE)
            if known and not _is_grade(cells[-1]):
                raise BadInput(
                    f"the first line looks like a header, and its columns are not known: "
                    f"{', '.join(map(repr, cells))}",
                    where=where,
                    do=f"call them query-id, corpus-id and score ({', '.join(QUERY)}; "
                    f"{', '.join(DOC)}; {', '.join(columns.GRADE)}), or take the line away",
                )
            return
        absent = [
            name
            for name, place in zip(("query-id", "corpus-id", "score"), order, strict=True)
            if place is None
        ]
        if absent:
            raise BadInput(
                f"the header names no column {absent[0]!r}; it has {', '.join(map(repr, cells))}",
                where=where,
                do="call the columns query-id, corpus-id and score",
            )
        self.order, self.width, self.first = [int(p or 0) for p in order], len(cells), number


@cache
def _table_of(path: Path, size: int, changed: int) -> Table:
    return Table(path)


def table_of(path: Path) -> Table:
    """Return how a file is laid out, found out once."""
    about = path.stat()
    return _table_of(path, about.st_size, about.st_mtime_ns)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines with something on them."""
    return ((number, line) for number, line in read_lines(path) if line.strip())


def _by_blocks(path: Path) -> Judged | None:
    """Return the judgements of a file whose lines are all alike; None: it is read line by line."""
    import polars as pl

    table = table_of(path)
    if table.quoted:
        return None
    width, read = table.width, []
    for block in read_blocks(path, size=BLOCK_BYTES):
        blanks = not (block.data == ord("\t")).any()
        fields = Fields(block, width or 4, at_blanks=blanks)
        rows = np.flatnonzero(fields.lines != table.first)
        if not len(rows):
            continue
        width = width or int(fields.widths[rows[0]])
        if (fields.widths[rows] != width).any() or (table.order is None and width not in (3, 4)):
            return None
        if not blanks and (block.data == ord(" ")).any():
            return None
        query, doc, grade = table.order or (0, width - 2, width - 1)
        said: pl.Series = pl.from_arrow(fields.text(grade, rows))  # type: ignore[assignment]
        grades = said.cast(pl.Int16, strict=False)
        if grades.null_count():
            return None
        numbers = fields.lines[rows]
        read.append((fields.text(query, rows), fields.text(doc, rows), grades, numbers))
    if not read:
        return None
    queries, docs, marks, places = zip(*read, strict=True)
    return Judged(
        pa.concat_arrays(queries),
        pa.concat_arrays(docs),
        np.concatenate([one.to_numpy() for one in marks]).astype(np.int32),
        str(path),
        np.concatenate(places),
    )


def _table(path: Path) -> Iterator[Row]:
    table = table_of(path)
    clean: Callable[[str], str] = unquoted if table.quoted else str
    width = table.width
    for number, line in _lines(path):
        if number == table.first:
            continue
        cells = [clean(cell) for cell in _cells(line, width)]
        where = f"{path}, line {number}"
        if len(cells) not in (3, 4) and len(cells) != table.width:
            count = len(cells) if "\t" in line else len(_BLANKS.split(line.strip(" ")))
            raise BadInput(
                f"{count} columns, expected 3: query id, document id, grade",
                where=where,
                do=DO,
            )
        width = width or len(cells)
        if len(cells) != width:
            raise BadInput(
                f"{len(cells)} columns, the lines before have {width}",
                where=where,
                do="separate columns by tabs where an id holds a blank",
            )
        query, doc, grade = table.order or (0, len(cells) - 2, len(cells) - 1)
        yield number, cells[query], cells[doc], grade_of(cells[grade], where)


def _cells(line: str, width: int = 0) -> list[str]:
    """Return the columns of a line: by tabs, or by tabs and blanks as trec_eval has it.

    `width`: the number of columns of the lines before, where it is known; it decides.
    """
    cells, blank = line.split("\t"), _BLANKS.split(line.strip(" \t"))
    if width and width in (len(cells), len(blank)):
        return cells if len(cells) == width else blank
    mixed = any(" " in cell.strip(" ") for cell in cells[2:])
    mixed |= len(blank) == 4 and _BLANKS.split(cells[0])[1:] in (["0"], ["Q0"])
    if len(cells) == 3 or (len(cells) > 3 and cells[-1]):
        return blank if mixed and len(blank) in (3, 4) else cells
    return blank if len(blank) in (3, 4) else cells


_BLANKS = re.compile(r"[ \t]+")  # as the kernel cuts: other white space is part of an id


def _is_grade(cell: str) -> bool:
    try:
        grade_of(cell, "")
    except BadInput:
        return False
    return True
