"""What a collection holds and what is odd about it: sizes, lengths, copies, scripts, judgements.

Everything is read once, part by part, as Arrow columns. Equal texts are found by a 64-bit hash of
their bytes: among 10 million texts, two different ones share a hash with probability 3·10⁻⁶.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow.compute as pc

from ..pair_keys import distinct
from ..parts.told import Told, counted
from ..store import Artifact
from ..text.scripts import languages_of, scripts_of
from .base import hashes_of
from .handles import Collection
from .policies import SHOWN
from .rows import Qrels, TextTable, blank

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
SAMPLED = 5_000  # texts looked at for scripts, evenly spaced
_NOT_ODD = {"empty"}  # counted apart, below the lengths


@dataclass(frozen=True, slots=True, repr=False)
class Overview(Told):
    """What `rankmill survey` tells; `facts` holds JSON values only."""

    facts: dict[str, Any]

    def lines(self) -> Iterator[str]:
        """Yield the facts as lines for people."""
        for role in ("documents", "queries"):
            if role in self.facts:
                yield from _text_lines(role, self.facts[role])
        for split, facts in self.facts["splits"].items():
            yield from _split_lines(split, facts)
        for pair in self.facts["overlap"]:
            yield (
                f"{pair['splits'][0]} and {pair['splits'][1]}: {pair['queries']:,} queries, "
                f"{pair['query_texts']:,} query texts and {pair['positives']:,} positive documents "
                "in both"
            )
        same = self.facts.get("queries_as_documents")
        if same is not None:
            yield (
                f"queries as documents: {same['same_id']:,} documents have a query's id, "
                f"{same['same_id_and_text']:,} of them its text too; {same['same_text']:,} have "
                "exactly a query's text"
            )


def overview_of(collection: Collection) -> Overview:
    """Read a collection whole and return what it holds."""
    corpus, documents = collection.corpus, _Texts(collection.corpus)
    facts: dict[str, Any] = {"documents": documents.facts(corpus)}
    has_queries = "queries" in collection.artifact.inputs
    if has_queries:
        queries = _Texts(collection.queries)
        facts["queries"] = queries.facts(collection.queries)
        judged = [collection.qrels(split).queries for split in collection.splits]
        ever = distinct(np.concatenate(judged)) if judged else np.empty(0, np.uint32)
        facts["queries"]["not_judged"] = len(collection.queries) - len(ever)
        facts["queries_as_documents"] = _queries_as_documents(collection, documents, queries)
    else:
        queries = documents  # there is no split either, and nothing to overlap
    qrels = {split: collection.qrels(split) for split in collection.splits}
    facts["splits"] = {split: _split(one) for split, one in qrels.items()}
    facts["overlap"] = [
        {"splits": [one, other], **_overlap(qrels[one], qrels[other], queries.hashes)}
        for one, other in combinations(qrels, 2)
    ]
    facts["excluded_grade"] = collection.excluded_grade
    facts["odd"] = oddities_of(collection)
    return Overview(facts)


def oddities_of(collection: Collection) -> dict[str, dict[str, Any]]:
    """Return per role what was odd when it was read: kind → count and the first ten."""
    oddities: dict[str, dict[str, Any]] = {}
    inputs = collection.artifact.inputs
    for role in sorted(inputs, key=lambda r: (not r.startswith(("corpus", "queries")), r)):
        artifact: Artifact = collection.artifact.input(role)
        kinds = {
            kind: {"count": count, "first": artifact.examples.get(kind, [])}
            for kind, count in artifact.counts.items()
            if kind not in _NOT_ODD
        }
        if kinds:
            oddities[role] = kinds
    return oddities


class _Texts:
    """One pass over ids and texts: hashes of both (uint64), lengths in characters, empty rows."""

    def __init__(self, table: TextTable):
        hashes, ids, lengths, empty = [], [], [], []
        for _, part in table.parts():
            texts = part["text"].combine_chunks()
            hashes.append(hashes_of(texts))
            ids.append(hashes_of(part[table.id_column].combine_chunks()))
            lengths.append(np.asarray(pc.utf8_length(texts), dtype=np.int64))
            empty.append(np.asarray(blank(texts)))
        self.hashes, self.ids = np.concatenate(hashes), np.concatenate(ids)
        self.lengths, self.empty = np.concatenate(lengths), np.concatenate(empty)

    def facts(self, table: TextTable) -> dict[str, Any]:
        """Return size, lengths, empty rows, copies, scripts and likely languages."""
        _, first = np.unique(self.hashes, return_index=True)
        copies = np.ones(len(self.hashes), dtype=bool)
        copies[first] = False
        copies &= ~self.empty
        rows = np.flatnonzero(copies)
        sample = _sample(table)
        scripts = scripts_of(sample)
        return {
            "rows": len(table),
            "bytes": table.artifact.bytes,
            "characters": quantiles(self.lengths),
            "empty": int(self.empty.sum()),
            "empty_first": table.ids(np.flatnonzero(self.empty)[:SHOWN]),
            "copies": len(rows),
            "copies_first": table.ids(rows[:SHOWN]),
            "scripts": scripts,
            "languages": languages_of(sample, scripts),
        }


def quantiles(values: np.ndarray) -> dict[str, float]:
    """Return the least, the largest and quantiles between, of those that occur (inverted CDF)."""
    if not len(values):
        return {}
    points = np.quantile(values, QUANTILES, method="inverted_cdf")
    return {f"{q:g}": float(v) for q, v in zip(QUANTILES, points, strict=True)}


def _sample(table: TextTable) -> list[str]:
    step = max(1, len(table) // SAMPLED)
    return table.texts(np.arange(0, len(table), step)[:SAMPLED])


def _split(qrels: Qrels) -> dict[str, Any]:
    queries, counts = np.unique(qrels.query, return_counts=True)
    positive = qrels.grade >= 1
    per_query = np.bincount(np.searchsorted(queries, qrels.query[positive]), minlength=len(queries))
    grades, of_grade = np.unique(qrels.grade, return_counts=True)
    return {
        "queries": len(queries),
        "judgements": len(qrels),
        "judgements_per_query": quantiles(counts),
        "positives": int(positive.sum()),
        "positives_per_query": quantiles(per_query),
        "queries_without_positive": int((per_query == 0).sum()),
        "grades": {str(g): int(n) for g, n in zip(grades, of_grade, strict=True)},
        "excluded": int(qrels.excluded.sum()),
    }


def _overlap(one: Qrels, other: Qrels, texts: np.ndarray) -> dict[str, int]:
    """Count what two splits share; `texts`: hash of every query's text."""
    docs, others = (distinct(q.doc[q.grade >= 1]) for q in (one, other))
    said, also = (distinct(texts[q.queries]) for q in (one, other))
    pairs = {
        "queries": (one.queries, other.queries),
        "query_texts": (said, also),
        "positives": (docs, others),
    }
    return {name: len(np.intersect1d(*pair, assume_unique=True)) for name, pair in pairs.items()}


def _queries_as_documents(
    collection: Collection, documents: _Texts, queries: _Texts
) -> dict[str, Any]:
    """Count documents with a query's id, those of them with its text, and those with any's text."""
    order = np.argsort(queries.ids, kind="stable")
    place = np.searchsorted(queries.ids[order], documents.ids)
    place = order[np.minimum(place, len(order) - 1)]
    same_id = queries.ids[place] == documents.ids
    both = same_id & (queries.hashes[place] == documents.hashes)
    same_text = np.isin(documents.hashes, queries.hashes[~queries.empty]) & ~documents.empty
    corpus = collection.corpus
    return {
        "same_id": int(same_id.sum()),
        "same_id_first": corpus.ids(np.flatnonzero(same_id)[:SHOWN]),
        "same_id_and_text": int(both.sum()),
        "same_text": int(same_text.sum()),
        "same_text_first": corpus.ids(np.flatnonzero(same_text)[:SHOWN]),
    }


# ---- for people -------------------------------------------------------------------------------


def _text_lines(role: str, facts: dict[str, Any]) -> Iterator[str]:
    noun = {"documents": "document", "queries": "query"}[role]
    yield f"{counted(facts['rows'], noun, role)}, {_size(facts['bytes'])}"
    yield f"  characters: {_spread(facts['characters'])}"
    for kind, said in (("empty", "without visible text"), ("copies", "with the text of another")):
        if facts[kind]:
            yield f"  {facts[kind]:,} {said}: {_ids(facts[f'{kind}_first'], facts[kind])}"
    yield "  scripts: " + ", ".join(f"{n} {100 * s:.4g} %" for n, s in facts["scripts"].items())
    if facts["languages"]:
        said = " or ".join(f"language={name}" for name in facts["languages"][:3])
        yield f"  for BM25, by script and stop words: {said}"
    if facts.get("not_judged"):
        yield f"  {facts['not_judged']:,} in no split"


def _split_lines(split: str, facts: dict[str, Any]) -> Iterator[str]:
    yield (
        f"split {split}: {counted(facts['queries'], 'query', 'queries')}, "
        f"{counted(facts['judgements'], 'judgement')}, {facts['positives']:,} positive"
    )
    yield f"  judgements per query: {_spread(facts['judgements_per_query'])}"
    yield f"  positives per query: {_spread(facts['positives_per_query'])}"
    yield "  judgements: " + ", ".join(f"{n:,} of grade {g}" for g, n in facts["grades"].items())
    if facts["queries_without_positive"]:
        yield f"  {facts['queries_without_positive']:,} queries without a positive"
    if facts["excluded"]:
        yield f"  {facts['excluded']:,} judgements exclude their document"


def _size(count: int) -> str:
    """Return bytes in megabytes, those of a small collection in kilobytes."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"


def _spread(spread: dict[str, float]) -> str:
    if not spread:
        return "none"
    said = {"0": "least", "0.5": "median", "1": "most"}
    return ", ".join(f"{said.get(q, f'{100 * float(q):g} %')} {v:,.0f}" for q, v in spread.items())


def _ids(first: list[str], count: int) -> str:
    return ", ".join(first) + (", …" if count > len(first) else "")
