"""One JSON object written entry by entry, so that it may be larger than memory."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import IO

import pyarrow as pa

from .columns import bytes_of, text
from .folder import ExportFolder


class JsonObject:
    """Streams `{key: value, …}`, one entry a line."""

    def __init__(self, out: ExportFolder, name: str):
        self._files, self._out, self._name = contextlib.ExitStack(), out, name
        self._empty = True

    def __enter__(self) -> JsonObject:
        self._stream: IO[bytes] = self._files.enter_context(self._out.stream(self._name))
        self._stream.write(b"{")
        return self

    def add(self, *pieces: str | pa.Array) -> None:
        """Append entries: the pieces of `text` that print each as JSON, key, colon and value."""
        _, printed = bytes_of(text(*pieces, ",\n"))
        if not len(printed):
            return
        if not self._empty:
            self._stream.write(b",\n")
        self._empty = False
        self._stream.write(printed[:-2].data)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._stream.write(b"}\n")
        self._files.__exit__(kind, error, trace)
