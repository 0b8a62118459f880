"""contrastors: gzip shards of JSON lines, `counts.json`, and offsets counted in characters.

shard-00000.jsonl.gz  {"query", "document", "negatives", "pos_score", "scores", "metadata"}
counts.json           {shard: lines}
offsets.json.gz       {shard: {line: [begin, end]}} in characters, not bytes
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ..errors import UsageError
from .base import EXPORTS, Format
from .columns import lists, structs, text
from .folder import ExportFolder, write_lines
from .json_object import JsonObject
from .source import Batch, GroupSource

_TRIPLET = ["query", "document", "negatives"]
_OBJECTIVE = {"objective": {"self": [], "paired": [], "triplet": [_TRIPLET]}}


@EXPORTS.register("contrastors")
@dataclass(frozen=True, slots=True)
class Contrastors(Format):
    """Shards of at most `shard` groups; the positive's score stands apart from the others."""

    shard: int = 100_000

    def __post_init__(self) -> None:
        if self.shard < 1:
            raise UsageError(f"shard={self.shard}", where="contrastors", do="give 1 or more")

    @property
    def single_positive(self) -> bool:
        """There is one `document`."""
        return True

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write shards, counts and offsets."""
        counts: dict[str, int] = {}
        with JsonObject(out, "offsets.json.gz") as offsets:
            lines = _lines(source)
            rest = next(lines, None)
            while rest is not None:
                name = f"shard-{len(counts):05d}.jsonl.gz"
                counts[name], ends = 0, [np.zeros(1, np.int64)]
                with out.stream(name) as stream:
                    while rest is not None and counts[name] < self.shard:
                        now = rest.slice(0, self.shard - counts[name])
                        rest = rest.slice(len(now)) if len(now) < len(rest) else next(lines, None)
                        write_lines(stream, now)
                        characters = pc.utf8_length(now).to_numpy().astype(np.int64) + 1
                        ends.append(ends[-1][-1] + np.cumsum(characters))
                        counts[name] += len(now)
                _add_offsets(offsets, name, np.concatenate(ends))
        out.json("counts.json", counts)
        return {"offsets": "characters"}


def _lines(source: GroupSource) -> Iterator[pa.Array]:
    """Yield the groups as printed JSON, batch by batch."""
    metadata = json.dumps(_OBJECTIVE, separators=(",", ":"))
    for batch in source.batches(texts=True):
        rows = pl.Series(pl.from_arrow(_rows(source, batch))).struct.json_encode()
        # The same object in every line: put in as text, not carried as a column.
        printed = rows.str.strip_suffix("}").to_arrow().cast(pa.large_string())
        yield text(printed, f',"metadata":{metadata}}}')


def _rows(source: GroupSource, batch: Batch) -> pa.StructArray:
    texts = source.doc_texts(batch.doc)
    negative = texts.take(pa.array(batch.negative))
    return structs(
        query=source.query_texts(batch.query),
        document=texts.take(pa.array(batch.positive)),
        negatives=lists(negative, batch.negative_offsets),
        pos_score=batch.score[batch.positive],
        scores=lists(batch.score[batch.negative], batch.negative_offsets),
    )


def _add_offsets(offsets: JsonObject, name: str, ends: np.ndarray) -> None:
    table = {str(i): [int(a), int(b)] for i, (a, b) in enumerate(zip(ends, ends[1:], strict=False))}
    printed = json.dumps(table, separators=(",", ":"))
    key = pa.array([json.dumps(name)], pa.large_string())
    offsets.add(key, pa.array([printed], pa.large_string()))
