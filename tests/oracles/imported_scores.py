"""Imported scores the slow way: row by row into dictionaries, then sorted."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from rankmill.mining.store.tables import SCORES

Row = tuple[str, str, float]


def score_tables(
    rows: Iterable[Row], queries: list[str], docs: list[str], shard_pairs: int, rank: bool = False
) -> list[pa.Table]:
    """Return the parts: queries ascending, each with its documents ascending, `shard_pairs` or
    fewer pairs a part, but a query is not cut. Ranks from 0 are read as if they began at 1."""
    query_of = {name: at for at, name in enumerate(queries)}
    doc_of = {name: at for at, name in enumerate(docs)}
    found: dict[int, dict[int, float]] = {}
    for query, doc, score in rows:
        found.setdefault(query_of[query], {}).setdefault(doc_of[doc], score)
    if rank:
        first = 1 - min(1, min(min(of.values()) for of in found.values()))
        found = {q: {d: -(s + first) for d, s in of.items()} for q, of in found.items()}
    parts: list[list[int]] = [[]]
    held = 0
    for number in sorted(found):
        if parts[-1] and held + len(found[number]) > shard_pairs:
            parts.append([])
            held = 0
        parts[-1].append(number)
        held += len(found[number])
    return [_table(part, found) for part in parts]


def _table(queries: list[int], found: dict[int, dict[int, float]]) -> pa.Table:
    lists = [sorted(found[query].items()) for query in queries]
    return pa.table(
        {
            "query": pa.array(queries, pa.uint32()),
            "doc": pa.array([[d for d, _ in one] for one in lists], pa.list_(pa.uint32())),
            "logit": pa.array(
                [[np.float32(s) for _, s in one] for one in lists], pa.list_(pa.float32())
            ),
        },
        schema=SCORES,
    )
