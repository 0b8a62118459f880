"""Prompts: literal text round a query and a document, each piece tokenised once.

Texts come from the token store, so the pieces are joined as ids. A blank before a text goes with
it, and so does a line end behind it, since tokenizers make one token of a blank and a word, or of a
full stop and a line end: ids are then those of the whole text. Other signs that touch a text may
still be joined with it there. Strings of special tokens become special tokens in literals, never
in texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import product, takewhile
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError
from ..models.sequences import Template

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_Ids = Callable[[str], list[int]]
_FIELD = re.compile(r"\{(query|document)\}")
_PLAIN = ("how warm is it", "It is 30 degrees warm", "is it?", "30 (or so)", "Warm.", "(né) 中文")
_ODD = ("", " warm", "warm ", "warm\n", "is it? ", "warm  ", "\twarm \n", "warm.\n\n")
_BEFORE = ","  # stands before a literal that is tokenised in its place


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
    pieces joined are the ids of the whole text, tried on a few pairs. `in_place`: literals are not
    tokenised as if a text began with them. Where texts are tokenised apart from the prompt, the
    last `label` ids of `before` belong to the first text (special ones do not), and `uncounted` ids
    lie outside of both texts and their labels. `unended`: what the tokenizer puts behind a text,
    where nothing here ends with it; else empty.
    """

    before: np.ndarray
    between: np.ndarray
    after: np.ndarray
    first: str
    query: Around
    document: Around
    whole: bool
    in_place: bool
    label: int
    uncounted: int
    unended: str = ""

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

        @cache
        def ids(text: str) -> list[int]:
            return tokenizer.encode(text, add_special_tokens=False).ids

        way, whole = _best_way(literals, ids, lines=label_at is None)
        chosen, dress = way.literals, way.texts
        around = [
            Around(blank, tail, *(np.asarray(ids(x), np.int32) for x in (tail, blank + tail)))
            for blank, tail in (dress if first == "query" else dress[::-1])
        ]
        opening, closing = _dressing(tokenizer)
        head, label = chosen[0], ""
        if label_at is not None:
            head, label = head[:label_at], head[label_at:]
        pieces = [ids(head) + ids(label), *way.behind(ids)]
        if begin and pieces[0][: len(opening)] != opening:
            pieces[0] = opening + pieces[0]
        pieces[2] = pieces[2] + (closing if end else [])
        unended = closing and pieces[2][-len(closing) :] != closing
        before, between, after = (np.asarray(piece, dtype=np.int32) for piece in pieces)
        apart = label_at is not None
        uncounted = len(ids(head)) + len(after) if apart else 0
        own = len(ids(label)) - _marks(tokenizer, ids(label))
        return cls(
            before,
            between,
            after,
            first,
            around[0],
            around[1],
            whole=apart or whole,
            in_place=way.in_place,
            label=own,
            uncounted=uncounted,
            unended="".join(str(tokenizer.id_to_token(one)) for one in closing) if unended else "",
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


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to cut a prompt: three literals, and what goes with the two texts before and behind
    them. `in_place`: the ids of a literal are those that it has behind something."""

    literals: tuple[str, str, str]
    texts: tuple[tuple[str, str], tuple[str, str]]
    in_place: bool = False

    def behind(self, ids: _Ids) -> list[list[int]]:
        """Return the ids of the literals behind the first and the second text."""
        return [self._placed(text, ids) for text in self.literals[1:]]

    def joined(self, first: str, second: str, ids: _Ids) -> list[int]:
        """Return the ids of a pair, piece by piece."""
        texts = zip((first, second), self.texts, strict=True)
        one, two = (ids(blank + text + tail) for text, (blank, tail) in texts)
        between, after = self.behind(ids)
        return ids(self.literals[0]) + one + between + two + after

    def _placed(self, text: str, ids: _Ids) -> list[int]:
        lead = ids(_BEFORE)
        both = ids(_BEFORE + text)
        return both[len(lead) :] if self.in_place and both[: len(lead)] == lead else ids(text)


def _best_way(literals: list[str], ids: _Ids, *, lines: bool) -> tuple[_Way, bool]:
    """Return the way whose ids are those of the whole text for the most texts, the likeliest of
    equals; and whether they are for all texts that do not begin or end oddly.

    `lines`: texts and prompt are meant to be tokenised in one piece; last come the ways with
    literals in their place, as some tokenizers put a blank before what a text begins with.
    """
    pairs = list(product(_PLAIN, repeat=2))
    odd = [*product(_ODD, _PLAIN[:1]), *product(_PLAIN[:1], _ODD)] if lines else []
    wanted = [ids(literals[0] + a + literals[1] + b + literals[2]) for a, b in (*pairs, *odd)]

    def right(way: _Way) -> tuple[int, int]:
        equal = [
            way.joined(a, b, ids) == ids_
            for (a, b), ids_ in zip((*pairs, *odd), wanted, strict=True)
        ]
        return sum(equal[: len(pairs)]), sum(equal[len(pairs) :])

    ways = _ways(literals, lines=lines)
    if lines:
        ways += [replace(way, in_place=True) for way in ways]
    counted = [right(way) for way in ways]
    best = max(counted)
    apart = literals[1] != ""  # else a text begins where the other ends: no sample tells all
    return ways[counted.index(best)], best[0] == len(pairs) and apart


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
            left = a, b.removeprefix(tail), literals[2].removeprefix(end)
            ways.append(_Way(left, ((one, tail), (two, end))))
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
