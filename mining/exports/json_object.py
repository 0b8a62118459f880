"""One JSON object written entry by entry, so that it may be larger than memory."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import IO

import numpy as np
import pyarrow as pa

from .columns import joined, text
from .folder import ExportFolder


class JsonObject:
    """Streams `{key: value, …}`, one entry a line; keys and values are printed JSON."""

    def __init__(self, out: ExportFolder, name: str):
        self._files, self._out, self._name = contextlib.ExitStack(), out, name
        self._empty = True

    def __enter__(self) -> JsonObject:
        self._stream: IO[bytes] = self._files.enter_context(self._out.stream(self._name))
        self._stream.write(b"{")
        return self

    def add(self, keys: pa.Array, values: pa.Array) -> None:
        """Append entries."""
        if not len(keys):
            return
        if not self._empty:
            self._stream.write(b",\n")
        self._empty = False
        entries = joined(text(keys, ":", values), np.array([0, len(keys)]), ",\n")
        self._stream.write(entries[0].as_buffer())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._stream.write(b"}\n")
        self._files.__exit__(kind, error, trace)
