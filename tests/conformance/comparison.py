"""What a trainer should have read, and where that which it did read differs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from targets import Target

Row = dict[str, Any]


def expected(target: Target, groups: Any, model: str) -> list[Row]:
    """The groups by plain look-ups, one after the other, as far as the layout holds them."""
    from rankmill.about import collection_of
    from rankmill.mining.groups.format import Groups

    collection, rows = collection_of(groups), Groups(groups)
    corpus, queries = collection.corpus, collection.queries
    by_id = target.texts == "ids"
    query_of, docs_of = (
        (queries.query_id, corpus.doc_ids) if by_id else (queries.text, corpus.texts)
    )
    said = cut_tokens(model, target.tokens) if target.texts == "tokens" else str
    found = []
    for number in range(len(rows)):
        group = rows[number]
        score, grade = group.score[0], np.maximum(group.grade[0], np.arange(rows.size) == 0)
        kept = np.flatnonzero(grade > 0) if target.scores == "grades" else np.arange(rows.size)
        scores = {"margins": score[0] - score, "grades": grade}.get(target.scores, score)
        found.append(
            {
                "query": said(query_of(int(group.query[0]))),
                "docs": [said(doc) for doc in docs_of(group.doc[0][kept])],
                "scores": scores[kept].tolist(),
            }
        )
    return found


def cut_tokens(model: str, length: int) -> Callable[[str], str]:
    """Return what prints a text as the numbers of its first tokens."""
    from rankmill.mining.models.folder import resolve

    tokenizer = resolve(model).tokenizer()
    tokenizer.no_padding()
    tokenizer.enable_truncation(length)
    return lambda text: " ".join(map(str, tokenizer.encode(text).ids))


def differences(target: Target, ours: list[Row], theirs: list[Row]) -> str:
    """Say what differs; empty when every group is there with its documents and scores."""
    if len(ours) != len(theirs):
        return f"{len(theirs)} groups were read, {len(ours)} were written"
    a, b = (Counter(normal(target, row) for row in rows) for rows in (ours, theirs))
    if a != b:
        query = next(iter(a - b))[0]
        return f"{sum((a - b).values())} groups differ, the first of query {query[:60]!r}"
    asked = [[seen(target, r["query"]) for r in rows] for rows in (ours, theirs)]
    if target.order in ("kept", "positive first") and asked[0] != asked[1]:
        return "the groups came in another order"
    return ""


def normal(target: Target, row: Row) -> tuple[Any, ...]:
    """Return a group in a form that compares as far as the loader keeps it."""
    scores = [0.0] * len(row["docs"]) if target.scores == "none" else row["scores"]
    pairs = [
        (seen(target, d), float(np.float32(s))) for d, s in zip(row["docs"], scores, strict=True)
    ]
    query = seen(target, row["query"])
    if target.order == "kept":
        return query, *pairs
    if target.order in ("positive first", "shuffled"):
        return query, pairs[0], *sorted(pairs[1:])
    return query, *sorted(pairs)


def seen(target: Target, text: str) -> str:
    """Return a text as the loader may hand it out."""
    return re.sub(r"[\t\r\n]", " ", text).strip(" ") if target.texts == "between tabs" else text
