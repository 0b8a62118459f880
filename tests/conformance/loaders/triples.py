"""Rows of (query, positive, negative, score, score), a group's in a row, put together again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_groups(export: Path, rows: Sequence[Any], out: Path) -> None:
    """Write one JSON line for each group of the rows that a trainer's own reader gave."""
    negatives = json.loads((export / "export.json").read_text())["group_size"] - 1
    with out.open("w", encoding="utf-8") as stream:
        for at in range(0, len(rows), negatives):
            found = [rows[at + i] for i in range(negatives)]
            query, positive, _, score, _ = found[0]
            assert all((row[0], row[1], row[3]) == (query, positive, score) for row in found)
            line = {
                "query": query,
                "docs": [positive, *(row[2] for row in found)],
                "scores": [score, *(row[4] for row in found)],
            }
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
