"""Numbers that outgrow memory, in files that nobody has to remove."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .steps import explained


class Columns:
    """Columns of numbers that grow on the disk in files without a name: nothing of them stays when
    the process ends, however it does, and no memory is held for what has been written.
    """

    def __init__(self, folder: Path, **dtypes: Any):
        """Begin empty columns in an existing folder, each of the dtype that its name is given."""
        self._folder = folder
        self._dtypes = {name: np.dtype(dtype) for name, dtype in dtypes.items()}
        with explained(folder, 0):
            self._files = {name: tempfile.TemporaryFile(dir=folder) for name in dtypes}

    def __enter__(self) -> Columns:
        return self

    def __exit__(self, *_: object) -> None:
        for raw in self._files.values():
            raw.close()  # what is mapped stays

    def append(self, **arrays: np.ndarray) -> None:
        """Write as many values to each column; dtypes are converted."""
        for name, values in arrays.items():
            data = np.ascontiguousarray(values, dtype=self._dtypes[name])
            with explained(self._folder, data.nbytes):
                self._files[name].write(data.data)

    def mapped(self) -> dict[str, np.ndarray]:
        """Return what has been written, mapped and read-only; it outlives the columns."""
        arrays: dict[str, np.ndarray] = {}
        for name, raw in self._files.items():
            with explained(self._folder, 0):
                raw.flush()
            dtype = self._dtypes[name]
            arrays[name] = np.memmap(raw, dtype, "r") if raw.tell() else np.empty(0, dtype)
        return arrays
