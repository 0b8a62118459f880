"""The folder of one export while it is being made: streams of lines, tables and JSON, hashed."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ..store import files
from .columns import bytes_of, text
from .gzip_blocks import GzipBlocks


class ExportFolder:
    """Files below an attempt folder; `facts` gives bytes and SHA-256 of each that is finished."""

    def __init__(self, path: Path):
        self.path = path
        self.facts: dict[str, dict[str, Any]] = {}

    @contextlib.contextmanager
    def stream(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file of the export; gzip, always the same bytes, when its name ends in `.gz`."""
        path = self.path / name
        if path.parent != self.path:
            files.make_folder(path.parent)
        with files.writing(path) as sink:
            # Writers such as polars hand over many small pieces.
            with io.BufferedWriter(sink, 1 << 20) as buffer:
                if name.endswith(".gz"):
                    with contextlib.closing(GzipBlocks(buffer)) as packed:
                        yield packed  # type: ignore[misc]
                        packed.finish()
                else:
                    yield buffer
            self.facts[name] = {"bytes": sink.count, "sha256": sink.digest.hexdigest()}

    @contextlib.contextmanager
    def parquet(self, name: str, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
        """Open a Parquet file; each table written to it is a row group."""
        # Ids and texts hardly repeat within a row group: a dictionary costs time and saves nothing.
        with (
            self.stream(name) as out,
            pq.ParquetWriter(out, schema, use_dictionary=False, write_statistics=False) as writer,
        ):
            yield writer

    @contextlib.contextmanager
    def arrow_stream(self, name: str, schema: pa.Schema) -> Iterator[pa.RecordBatchStreamWriter]:
        """Open an Arrow *stream* file, which targets built on `datasets` demand."""
        with self.stream(name) as out, pa.ipc.new_stream(out, schema) as writer:
            yield writer

    def json(self, name: str, value: Any) -> None:
        """Write one JSON value: sorted keys, no NaN."""
        with self.stream(name) as out:
            text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
            out.write(text.encode() + b"\n")


def write_json_lines(out: IO[bytes], table: pa.Table) -> None:
    """Append a JSON object per row, columns in their order; text is UTF-8, not escaped."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    frame.write_ndjson(out)


def write_rows(out: IO[bytes], *pieces: str | pa.Array) -> None:
    """Append a line per row: columns and constants, joined; nothing is quoted."""
    out.write(bytes_of(text(*pieces, "\n"))[1].data)


def write_tabbed(out: IO[bytes], *columns: pa.Array) -> None:
    """Append a line per row: the texts of the columns between tabs; nothing is quoted."""
    pieces = [piece for column in columns for piece in ("\t", column)]
    write_rows(out, *pieces[1:])
