"""Rows of an Arrow file as Python values: a stream, as `datasets` writes them, or a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .row_shapes import Place


def arrow_rows(path: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield (place, row) of every row; raises BadInput for a file that cannot be read as Arrow."""
    import pyarrow as pa

    number = 0
    try:
        with pa.memory_map(str(path)) as source:
            for batch in _batches(source):
                for row in batch.to_pylist():
                    number += 1
                    yield Place(path, number, "row"), row
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"this is not a readable Arrow file: {error}",
            where=path,
            do="the file is damaged, truncated or of another format: write or fetch it again",
        ) from error


def _batches(source: Any) -> Iterator[Any]:
    import pyarrow as pa

    magic = b"ARROW1"
    is_file = source.read(len(magic)) == magic
    source.seek(0)
    if not is_file:
        with pa.ipc.open_stream(source) as reader:
            yield from reader
        return
    with pa.ipc.open_file(source) as reader:
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
