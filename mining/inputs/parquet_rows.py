"""Parquet files as people bring them: rows as Python values, for small files, or batches of
columns; a refusal names file and row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .bounds.guards import refuse_unless_file
from .row_shapes import Place

_ROWS = 4096


def parquet_rows(path: Path, columns: Sequence[str] = ()) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield (place, row) of every row: all columns, or those named.

    Raises BadInput for a file that is not there or cannot be read as Parquet, and for a column of
    `columns` that it lacks.
    """
    import pyarrow as pa

    number = 0
    file = opened(path)
    there = file.schema_arrow.names
    refuse_doubled(path, there, columns or there)
    lost = [name for name in columns if name not in there]
    if lost:
        raise BadInput(
            f"the column {lost[0]!r} is missing; there are {', '.join(there)}",
            where=path,
            do=f"columns are {', '.join(columns)}",
        )
    batches = file.iter_batches(_ROWS, columns=list(columns) or None)
    while True:
        try:
            batch = next(batches, None)
            rows = [] if batch is None else batch.to_pylist()
        except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError) as error:
            raise unreadable(path, error) from error
        if batch is None:
            return
        for row in rows:
            number += 1
            yield Place(path, number, "row"), row


def refuse_doubled(path: Path, there: Sequence[str], read: Sequence[str]) -> None:
    """Raise BadInput where a column that is read stands twice in a file."""
    for name in read:
        if there.count(name) > 1:
            raise BadInput(
                f"the column {name!r} stands twice",
                where=path,
                do="keep one of the two, or give each a name of its own",
            )


def opened(path: Path) -> Any:
    """Return an open `pyarrow.parquet.ParquetFile`; raises BadInput with the reason."""
    import pyarrow as pa

    refuse_unless_file(path, "give the file, or its folder")
    try:
        return parquet_file(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, error) from error


def parquet_file(path: Path) -> Any:
    """Return an open `ParquetFile` whose batches take memory one row group at a time.

    What Arrow fetches ahead it keeps until the file is closed, so nothing is fetched ahead: a
    streamed file would be in memory as a whole at its end. Raises what Arrow raises.
    """
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, pre_buffer=False)


def _batch_rows(file: Any, names: list[str]) -> int:
    """Return how many rows have about a million values: those of lists are few."""
    stored = file.metadata
    columns = [
        stored.row_group(group).column(at).num_values
        for group in range(min(stored.num_row_groups, 1))
        for at in range(stored.num_columns)
        if stored.row_group(group).column(at).path_in_schema.split(".")[0] in names
    ]
    first = stored.row_group(0).num_rows if stored.num_row_groups else 1
    return max(1, int((1 << 20) * first / max([first, *columns, 1])))


def batches_of(path: Path, file: Any, columns: list[str]) -> Iterator[Any]:
    """Yield an open file's record batches, about a million values in each.

    Raises BadInput for what Arrow cannot read.
    """
    import pyarrow as pa

    batches = file.iter_batches(_batch_rows(file, columns), columns=columns)
    while True:
        try:
            part = next(batches, None)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise unreadable(path, error) from error
        if part is None:
            return
        yield part


def unreadable(path: Path, error: Exception) -> BadInput:
    """Return the refusal of a file that Arrow cannot read."""
    return BadInput(
        f"this is not a readable Parquet file: {error}",
        where=path,
        do="the file is damaged, truncated or of another format: write or fetch it again",
    )
