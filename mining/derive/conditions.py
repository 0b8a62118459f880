"""Any condition on the statistics of a group, written as an SQL expression."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from ..errors import UsageError
from ..names import nearest
from ..options import Option
from .cuts import CUTS, Measured

if TYPE_CHECKING:
    import polars as pl


_EVALUATE = """
import io, sys
import polars as pl
frame = pl.read_ipc(io.BytesIO(sys.stdin.buffer.read())).rechunk()
kept = frame.select(pl.sql_expr(sys.argv[1]).alias("kept"))
kept.write_ipc(sys.stdout.buffer)
"""


def _by_one_thread(frame: pl.DataFrame, expression: str) -> pl.Series:
    """Evaluate the expression over the frame by one thread of polars.

    Its threads share long columns out, and an aggregate adds up what each made (SUM of a product
    differs from 10⁵ rows on). How many there are is fixed when polars is first used; where it is
    more than one, another process evaluates the expression. Pieces that a column lies in are added
    up piece by piece too, and travel to the other process as other pieces: so each is made one.
    """
    import polars as pl

    frame = frame.rechunk()
    if pl.thread_pool_size() == 1:
        return frame.select(pl.sql_expr(expression).alias("kept"))["kept"]
    rows = io.BytesIO()
    frame.write_ipc(rows)
    ended = subprocess.run(
        [sys.executable, "-c", _EVALUATE, expression],
        input=rows.getvalue(),
        capture_output=True,
        env=os.environ | {"POLARS_MAX_THREADS": "1"},
    )
    if ended.returncode:
        raise UsageError(
            f"where: {ended.stderr.decode(errors='replace').strip().splitlines()[-1]}",
            where=expression,
        )
    return pl.read_ipc(io.BytesIO(ended.stdout))["kept"]


def _quoted(name: str) -> str:
    """Return a column's name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


@CUTS.register("where")
@dataclass(frozen=True, slots=True)
class Where:
    """Keep the groups for which an SQL expression over the columns is true, read by polars.

    Columns are the canonical texts of statistics, in double quotes where they hold brackets:
    `where('"pair_entropy(T=1)" < 0.8 AND ties = 0')`. Aggregates look at all rows:
    `"pair_entropy(T=1)" < AVG("pair_entropy(T=1)")`. A row for which the expression is NULL,
    because a statistic is undefined there, is not kept. The text stands in the manifest; it can
    name columns and functions of SQL, and run nothing else.
    """

    expression: Annotated[
        str, Option("SQL over the columns, names in double quotes.", example='"ties = 0"')
    ]

    def __post_init__(self) -> None:
        parsed = self._parsed()
        if not parsed.meta.root_names():
            raise UsageError(f"where: {self.expression!r} names no column")

    def reads(self) -> tuple[str, ...]:
        """Return the columns that the expression names."""
        return tuple(self._parsed().meta.root_names())

    def renamed(self, change: Callable[[str], str]) -> Where:
        """Return the condition on other columns; those in double quotes change."""
        text = self.expression
        for name in self.reads():
            text = text.replace(_quoted(name), _quoted(change(name)))
        return Where(text)

    def kept(self, measured: Measured) -> tuple[np.ndarray, np.ndarray]:
        """Evaluate; raises UsageError for unknown columns and what is not true or false."""
        import polars as pl

        rows, parsed = measured.table.num_rows, self._parsed()
        known = measured.table.column_names[1:]
        for name in parsed.meta.root_names():
            if name not in known:
                raise UsageError(
                    f"where: {name!r} was not measured",
                    where=self.expression,
                    do=nearest(name, known) + '; write "name" in double quotes',
                )
        frame = pl.DataFrame(measured.table.select(known))
        try:
            frame.head(0).select(parsed)  # what is wrong with the text shows without rows
            mask = _by_one_thread(frame, self.expression)
        except pl.exceptions.PolarsError as error:
            raise UsageError(f"where: {error}", where=self.expression) from error
        if mask.dtype != pl.Boolean or len(mask) != rows:
            raise UsageError(
                f"where: {self.expression!r} is not true or false of every group",
                do="compare columns with =, <, >, BETWEEN, AND, OR",
            )
        return mask.fill_null(False).to_numpy(), mask.is_not_null().to_numpy()

    def _parsed(self) -> pl.Expr:
        import polars as pl

        try:
            return pl.sql_expr(self.expression)
        except pl.exceptions.PolarsError as error:
            raise UsageError(
                f"where: {error}",
                where=self.expression,
                do='write an SQL expression, such as "ties" = 0',
            ) from error
