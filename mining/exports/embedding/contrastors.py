"""contrastors: gzip shards of JSON lines, `counts.json`, and offsets of the lines.

shard-00000.jsonl.gz  {"query", "document", "negatives", "pos_score", "scores", "metadata"}
counts.json           {shard: lines}
offsets.json.gz       {shard: {line: [begin, end]}}

Its scripts count offsets in characters, its loader in bytes: lines are ASCII, where both agree. The
loader distils from `document_score` and `negatives_scores`, its scripts know `pos_score` and
`scores`: a line has them all. It looks a shard up by the end of its path, which `bucket` gives.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
import pyarrow as pa

from ...errors import UsageError
from ...options import Option
from ..base import EXPORTS, Format
from ..columns import ascii_json, bytes_of, joined, lists, numbers, structs, text
from ..folder import ExportFolder
from ..json_object import JsonObject
from ..source import Batch, GroupSource

_TRIPLET = ["query", "document", "negatives"]
_OBJECTIVE = {"objective": {"self": [], "paired": [], "triplet": [_TRIPLET]}}


@EXPORTS.register("contrastors")
@dataclass(frozen=True, slots=True)
class Contrastors(Format):
    """contrastors (Nomic): gzip shards of JSON lines.

    `shard-*.jsonl.gz` of at most `shard` groups; `bucket`: where the loader finds the folder.
    """

    shard: Annotated[int, Option("Most groups in a file.", unit="groups")] = 100_000
    bucket: Annotated[str, Option("Where the loader finds the folder.")] = ""

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
                key, ends = self._key(name), [np.zeros(1, np.int64)]
                counts[key] = 0
                with out.stream(name) as stream:
                    while rest is not None and counts[key] < self.shard:
                        now = rest.slice(0, self.shard - counts[key])
                        rest = rest.slice(len(now)) if len(now) < len(rest) else next(lines, None)
                        places, printed = bytes_of(now)
                        stream.write(printed.data)
                        ends.append(ends[-1][-1] + places[1:])
                        counts[key] += len(now)
                _add_offsets(offsets, key, np.concatenate(ends))
        out.json("counts.json", counts)
        return {"offsets": "bytes, which are characters: the lines are ASCII"}

    def _key(self, name: str) -> str:
        """Return what the loader makes of the path of a shard."""
        if not self.bucket:
            return name
        steps = f"{self.bucket.rstrip('/')}/{name}".split("/")
        return "/".join(steps[-4:] if len(steps) >= 6 else steps[-3:])


def _lines(source: GroupSource) -> Iterator[pa.Array]:
    """Yield the groups as printed JSON, batch by batch."""
    metadata = json.dumps(_OBJECTIVE, separators=(",", ":"))
    for batch in source.batches(texts=True):
        rows = pl.Series(pl.from_arrow(_rows(source, batch))).struct.json_encode()
        # The same object in every line: put in as text, not carried as a column.
        printed = rows.str.strip_suffix("}").to_arrow().cast(pa.large_string())
        yield ascii_json(text(printed, f',"metadata":{metadata}}}\n'))


def _rows(source: GroupSource, batch: Batch) -> pa.StructArray:
    texts = source.doc_texts(batch.doc)
    negative = texts.take(pa.array(batch.negative))
    first = batch.score[batch.positive]
    others = lists(batch.score[batch.negative], batch.negative_offsets)
    return structs(
        query=source.query_texts(batch.query),
        document=texts.take(pa.array(batch.positive)),
        negatives=lists(negative, batch.negative_offsets),
        pos_score=first,
        scores=others,
        document_score=first,
        negatives_scores=others,
    )


def _add_offsets(offsets: JsonObject, name: str, ends: np.ndarray) -> None:
    begin, end = numbers(ends[:-1]), numbers(ends[1:])
    line = text('"', numbers(np.arange(len(end))), '":[', begin, ",", end, "]")
    whole = joined(line, np.array([0, len(line)]))
    offsets.add(json.dumps(name), ":{", whole, "}")
