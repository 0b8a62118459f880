"""Lines of TREC run files as other tools write them: `query_id Q0 doc_id rank score tag`.

Fields stand between tabs, or between runs of blanks. The tag is the rest of the line and may hold
blanks or be empty; a file without that column can be read under a given tag. Scores are kept in
float64, in any spelling of a finite number; a rank is whatever whole number stands there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import BadInput
from ..inputs.blocks import Block, read_blocks
from ..inputs.fields import Fields
from ..inputs.spelled_numbers import spelled_number

NO_RANK = np.iinfo(np.int32).max
"""Stands for a rank that is missing or no whole number of 32 bits."""

_COLUMNS = "query, Q0, document, rank, score, tag"
TAGLESS = "; --tag NAME reads a file without a tag"
SCORED = '; scores in TSV or JSON Lines: --as scores, then mine "stored(scores=NAME)"'
_BLANKS = re.compile(r"[ \t\v\f\r]+")
_WHOLE = re.compile(r"[+-]?\d{1,15}(\.0*)?", re.ASCII)
_TAB = 9
_BLOCK_BYTES = 8 << 20


class Lines(NamedTuple):
    """Candidates in the order of a file: ids; rank int32 (`NO_RANK`: none), score float64, line
    int64."""

    query_id: pa.Array
    doc_id: pa.Array
    rank: np.ndarray
    score: np.ndarray
    line: np.ndarray


def trec_lines(path: Path, *, tagged: bool = True) -> Iterator[Lines]:
    """Yield the candidates of a file, block by block; `tagged=False`: lines without a tag column
    are read too.

    Kernels cut and read the lines that have one meaning; what is odd about a line, a missing tag,
    an id with a blank, a number spelt otherwise, is read by itself. Raises BadInput with the line
    for a missing column and for a score that is not a finite number.
    """
    for read in unread_lines(path, tagged=tagged):
        yield from read()


def unread_lines(path: Path, *, tagged: bool) -> Iterator[Callable[[], list[Lines]]]:
    """Yield functions that read the blocks of a file; any thread may call them, in any order."""
    for block in read_blocks(path, size=_BLOCK_BYTES):
        yield partial(_read_block, block, tagged)


def _read_block(block: Block, tagged: bool) -> list[Lines]:
    fields = Fields(block, 6, at_blanks=True)
    return [_read(fields, tagged)] if len(fields) else []


def _read(fields: Fields, tagged: bool) -> Lines:
    plain = np.flatnonzero(plain_lines(fields))
    rank, ranked = _cast(fields.text(3, plain), pl.Int32)
    score, scored = _cast(fields.text(4, plain), pl.Float64)
    good = ranked & scored & np.isfinite(score) & (rank != NO_RANK)
    plain, rank, score = plain[good], rank[good], score[good]
    query_id, doc_id = fields.text(0, plain), fields.text(2, plain)
    if len(plain) == len(fields):
        return Lines(query_id, doc_id, rank, score, fields.lines)
    odd = np.setdiff1d(np.arange(len(fields)), plain, assume_unique=True)
    texts = fields.rest(0, odd).to_pylist()
    rows = [_row(t, fields.where(int(r)), tagged) for t, r in zip(texts, odd, strict=True)]
    queries, docs, ranks, scores = zip(*rows, strict=True)
    order = np.argsort(np.concatenate([plain, odd]), kind="stable")
    place = pa.array(order)
    return Lines(
        pa.concat_arrays([query_id, pa.array(queries, pa.string())]).take(place),
        pa.concat_arrays([doc_id, pa.array(docs, pa.string())]).take(place),
        np.concatenate([rank, np.array(ranks, dtype=np.int32)])[order],
        np.concatenate([score, np.array(scores, dtype=np.float64)])[order],
        fields.lines,
    )


def plain_lines(fields: Fields) -> np.ndarray:
    """Say which lines have six columns or more that cannot be meant otherwise: bool [lines].

    A line with tabs has the same six columns between its tabs and between its blanks; with fewer
    tabs than that blanks part its columns, with more of anything else it is odd.
    """
    plain = fields.widths >= 6
    if not (fields.block.data == _TAB).any():
        return plain
    tabs = Fields(fields.block, 6)
    row = np.searchsorted(tabs.lines, fields.lines)
    width = tabs.widths[row]
    six = np.flatnonzero(width == 6)
    tagged = np.zeros(len(fields), dtype=bool)
    tagged[six] = pc.binary_length(tabs.text(5, row[six])).to_numpy() > 0
    return plain & ((width < 5) | (tagged & (fields.widths == 6)))


def _cast(texts: pa.Array, dtype: type[pl.DataType]) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers that texts spell, and which of them are numbers: bool."""
    read = pl.Series(pl.from_arrow(texts)).cast(dtype, strict=False)
    return read.fill_null(0).to_numpy(), ~read.is_null().to_numpy()


def _row(line: str, where: str, tagged: bool) -> tuple[str, str, int, float]:
    """Return (query id, document id, rank, score) of one line."""
    if line.lstrip()[:1] in ("{", "["):
        raise BadInput(
            "this is JSON, and no line of a TREC run",
            where=where,
            do=f"files of negatives need --system{SCORED}",
        )
    query_id, _, doc_id, place, written = columns_of(line, where, 6 if tagged else 5)[:5]
    rank = int(float(place)) if _WHOLE.fullmatch(place) else NO_RANK
    score = spelled_number(written)
    if not math.isfinite(score):
        raise BadInput(
            f"the score {written!r} is not a finite number",
            where=where,
            do=f"columns are {_COLUMNS}; scores must be finite",
        )
    return query_id, doc_id, rank if abs(rank) < NO_RANK else NO_RANK, score


def columns_of(line: str, where: str, least: int = 6, tag: str = TAGLESS) -> list[str]:
    """Return the columns of one line; raises BadInput for less than `least`, and where one too many
    may be part of an id. `tag`: what reads a file that lacks the last one."""
    fields = _fields(line)
    if len(fields) < least:
        raise BadInput(
            f"{len(fields)} columns, a TREC run has 6: {_COLUMNS}",
            where=where,
            do="write one candidate per line, columns separated by blanks or tabs"
            + (tag if len(fields) == 5 else SCORED if tag else ""),
        )
    if len(fields) > 6 and not _WHOLE.fullmatch(fields[3]):
        raise BadInput(
            f"{len(fields)} columns, and the rank {fields[3]!r} is not a whole number",
            where=where,
            do=f"columns are {_COLUMNS}; ids that hold blanks need tabs between the columns",
        )
    return fields


def first_tag(path: Path) -> str:
    """Return the tag of the first line, `run` where it has none; BadInput for a file of no line."""
    for block in read_blocks(path, size=1 << 16):
        fields = Fields(block, 1, at_blanks=True)
        if len(fields):
            line = fields.rest(0, np.zeros(1, np.int64))[0].as_py()
            return " ".join(_fields(line)[5:]).strip() or "run"
    raise BadInput("the run file holds no line", where=path, do="check how it was written")


def _fields(line: str) -> list[str]:
    """Return the columns of a line: between tabs where it has enough of them, else between blanks.

    A last blank or tab with nothing behind it is an empty tag.
    """
    if line.count("\t") >= 4:
        fields = [field.strip(" \r") for field in line.split("\t")]
        if len(fields) >= 5 and all(fields[:5]):
            return fields
    fields = _BLANKS.split(line.lstrip(" \t"))
    return fields if len(fields) < 7 or fields[-1] else fields[:-1]
