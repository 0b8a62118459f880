"""Prompts: literal text round a query and a document, each piece tokenised once.

Texts come from the token store, so the pieces are joined as ids. A blank before a text goes with
it, and so does a line end behind it, since tokenizers make one token of a blank and a word, or of a
full stop and a line end: ids are then those of the whole text. Other signs that touch a text may
still be joined with it there. Strings of special tokens become special tokens in literals, never
in texts.
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

_Way = tuple[tuple[str, ...], tuple[tuple[str, str], tuple[str, str]]]
"""Three literals, and what goes with the two texts before and behind them."""
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
class Around:
    """What goes with a text: the token store puts `blank` before it and `tail` behind it.

    `tail_ids` is what a cut text ends in, `empty_ids` what stands for one without words: int32.
    """

    blank: str
    tail: str
    tail_ids: np.ndarray
    empty_ids: np.ndarray


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as ids: `before`, first text, `between`, second text, `after` (int32 each).

    `first` says which field comes first; `query` and `document` what goes with them. `whole`: the
    pieces joined are the ids of the whole text, tried on one pair. Where texts are tokenised apart
    from the prompt, the last `label` ids of `before` belong to the first text (special ones do
    not), and `uncounted` ids lie outside of both texts and their labels.
    """

    before: np.ndarray
    between: np.ndarray
    after: np.ndarray
    first: str
    query: Around
    document: Around
    whole: bool
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

        def joined(way: _Way) -> list[int]:
            (a, b, c), ((blank, tail), (other, end)) = way
            one, two = blank + _SAMPLE[first] + tail, other + _SAMPLE[second] + end
            return ids(a) + ids(one) + ids(b) + ids(two) + ids(c)

        ways = _ways(literals, lines=label_at is None)
        equal = next((way for way in ways if joined(way) == whole), None)
        chosen, dress = equal or ways[0]
        around = [
            Around(blank, tail, *(np.asarray(ids(x), np.int32) for x in (tail, blank + tail)))
            for blank, tail in (dress if first == "query" else dress[::-1])
        ]
        opening, closing = _dressing(tokenizer)
        head, label = chosen[0], ""
        if label_at is not None:
            head, label = head[:label_at], head[label_at:]
        pieces = [ids(head) + ids(label), ids(chosen[1]), ids(chosen[2])]
        if begin and pieces[0][: len(opening)] != opening:
            pieces[0] = opening + pieces[0]
        pieces[2] += closing if end else []
        before, between, after = (np.asarray(piece, dtype=np.int32) for piece in pieces)
        apart = label_at is not None
        uncounted = len(ids(head)) + len(after) if apart else 0
        own = len(ids(label)) - _marks(tokenizer, ids(label))
        whole_text = apart or equal is not None
        return cls(before, between, after, first, around[0], around[1], whole_text, own, uncounted)

    @property
    def fixed(self) -> int:
        """Ids that are not of a text."""
        return len(self.before) + len(self.between) + len(self.after)

    @property
    def template(self) -> Template:
        """The literals in the place of special tokens, all of segment 0."""
        ids = np.concatenate([self.before, self.between, self.after], dtype=np.int32)
        return Template(ids, np.zeros_like(ids), len(self.before), len(self.between), 0, 0)


def _ways(literals: list[str], *, lines: bool) -> list[_Way]:
    """Return the ways to cut a prompt, the likeliest first.

    A blank before a text goes with it, or nowhere (some tokenizers begin every text with one), or
    stays; with `lines`, line ends behind a text go with it, or stay.
    """
    openings = [
        [(part[:-1], " "), (part[:-1], ""), (part, "")] if part.endswith(" ") else [(part, "")]
        for part in literals[:2]
    ]
    alike = list(zip(*openings, strict=False))
    ways: list[_Way] = []
    for cut in (True, False) if lines else (False,):
        for (a, one), (b, two) in [*alike, *(w for w in product(*openings) if w not in alike)]:
            tails = [re.match(r"[\r\n]*", part if cut else "") for part in (b, literals[2])]
            tail, end = (m[0] if m else "" for m in tails)
            texts = (one, tail), (two, end)
            ways.append(((a, b.removeprefix(tail), literals[2].removeprefix(end)), texts))
    return ways


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
