"""Parts of an artifact that was begun and is not finished: those that are done, read as ever."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from .. import files
from ..artifact import Part
from .records import is_intact, kept_record


class Begun:
    """The parts below a folder that have a record and hold its bytes (level 2), in their order.

    A later run of the same request may add parts meanwhile; none that is there is ever changed.
    """

    def __init__(self, folder: Path, fingerprint: str):
        self.path, self.fingerprint = folder, fingerprint
        records = (kept_record(path, fingerprint) for path in records_below(folder))
        whole = [one for one in records if one is not None and is_intact(folder, one)]
        parts = [
            Part(one["number"], one["file"], 0, one["rows"], one["bytes"], one["sha256"])
            for one in whole
        ]
        self.parts = tuple(replace(part, number=place) for place, part in enumerate(parts))

    def table(self, number: int = 0) -> pa.Table:
        """Map a part, by its place among those that are done."""
        return files.read_arrow(self.path / self.parts[number].file)


def records_below(folder: Path) -> list[Path]:
    """Return the files that say which parts of a folder are done; none where it is not there."""
    return sorted(folder.glob("part-*.json"))
