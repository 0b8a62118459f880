"""The four APIs: what is posted where, and which number of the answer belongs to which document.

Rows of an answer are joined by the index that they name, never by their place. A document without a
row, with two, or an index that was not asked for is an error of the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .client import Misread
from .completions import (
    TOP,
    Words,
    chat_body,
    chat_tokens,
    choice_of,
    filled,
    text_tokens,
)

Score = float | None
"""A pair's number; None where the server has none for it, NaN where it gives no number."""


class Api(Protocol):
    """One way to ask for scores."""

    @property
    def route(self) -> str:
        """Where pairs are posted."""
        ...

    @property
    def info(self) -> str:
        """Where the server says what it serves."""
        ...

    def body(self, query: str, docs: Sequence[str]) -> dict[str, Any]:
        """Return what is posted for some documents of one query."""
        ...

    def scores(self, answer: Any, count: int) -> list[Score]:
        """Return the documents' numbers in the order in which they were posted; raises Misread."""
        ...


@dataclass(frozen=True, slots=True)
class Completions:
    """OpenAI's completions, of a chat or of a text: log-odds of two words at the first token."""

    model: str
    prompt: str
    words: Words
    chat: bool
    system: str | None
    info: str = "/models"

    @property
    def route(self) -> str:
        """Where it is posted."""
        return "/chat/completions" if self.chat else "/completions"

    def body(self, query: str, docs: Sequence[str]) -> dict[str, Any]:
        """Return the request for one token of one pair."""
        (doc,) = docs
        text = filled(self.prompt, query, doc)
        if self.chat:
            asked = {"logprobs": True, "top_logprobs": TOP}
            return chat_body(self.model, self.system, text, 1) | asked
        asked = {"max_tokens": 1, "temperature": 0, "logprobs": TOP}
        return {"model": self.model, "prompt": text, **asked}

    def scores(self, answer: Any, count: int) -> list[Score]:
        """Return the log-odds; None where a word is not among the tokens told."""
        choice = choice_of(answer)
        return [self.words.score(chat_tokens(choice) if self.chat else text_tokens(choice))]


@dataclass(frozen=True, slots=True)
class VllmScore:
    """vLLM's /score: one text against several.

    Whether a sigmoid is applied depends on its version, flags and model, so it is asked for by both
    names that the field has had; a server that knows neither does as it pleases.
    """

    model: str
    kind: str
    info: str
    route: str = "/score"

    def body(self, query: str, docs: Sequence[str]) -> dict[str, Any]:
        """Return the request."""
        asked = {"model": self.model, "text_1": query, "text_2": list(docs)}
        if self.kind == "similarity":
            return asked
        activation = self.kind == "probability"
        return asked | {"activation": activation, "use_activation": activation}

    def scores(self, answer: Any, count: int) -> list[Score]:
        """Return data[].score by data[].index."""
        return joined(_rows(answer, "data"), count, "score")


@dataclass(frozen=True, slots=True)
class Tei:
    """Text Embeddings Inference: /rerank, raw scores for logits, else its probabilities."""

    kind: str
    route: str = "/rerank"
    info: str = "/info"

    def body(self, query: str, docs: Sequence[str]) -> dict[str, Any]:
        """Return the request; texts longer than the model reads are cut by the server."""
        raw = self.kind == "logit"
        asked = {"query": query, "texts": list(docs), "raw_scores": raw}
        return asked | {"return_text": False, "truncate": True}

    def scores(self, answer: Any, count: int) -> list[Score]:
        """Return [].score by [].index."""
        return joined(answer, count, "score")


@dataclass(frozen=True, slots=True)
class Cohere:
    """Cohere's rerank, version 1 or 2, as many servers have it.

    Infinity applies a sigmoid unless `raw_scores` asks for none. Cohere itself gives no logits, and
    is not asked for what it does not know.
    """

    model: str
    kind: str
    route: str = "/rerank"
    info: str = "/models"

    def body(self, query: str, docs: Sequence[str]) -> dict[str, Any]:
        """Return the request; all documents are asked for."""
        asked = {"model": self.model, "query": query, "documents": list(docs), "top_n": len(docs)}
        return asked | ({"raw_scores": True} if self.kind == "logit" else {})

    def scores(self, answer: Any, count: int) -> list[Score]:
        """Return results[].relevance_score by results[].index."""
        return joined(_rows(answer, "results"), count, "relevance_score")


def joined(rows: Any, count: int, name: str) -> list[Score]:
    """Return the numbers called `name` of `count` documents by the index of their rows."""
    if not isinstance(rows, list):
        raise Misread("the answer is no list of scores")
    scores: list[Score] = [None] * count
    for row in rows:
        index = row.get("index") if isinstance(row, dict) else None
        if type(index) is not int:
            raise Misread("a row of the answer has no index")
        if not 0 <= index < count:
            raise Misread(f"the answer names index {index}, of {count} documents that were sent")
        if scores[index] is not None:
            raise Misread(f"the answer names index {index} twice")
        scores[index] = _number(row, name)
    if lacking := [place for place, score in enumerate(scores) if score is None]:
        raise Misread(
            f"the answer lacks {len(lacking)} of {count} documents, the first with index "
            f"{lacking[0]}"
        )
    return scores


def _number(row: dict[str, Any], name: str) -> float:
    if name not in row:
        raise Misread(f"a row of the answer has no {name}")
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        raise Misread(f"the {name} of index {row['index']} is no number")
    try:
        return float("nan") if value is None else float(value)
    except OverflowError:  # of a whole number: no score, as an infinity is none
        return float("inf")


def _rows(answer: Any, name: str) -> Any:
    return answer.get(name) if isinstance(answer, dict) else None


def in_batches(query: np.ndarray, doc: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Return start and stop of runs of pairs with one query, of at most `most` pairs each.

    `query`, `doc`: uint32 [n], pairs of one query beside each other.
    """
    edges = np.flatnonzero(np.diff(query)) + 1
    bounds = [0, *edges.tolist(), len(doc)]
    return [
        (start, min(start + most, stop))
        for low, stop in zip(bounds[:-1], bounds[1:], strict=True)
        for start in range(low, stop, most)
    ]
