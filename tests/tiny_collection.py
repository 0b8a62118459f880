"""A small synthetic collection in the BEIR layout, the same bytes for the same arguments."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

ODD_TEXTS = (
    "",  # an empty document: keeps its row, is never mined
    "שלום עולם מנוע חיפוש \u200f(rtl)\u200e",
    "tab\there\nnewline\r\nand \u00a0a no-break space",
    "emoji 🦉🔎 and e\u0301 beside \u00e9 (NFD beside NFC)",
    'quotes " \\ backslash \u2028 line separator \u0001 control',
)
"""Texts of the last documents (`odd-0` ... `odd-4`); they must survive byte for byte."""


def tiny_beir(folder: Path, docs: int = 200, queries: int = 40, seed: int = 0) -> Path:
    """Write `corpus.jsonl`, `queries.jsonl` and `qrels/{train,test}.tsv` and return the folder.

    Words follow Zipf's law. A query holds words of its positive document, so that term matching
    finds it, and every query has 1 to 3 judged positives and one document judged 0. Queries with
    an even ordinal belong to `train`, the others to `test`. The last five documents are
    `ODD_TEXTS` without a title and never judged.
    """
    folder = Path(folder)
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, text in _files(docs, queries, seed).items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


@cache
def _files(docs: int, queries: int, seed: int) -> dict[str, str]:
    """Return the text of each file: drawing takes longer than writing, and is asked for often."""
    plain = docs - len(ODD_TEXTS)
    if plain < 10:
        raise ValueError(f"docs={docs}: at least {10 + len(ODD_TEXTS)} are needed")
    rng = np.random.Generator(np.random.Philox(seed))
    words = _words(rng, 600)
    weights = 1.0 / np.arange(1, len(words) + 1)
    weights /= weights.sum()

    bodies, corpus, asked = [], [], []
    for doc in range(plain):
        body = list(rng.choice(words, size=int(rng.integers(8, 60)), p=weights))
        bodies.append(body)
        title = " ".join(rng.choice(words, size=2)) if doc % 3 else ""
        corpus.append({"_id": f"d{doc}", "title": title, "text": " ".join(body)})
    for number, text in enumerate(ODD_TEXTS):
        corpus.append({"_id": f"odd-{number}", "title": "", "text": text})

    judged: dict[str, list[str]] = {"train": [], "test": []}
    for query in range(queries):
        chosen = rng.choice(plain, size=int(rng.integers(2, 5)), replace=False)
        body = bodies[chosen[0]]
        rare = sorted(set(body), key=words.index, reverse=True)[:3]
        asked.append({"_id": f"q{query}", "text": " ".join([*rare, str(rng.choice(body))])})
        split = "test" if query % 2 else "train"
        for place, doc in enumerate(chosen):
            grade = 0 if place == len(chosen) - 1 else 2 if place == 0 else 1
            judged[split].append(f"q{query}\td{doc}\t{grade}\n")
    head = "query-id\tcorpus-id\tscore\n"
    return {
        "corpus.jsonl": _lines(corpus),
        "queries.jsonl": _lines(asked),
        **{f"qrels/{split}.tsv": head + "".join(lines) for split, lines in judged.items()},
    }


def _lines(rows: list[dict[str, str]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _words(rng: np.random.Generator, count: int) -> list[str]:
    """Distinct pronounceable words, the most frequent ones first."""
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    words: dict[str, None] = {}
    while len(words) < count:
        size = 2 if len(words) < 60 else int(rng.integers(2, 5))
        words["".join(rng.choice(syllables, size=size))] = None
    return list(words)
