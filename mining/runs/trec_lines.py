"""Lines of TREC run files as other tools write them: `query_id Q0 doc_id rank score tag`.

Fields stand between tabs, or between runs of blanks. The tag is the rest of the line and may hold
blanks or be empty; a file without that column can be read under a given tag. Scores are kept in
float64, in any spelling of a finite number; a rank is whatever whole number stands there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

from ..collection.lines import read_lines
from ..errors import BadInput

Row = tuple[int, str, str, float, float]
"""(line, query id, document id, rank or NaN, score)"""

_COLUMNS = "query, Q0, document, rank, score, tag"
_BLANKS = re.compile(r"[ \t\v\f\r]+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_HEXADECIMAL = re.compile(r"[+-]?0[xX][\da-fA-F]*\.?[\da-fA-F]*([pP][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,15}(\.0*)?", re.ASCII)


def trec_rows(path: Path, *, tagged: bool = True) -> Iterator[Row]:
    """Yield every line's candidate; `tagged=False`: lines without a tag column are read too.

    Raises BadInput with the line for a missing column and for a score that is not a finite number.
    """
    for number, line in read_lines(path):
        fields = _fields(line)
        where = f"{path}, line {number}"
        if len(fields) < (6 if tagged else 5):
            raise BadInput(
                f"{len(fields)} columns, a TREC run has 6: {_COLUMNS}",
                where=where,
                do="write one candidate per line, columns separated by blanks or tabs"
                + ("; --tag NAME reads a file without a tag" if len(fields) == 5 else ""),
            )
        query_id, _, doc_id, place, written = fields[:5]
        rank = float(place) if _WHOLE.fullmatch(place) else math.nan
        score = number_of(written)
        if not math.isfinite(score):
            raise BadInput(
                f"the score {written!r} is not a finite number",
                where=where,
                do=f"columns are {_COLUMNS}; scores must be finite",
            )
        if len(fields) > 6 and math.isnan(rank):
            raise BadInput(
                f"{len(fields)} columns, and the rank {place!r} is not a whole number",
                where=where,
                do=f"columns are {_COLUMNS}; ids that hold blanks need tabs between the columns",
            )
        yield number, query_id, doc_id, rank, score


def first_tag(path: Path) -> str:
    """Return the tag of the first line, `run` where it has none; BadInput for a file of no line."""
    for _, line in read_lines(path):
        fields = _fields(line)
        return " ".join(fields[5:]) or "run"
    raise BadInput("the run file holds no line", where=path, do="check how it was written")


def number_of(text: str) -> float:
    """Return the float64 that a decimal or hexadecimal text means; NaN for what is no number."""
    if _NUMBER.fullmatch(text):
        return float(text)
    if _HEXADECIMAL.fullmatch(text):
        try:
            return float.fromhex(text)
        except (ValueError, OverflowError):
            return math.nan
    return math.nan


def _fields(line: str) -> list[str]:
    """Return the columns of a line: between tabs where it has enough of them, else between blanks.

    A last blank or tab with nothing behind it is an empty tag.
    """
    if line.count("\t") >= 4:
        fields = [field.strip(" \r") for field in line.split("\t")]
        if len(fields) >= 5 and all(fields[:5]):
            return fields
    return _BLANKS.split(line.lstrip(" \t"))
