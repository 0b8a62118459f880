"""One JSON object written entry by entry, so that it may be larger than memory."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import IO

import polars as pl

from .columns import text
from .folder import ExportFolder, write_lines


class JsonObject:
    """Streams `{key: value, …}`, one entry a line; keys and values are printed JSON."""

    def __init__(self, out: ExportFolder, name: str):
        self._files, self._out, self._name = contextlib.ExitStack(), out, name
        self._empty = True

    def __enter__(self) -> JsonObject:
        self._stream: IO[bytes] = self._files.enter_context(self._out.stream(self._name))
        self._stream.write(b"{")
        return self

    def add(self, keys: pl.Series, values: pl.Series) -> None:
        """Append entries."""
        if not len(keys):
            return
        entries = text(",", keys, ":", values)
        if self._empty:  # the first entry has no comma before it
            entries = pl.concat([entries.slice(0, 1).str.slice(1), entries.slice(1)])
            self._empty = False
        write_lines(self._stream, entries)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._stream.write(b"}\n")
        self._files.__exit__(kind, error, trace)
