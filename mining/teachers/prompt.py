"""Prompts: literal text round a query and a document, each piece tokenised once.

Texts come from the token store, so the pieces are joined as ids. Blanks before a text are put where
the joined ids are those of the joined text, and a line end behind a query that comes first stays
with it, since tokenizers merge a full stop and a line end; behind a document they may still give
other ids than for the whole string. Strings of special tokens become special tokens in literals,
never in texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product, takewhile
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError
from ..models.sequences import Template

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_Opening = tuple[str, str]  # a literal, and the blank that goes with the text behind it
_FIELD = re.compile(r"\{(query|document)\}")
_SAMPLE = {"query": "how warm is it", "document": "It is 30 degrees warm"}


def fields_of(prompt: str) -> tuple[str, str]:
    """Return the two fields in the order of the prompt; raises UsageError unless each is there
    once."""
    fields = _FIELD.findall(prompt)
    if sorted(fields) != ["document", "query"]:
        raise UsageError(
            f"the prompt {prompt!r} names {', '.join(fields) or 'no field'}",
            do="write {query} and {document} once each",
        )
    return fields[0], fields[1]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as ids: `before`, first text, `between`, second text, `after` (int32 each).

    `first` says which field comes first; `blanks` is what the token store puts before each query
    and before each document, and `tail` what it puts behind a query, whose ids alone are
    `tail_ids`. `whole`: the pieces joined are the ids of the whole text, tried on one pair. Where
    texts are tokenised apart from the prompt, the last `label` ids of `before` belong to the first
    text (special ones do not), and `uncounted` ids lie outside of both texts and their labels.
    """

    before: np.ndarray
    between: np.ndarray
    after: np.ndarray
    first: str
    blanks: tuple[str, str]
    whole: bool
    tail: str
    tail_ids: np.ndarray
    label: int
    uncounted: int

    @classmethod
    def of(
        cls,
        prompt: str,
        tokenizer: Tokenizer,
        *,
        begin: bool = True,
        end: bool = False,
        label_at: int | None = None,
    ) -> Prompt:
        """Tokenise the literals of a prompt.

        Special ids that the tokenizer puts before a text stay with `begin`, unless the prompt
        begins with them, those behind it with `end` (an encoder's end of sequence). `label_at`:
        the texts are tokenised apart, and a piece begins at that character.
        """
        first, second = fields_of(prompt)
        literals = _FIELD.split(prompt)[::2]

        def ids(text: str) -> list[int]:
            return tokenizer.encode(text, add_special_tokens=False).ids

        whole = ids(_FIELD.sub(lambda m: _SAMPLE[m[1]], prompt))
        line = re.match(r"[\r\n]*", literals[1])
        tail = line[0] if line and first == "query" and label_at is None else ""

        def joined(way: tuple[_Opening, _Opening]) -> list[int]:
            (a, blank_a), (b, blank_b) = way
            one, two = blank_a + _SAMPLE[first] + tail, blank_b + _SAMPLE[second]
            return ids(a) + ids(one) + ids(b.removeprefix(tail)) + ids(two) + ids(literals[2])

        ways = _ways(literals)
        equal = next((way for way in ways if joined(way) == whole), None)
        (opens, blank), (goes_on, other) = equal or ways[0]
        chosen = [opens, goes_on, literals[2]]
        blanks = (blank, other) if first == "query" else (other, blank)
        opening, closing = _dressing(tokenizer)
        head, label = chosen[0], ""
        if label_at is not None:
            head, label = head[:label_at], head[label_at:]
        pieces = [ids(head) + ids(label), ids(chosen[1].removeprefix(tail)), ids(chosen[2])]
        if begin and pieces[0][: len(opening)] != opening:
            pieces[0] = opening + pieces[0]
        pieces[2] += closing if end else []
        before, between, after, behind = (
            np.asarray(piece, dtype=np.int32) for piece in (*pieces, ids(tail))
        )
        uncounted = len(ids(head)) + len(after) if label_at is not None else 0
        own = len(ids(label)) - _marks(tokenizer, ids(label))
        apart = label_at is not None
        return cls(
            before,
            between,
            after,
            first,
            blanks,
            apart or equal is not None,
            tail,
            behind,
            own,
            uncounted,
        )

    @property
    def fixed(self) -> int:
        """Ids that are not of a text."""
        return len(self.before) + len(self.between) + len(self.after)

    @property
    def template(self) -> Template:
        """The literals in the place of special tokens, all of segment 0."""
        ids = np.concatenate([self.before, self.between, self.after], dtype=np.int32)
        return Template(ids, np.zeros_like(ids), len(self.before), len(self.between), 0, 0)


def _ways(literals: list[str]) -> list[tuple[_Opening, _Opening]]:
    """Return the ways to cut the blanks before the two texts, those that cut both alike first: at
    the text, nowhere (some tokenizers begin every text with one), or in the literal."""
    each = [
        [(part[:-1], " "), (part[:-1], ""), (part, "")] if part.endswith(" ") else [(part, "")]
        for part in literals[:2]
    ]
    alike = list(zip(*each, strict=False))
    return [*alike, *(way for way in product(*each) if way not in alike)]


def _dressing(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Return the special ids that a tokenizer puts before and behind a text."""
    dressed = tokenizer.encode("a")
    special = list(zip(dressed.ids, dressed.special_tokens_mask, strict=True))
    opening = [number for number, mask in takewhile(lambda one: one[1], special)]
    closing = [number for number, mask in takewhile(lambda one: one[1], reversed(special))]
    return opening, closing[::-1]


def _marks(tokenizer: Tokenizer, ids: list[int]) -> int:
    """Return how many of the ids are special tokens."""
    added = tokenizer.get_added_tokens_decoder()
    return sum(number in added and added[number].special for number in ids)


def one_token(tokenizer: Tokenizer, word: str) -> int:
    """Return the id of a word that is one token; raises UsageError where it is more."""
    tokens = tokenizer.encode(word, add_special_tokens=False)
    if len(tokens.ids) != 1:
        raise UsageError(
            f"{word!r} is {len(tokens.ids)} tokens for this model: {', '.join(tokens.tokens)}",
            do="choose a word that is one token; a blank in front often matters: ' yes'",
        )
    return tokens.ids[0]
