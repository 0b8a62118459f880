"""Prompts: literal text round a query and a document, each piece tokenised once.

Texts come from the token store, so the pieces are joined as ids. Blanks before a text are put where
the joined ids are those of the joined text; a tokenizer that merges signs across a border (a full
stop and a line end, say) may still give other ids there than for the whole string.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError
from ..models.sequences import Template

if TYPE_CHECKING:
    from tokenizers import Tokenizer

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

    `first` says which field comes first; `blank` is what the token store puts before each text.
    """

    before: np.ndarray
    between: np.ndarray
    after: np.ndarray
    first: str
    blank: str

    @classmethod
    def of(cls, prompt: str, tokenizer: Tokenizer, *, end: bool) -> Prompt:
        """Tokenise the literals; special ids that the tokenizer puts before a text stay, those
        behind it only with `end` (an encoder's end of sequence)."""
        first, second = fields_of(prompt)
        literals = _FIELD.split(prompt)[::2]

        def ids(text: str) -> list[int]:
            return tokenizer.encode(text, add_special_tokens=False).ids

        bare, dressed = ids("a"), tokenizer.encode("a").ids
        at = dressed.index(bare[0])
        whole = ids(_FIELD.sub(lambda m: _SAMPLE[m[1]], prompt))
        ways = [(literals, "")]  # blanks in the literals, in front of the texts, or nowhere
        if all(part.endswith(" ") for part in literals[:2]):
            short = [literals[0][:-1], literals[1][:-1], literals[2]]
            ways = [(short, " "), (short, ""), *ways]

        def joined(way: tuple[list[str], str]) -> list[int]:
            (a, b, c), blank = way
            texts = [ids(blank + _SAMPLE[name]) for name in (first, second)]
            return ids(a) + texts[0] + ids(b) + texts[1] + ids(c)

        chosen, blank = next((way for way in ways if joined(way) == whole), ways[0])
        pieces = [ids(part) for part in chosen]
        pieces[0] = dressed[:at] + pieces[0]
        pieces[2] = pieces[2] + (dressed[at + len(bare) :] if end else [])
        before, between, after = (np.asarray(piece, dtype=np.int32) for piece in pieces)
        return cls(before, between, after, first, blank)

    @property
    def fixed(self) -> int:
        """Ids that are not of a text."""
        return len(self.before) + len(self.between) + len(self.after)

    @property
    def template(self) -> Template:
        """The literals in the place of special tokens, all of segment 0."""
        ids = np.concatenate([self.before, self.between, self.after], dtype=np.int32)
        return Template(ids, np.zeros_like(ids), len(self.before), len(self.between), 0, 0)


def one_token(tokenizer: Tokenizer, word: str) -> int:
    """Return the id of a word that is one token; raises UsageError where it is more."""
    tokens = tokenizer.encode(word, add_special_tokens=False)
    if len(tokens.ids) != 1:
        raise UsageError(
            f"{word!r} is {len(tokens.ids)} tokens for this model: {', '.join(tokens.tokens)}",
            do="choose a word that is one token; a blank in front often matters: ' yes'",
        )
    return tokens.ids[0]
