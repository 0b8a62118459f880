"""The parser of canonical texts: one cursor, one pass, no `eval`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..errors import UsageError
from .texts import (
    CONSTANTS,
    MOST_CHARACTERS,
    MOST_NESTED,
    NUMBER,
    WORD,
    Call,
    Spelled,
    plain,
    refuse_surrogates,
)

_AROUND = 120  # characters that are shown on either side of a fault


def parse(text: str) -> Any:
    """Parse `text` to a word (str, int, float, bool or None), a tuple, or a `Call`."""
    return plain(Reader(text).whole())


class Reader:
    """A cursor over one text; every refusal shows the text with the position."""

    def __init__(self, text: str):
        refuse_surrogates(text)
        self.text, self.at, self.depth = text, 0, 0

    def whole(self) -> Any:
        """Return the value that is the whole text; numbers and constants keep their spelling."""
        value = self.value()
        self.end()
        return value

    def value(self) -> Any:
        """Read one value from where the cursor stands."""
        self._blank()
        if self._peek() in "\"'":
            return self._quoted()
        if self._peek() == "[":
            return tuple(item for _, item in self._sequence("[", "]", named=False))
        word = self._word()
        if self._peek() == "(":
            items = list(self._sequence("(", ")", named=True))
            positional = tuple(v for k, v in items if k is None)
            return Call(word, positional, tuple((k, v) for k, v in items if k is not None))
        if word in CONSTANTS:
            return Spelled(word, CONSTANTS[word])
        if NUMBER.match(word):
            if len(word) > MOST_CHARACTERS:
                raise self._error(f"a number of more than {MOST_CHARACTERS} characters")
            whole = word.lstrip("+-").isdigit()
            return Spelled(word, int(word) if whole else float(word))
        return word

    def end(self) -> None:
        """Refuse anything that still follows."""
        self._blank()
        if self.at < len(self.text):
            raise self._error("unexpected text")

    def _sequence(
        self, opening: str, closing: str, *, named: bool
    ) -> Iterator[tuple[str | None, Any]]:
        self.at += len(opening)
        self.depth += 1
        if self.depth > MOST_NESTED:
            raise self._error(f"nested deeper than {MOST_NESTED} lists and brackets")
        self._blank()
        while self._peek() != closing:
            key, value = None, self.value()
            self._blank()
            if self._peek() == "=" and named and isinstance(value, str):
                self.at += 1
                key, value = value, self.value()
                self._blank()
            yield key, value
            if self._peek() == ",":
                self.at += 1
                self._blank()
            elif self._peek() != closing:
                raise self._error(f"expected ',' or '{closing}'")
        self.at += 1
        self.depth -= 1

    def _quoted(self) -> str:
        quote, start = self.text[self.at], self.at
        end = start + 1
        while end < len(self.text) and self.text[end] != quote:
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise self._error("the quote is never closed")
        self.at = end + 1
        body = self.text[start + 1 : end]
        try:
            said = json.loads(f'"{body}"') if quote == '"' else body.replace("\\'", "'")
            refuse_surrogates(said)
            return said
        except json.JSONDecodeError as error:
            raise self._error("this quoted text is not valid") from error

    def _word(self) -> str:
        match = WORD.match(self.text, self.at)
        if not match:
            raise self._error("expected a name or a value")
        self.at = match.end()
        return match.group()

    def _peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else "\0"

    def _blank(self) -> None:
        while self._peek().isspace():
            self.at += 1

    def _error(self, what: str) -> UsageError:
        begin = max(0, self.at - _AROUND)
        seen, more = self.text[begin : self.at + _AROUND], len(self.text) - self.at > _AROUND
        before = "…" if begin else ""
        at = " " * (len(before) + self.at - begin)
        pointer = f"{before}{seen}{'…' if more else ''}\n         {at}^"
        return UsageError(f"{what} at character {self.at + 1}", where=pointer)
