"""Pairs of groups among other pairs, by Python sets and loops."""

from __future__ import annotations

from collections import defaultdict


def among(owner, doc, pairs):
    """Say of every (owner, document) whether it is one of `pairs`, a list of such tuples."""
    known = set(pairs)
    return [[(o, d) in known for d in docs] for o, docs in zip(owner, doc, strict=True)]


def copies(query, key, positive, judged):
    """Say which keys are one of a positive of the query; `judged`: (query, key) of positives."""
    known = defaultdict(set)
    for asked, of_judged in judged:
        known[asked].add(of_judged)
    for asked, keys, good in zip(query, key, positive, strict=True):
        known[asked].update(k for k, yes in zip(keys, good, strict=True) if yes)
    return [[k != 0 and k in known[q] for k in keys] for q, keys in zip(query, key, strict=True)]


def places(wanted, rows):
    """Return where each pair stands in the documents of rows, one after the other, else −1; rows:
    (query, documents)."""
    flat = [(query, doc) for query, docs in rows for doc in docs]
    return [flat.index(pair) if pair in flat else -1 for pair in wanted]
