"""Near copies the slow way: sets of substrings of folded text."""

from __future__ import annotations

import re


def folded(text: str) -> bytes:
    """Lower-case ASCII letters, one blank for every run of other ASCII that is no digit."""
    data = re.sub(rb"[^A-Za-z0-9\x80-\xff]+", b" ", text.encode()).strip()
    return re.sub(rb"[A-Z]+", lambda m: m.group().lower(), data)


def shingles(text: str, width: int = 6) -> set[bytes]:
    data = folded(text)
    if not data:
        return set()
    return {data[i : i + width] for i in range(max(1, len(data) - width + 1))}


def jaccard(a: str, b: str, width: int = 6) -> float:
    left, right = shingles(a, width), shingles(b, width)
    return len(left & right) / len(left | right) if left | right else 0.0
