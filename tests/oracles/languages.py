"""Slow, obvious analysis of text in other languages than English: one word after the other.

Words by Unicode's properties through the `regex` library (`oracles.analysis`), folded as Unicode
defines NFKC_Casefold, stop words and stems word by word; pairs of characters from runs of them.
"""

from __future__ import annotations

import unicodedata

import regex
import Stemmer
from oracles.analysis import words

from rankmill.mining.text.stop_words import STOP_WORDS

ELIDED = {
    "french": {"l", "m", "t", "qu", "n", "s", "j", "d", "c", "jusqu", "quoiqu", "lorsqu", "puisqu"},
    "italian": set(
        "c l all dall dell nell sull coll pell gl agl dagl degl negl sugl un m t s v d".split()
    ),
    "catalan": {"d", "l", "m", "n", "s", "t"},
    "irish": {"d", "m", "b"},
}
_STEMMER = {"porter2": "english"}
_SPACE = regex.compile(r"\p{White_Space}+")
_PAIRED = regex.compile(
    r"(?V1)(?:[[\p{WB=Katakana}々〻"
    r"[[\p{Script=Han}\p{Script=Hiragana}]&&[\p{L}\p{N}]]"
    r"[[\p{Script=Hangul}&&\p{L}]--[\u1160-\u11FF\uD7B0-\uD7FB\u3164\uFFA0]]]]"
    r"[\p{WB=Extend}\p{WB=Format}\p{WB=ZWJ}\u1160-\u11FF\uD7B0-\uD7FB]*)"
)
_RUN = regex.compile(f"({_PAIRED.pattern})+")


def folded(word: str) -> str:
    """Return the NFKC_Casefold form."""
    for _ in range(2):
        word = regex.sub(r"\p{Default_Ignorable_Code_Point}", "", word)
        word = unicodedata.normalize("NFKC", word).casefold()
    return unicodedata.normalize("NFKC", word)


def analyse(text: str, language: str) -> list[str]:
    """Return the terms of a text in order."""
    if language == "whitespace":
        return [word for word in _SPACE.split(text) if word]
    found = pairs(text) if language == "cjk" else words(text)
    terms = [_term(word, language) for word in found]
    return [term for term in terms if term]


def pairs(text: str) -> list[str]:
    """Return words, and of each run of characters all pairs of neighbours; one alone stays."""
    pieces, at = [], 0
    for run in _RUN.finditer(text):
        pieces += words(text[at : run.start()])
        units = _PAIRED.findall(run.group())
        pieces += units if len(units) == 1 else [a + b for a, b in zip(units, units[1:])]  # noqa: B905
        at = run.end()
    return pieces + words(text[at:])


def _term(word: str, language: str) -> str:
    if language in ("porter", "porter2") and len(word) > 2 and word[-1] in "sS":
        word = word[:-2] if word[-2] in "'’＇" else word  # noqa: RUF001
    if language == "turkish":
        for apostrophe in "'’＇":  # noqa: RUF001
            word = word.split(apostrophe)[0]
        word = word.replace("I\u0307", "İ").replace("I", "ı").replace("İ", "i")
    word = folded(word.replace("İ", "i"))  # one code point, as Java's lower case and ours
    start, apostrophe, rest = word.replace("’", "'").partition("'")  # noqa: RUF001
    if apostrophe and rest and start in ELIDED.get(language, ()):
        word = word[len(start) + 1 :]
    listed = {"porter": "english", "porter2": "english", "cjk": "english", "dutch_porter": "dutch"}
    stops = STOP_WORDS.get(listed.get(language, language), "").split()
    if word in {folded(stop) for stop in stops}:
        return ""
    if language in ("cjk", "words"):
        return word
    return Stemmer.Stemmer(_STEMMER.get(language, language), 0).stemWord(word)
