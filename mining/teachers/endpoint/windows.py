"""Sliding windows over a list, and how its passages are shown (Sun et al., EMNLP 2023, §3.2).

Windows go from the end of the list to its beginning, so that the best move to the front.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ...errors import UsageError

PROMPT = (
    "I will provide you with {num} passages, each indicated by a numerical identifier []. Rank the "
    "passages based on their relevance to the search query: {query}.\n\n{passages}\n"
    "Search Query: {query}.\nRank the {num} passages above based on their relevance to the search "
    "query. All the passages should be included and listed using identifiers, in descending order "
    "of relevance. The output format should be [] > [], e.g., [2] > [1], Only respond with the "
    "ranking results, do not say any word or explain."
)
"""What RankZephyr and its relatives were trained on."""
_FIELD = re.compile(r"\{(num|query|passages)\}")
_IDENTIFIER = re.compile(r"\[([0-9]+)\]")


def check_prompt(prompt: str) -> None:
    """Refuse a prompt without a place for the query, or without one for the passages; raises
    UsageError."""
    fields = Counter(_FIELD.findall(prompt))
    if fields["passages"] != 1 or not fields["query"]:
        raise UsageError(
            f"the prompt {prompt!r} names {', '.join(sorted(fields)) or 'no field'}",
            do="write {passages} once, {query} once or more, and {num} where their number belongs",
        )


def windows(count: int, window: int, stride: int) -> Iterator[tuple[int, int]]:
    """Yield start and stop of the windows over `count` places, the last places first."""
    start, stop = count - window, count
    while True:
        yield max(start, 0), stop
        if start <= 0:
            return
        start, stop = start - stride, stop - stride


def passage_of(text: str, words: int) -> str:
    """Return the first words of a text, in one line, without what looks like an identifier."""
    return _IDENTIFIER.sub(r"(\1)", " ".join(text.split()[:words]))


def first_words(text: str, words: int) -> str:
    """Return a text up to the end of a word, what is before it as it is."""
    ends = (match.end() for match in re.finditer(r"\S+", text))
    end = next(itertools.islice(ends, words - 1, None), len(text))
    return text if text[end:].isspace() else text[:end]


def listed(prompt: str, query: str, passages: Sequence[str]) -> str:
    """Return a prompt with the query and the numbered passages in their places."""
    texts: Mapping[str, str] = {
        "num": str(len(passages)),
        "query": _IDENTIFIER.sub(r"(\1)", query),
        "passages": "".join(f"[{n}] {passage}\n" for n, passage in enumerate(passages, 1)),
    }
    return _FIELD.sub(lambda match: texts[match[1]], prompt)
