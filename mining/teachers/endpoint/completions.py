"""Log-odds of two words from the log-probabilities that a completion gives for its first token.

A server gives the most likely tokens only, 20 at most. A word none of whose spellings is among them
has no log-probability: the pair has no score then, and none is made up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import UsageError
from ..prompt import fields_of
from .client import Misread

YES = ("yes", "Yes", "YES", " yes", " Yes", " YES")
NO = ("no", "No", "NO", " no", " No", " NO")
PROMPT = (
    "Query: {query}\nDocument: {document}\nIs the document relevant to the query? Answer yes or no."
)
TOP = 20  # more tokens no API gives
_UNLIKELY = -9999.0  # what APIs give in place of a log-probability that they do not tell
_ROUNDED = 2.0**-8  # above 0 by rounding to bfloat16, at most


@dataclass(frozen=True, slots=True)
class Words:
    """The spellings of yes and of no that count, as the server prints tokens; `no` may be empty.

    The score is ln Σ p(spellings of yes) − ln Σ p(spellings of no), or the first of the two alone.
    """

    yes: tuple[str, ...]
    no: tuple[str, ...]

    def score(self, tokens: dict[str, float]) -> float | None:
        """Return the score of a first token's log-probabilities; None where a word is not told."""
        yes, no = (_word(tokens, spellings) for spellings in (self.yes, self.no))
        if not self.no:
            return yes
        return None if yes is None or no is None else yes - no


def _word(tokens: dict[str, float], spellings: tuple[str, ...]) -> float | None:
    told = [tokens[one] for one in spellings if one in tokens]
    return _log_sum(told) if told else None


def _log_sum(values: Sequence[float]) -> float:
    """Return the log of a sum of probabilities, from their logs."""
    most = max(values)
    return most + math.log(math.fsum(math.exp(one - most) for one in values))


def check_words(yes: tuple[str, ...], no: tuple[str, ...]) -> None:
    """Refuse words that cannot be told apart; raises UsageError."""
    if not yes or not all((*yes, *no)):
        raise UsageError("a word is empty", do="write the spellings of a word: yes=[yes,Yes]")
    if shared := set(yes) & set(no):
        raise UsageError(f"yes and no share the spelling {sorted(shared)[0]!r}")


def filled(prompt: str, query: str, document: str) -> str:
    """Return a prompt with both texts in their places; what the texts hold stays as it is."""
    fields_of(prompt)
    texts = {"query": query, "document": document}
    return re.sub(r"\{(query|document)\}", lambda match: texts[match[1]], prompt)


def chat_body(model: str, system: str | None, text: str, most: int) -> dict[str, Any]:
    """Return a chat request for at most `most` tokens, the likeliest each time."""
    turns = [{"role": "system", "content": system}] if system is not None else []
    turns.append({"role": "user", "content": text})
    return {"model": model, "messages": turns, "max_tokens": most, "temperature": 0}


def choice_of(answer: Any) -> dict[str, Any]:
    """Return the one choice of a completion; raises Misread."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise Misread("the answer has not one choice")
    return choices[0]


def chat_tokens(choice: dict[str, Any]) -> dict[str, float]:
    """Return the log-probabilities of the first token of a chat completion, by token."""
    content = _at(choice.get("logprobs"), "content")
    first = content[0] if isinstance(content, list) and content else None
    rows = _at(first, "top_logprobs")
    if not isinstance(rows, list):
        raise _without_logprobs()
    return _summed((_at(row, "token"), _at(row, "logprob")) for row in rows)


def text_tokens(choice: dict[str, Any]) -> dict[str, float]:
    """Return the same of a text completion."""
    tops = _at(choice.get("logprobs"), "top_logprobs")
    if not isinstance(tops, list) or not tops or not isinstance(tops[0], dict):
        raise _without_logprobs()
    return _summed(iter(tops[0].items()))


def _summed(rows: Iterator[tuple[Any, Any]]) -> dict[str, float]:
    """Return the log of the summed probabilities of equal tokens (their bytes may differ)."""
    each: dict[str, list[float]] = {}
    for token, value in rows:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not isinstance(token, str) or not (value is None or number):
            raise Misread("a token of the answer has no log-probability")
        if value is None or value <= _UNLIKELY:
            continue
        if not value <= _ROUNDED:  # NaN too
            raise Misread(f"the log-probability of the token {token!r} is {value}")
        each.setdefault(token, []).append(float(value))
    return {token: _log_sum(values) for token, values in each.items()}


def _at(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _without_logprobs() -> Misread:
    return Misread("the answer has no log-probabilities of its first token")
