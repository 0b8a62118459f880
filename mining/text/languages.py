"""The languages that BM25 knows: how each cuts texts into words, and words into terms.

`english` is Lucene's EnglishAnalyzer, byte for byte (`analysis`, `stemming`). Every other language
but `whitespace` takes words by the same word breaks, folds each to Unicode's NFKC_Casefold form
(UAX 44: full-width and half-width letters, ligatures, ß, final sigma, soft hyphens and joiners no
longer count), drops stop words, and leaves the stem to Snowball. `cjk` takes pairs of neighbouring
characters of Chinese, Japanese and Korean, as Lucene's CJKAnalyzer does. `whitespace` is for texts
that other tools have cut: what stands between white space is a term as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import Stemmer

from ..errors import UsageError
from ..names import nearest
from .stop_words import STOP_WORDS
from .word_break import (
    CODE_POINTS,
    lower_case_map,
    pair_classes,
    white_space_classes,
    word_break_classes,
)

ENGLISH, CJK, WHITESPACE, WORDS = "english", "cjk", "whitespace", "words"
_VERSION = 1  # rises when a term of any language here changes

# Snowball's own English stemmers go by these names, since `english` is Lucene's.
_STEMMERS = {"porter": "porter", "porter2": "english"}
_ELIDED = {  # what stands before an apostrophe and a word, as Lucene's ElisionFilter has it
    "catalan": "d l m n s t",
    "french": "c d j jusqu l lorsqu m n puisqu qu quoiqu s t",
    "irish": "b d m",
    "italian": "agl all c coll d dagl dall degl dell gl l m negl nell pell s sugl sull t un v",
}
_MEANT = {  # what people may call a language: its code of ISO 639, or one of three that share one
    **dict.fromkeys(("chinese", "japanese", "korean", "zh", "ja", "ko"), CJK),
    **{"ar": "arabic", "hy": "armenian", "eu": "basque", "ca": "catalan", "cs": "czech"},
    **{"da": "danish", "nl": "dutch", "en": "english", "eo": "esperanto", "et": "estonian"},
    **{"fi": "finnish", "fr": "french", "de": "german", "el": "greek", "hi": "hindi"},
    **{"hu": "hungarian", "id": "indonesian", "ga": "irish", "it": "italian"},
    **{"lt": "lithuanian", "ne": "nepali", "no": "norwegian", "nb": "norwegian"},
    **{"fa": "persian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian"},
    **{"sr": "serbian", "st": "sesotho", "es": "spanish", "sv": "swedish", "ta": "tamil"},
    **{"tr": "turkish", "yi": "yiddish", "none": WORDS, "plain": WHITESPACE},
}
_IGNORABLE = re.compile(  # Default_Ignorable_Code_Point of Unicode
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


@dataclass(frozen=True)
class Language:
    """How texts become terms. `stop_words` and `stemmer` None: none."""

    name: str
    stop_words: str | None = None
    stemmer: str | None = None
    possessive: bool = False

    @property
    def analyser(self) -> str:
        """What stands in the fingerprint of everything made of terms: all that decides them."""
        if self.name == ENGLISH:
            return "lucene-english-1"
        if self.name == WHITESPACE:
            return f"{self.name}-{_VERSION}"
        stems = f", snowball {Stemmer.version()}" if self.stemmer else ""
        return f"{self.name}-{_VERSION}{stems}, unicode {unicodedata.unidata_version}"

    @property
    def pairs(self) -> bool:
        """Say whether neighbouring characters become pairs."""
        return self.name == CJK

    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the classes of code points and their lower case, as the kernel takes them."""
        if self.name == WHITESPACE:
            return white_space_classes(), _as_it_is()
        classes = pair_classes() if self.pairs else word_break_classes()
        return classes, _as_it_is() if self.name == "turkish" else lower_case_map()

    def terms(self, forms: list[str]) -> list[str]:
        """Return the term of each word, "" for one that is none; not for `english`."""
        if self.name == WHITESPACE:
            return forms
        words = folded([_turkish(form) for form in forms] if self.name == "turkish" else forms)
        if self.name in _ELIDED:
            cut = _elision(self.name)
            words = [cut(word) for word in words]
        if self.stop_words is not None:
            dropped = _stop_words(self.stop_words)
            words = ["" if word in dropped else word for word in words]
        if self.stemmer is None:
            return words
        return list(Stemmer.Stemmer(self.stemmer, 0).stemWords(words))


def _languages() -> dict[str, Language]:
    """Return all of them, sorted."""
    known = {
        name: Language(name, name if name in STOP_WORDS else None, name)
        for name in Stemmer.algorithms()
        if name not in _STEMMERS.values()
    }
    for name, stemmer in _STEMMERS.items():
        known[name] = Language(name, ENGLISH, stemmer, possessive=True)
    if "dutch_porter" in known:  # another stemmer of the same language
        known["dutch_porter"] = Language("dutch_porter", "dutch", "dutch_porter")
    known[ENGLISH] = Language(ENGLISH, ENGLISH, "porter", possessive=True)
    known[CJK] = Language(CJK, ENGLISH)
    known |= {name: Language(name) for name in (WHITESPACE, WORDS)}
    return dict(sorted(known.items()))


LANGUAGES = _languages()


def language_of(name: str) -> Language:
    """Return a language by its name; raises UsageError for one that is not known."""
    if name not in LANGUAGES:
        meant = _MEANT.get(name.lower())
        raise UsageError(
            f"language={name} is not known",
            do=(f"say language={meant}" if meant else nearest(name, LANGUAGES))
            + f"; language={WORDS} cuts any language into words and stems none; all of them: "
            "docs/bm25.md",
        )
    return LANGUAGES[name]


def folded(words: list[str]) -> list[str]:
    """Return the NFKC_Casefold form of words, none of which holds a line end.

    They go through as one text, joined by line ends, with which nothing composes.
    """
    if not words:
        return []
    text = unicodedata.normalize("NFKC", _IGNORABLE.sub("", "\n".join(words)))
    text = unicodedata.normalize("NFKC", _IGNORABLE.sub("", text.casefold()))
    return text.split("\n")


@cache
def _stop_words(name: str) -> frozenset[str]:
    return frozenset(folded(STOP_WORDS[name].split()))


@cache
def _elision(name: str) -> Callable[[str], str]:
    """Return what cuts an elided article off a word, with any of the apostrophes."""
    before = re.compile(f"(?:{'|'.join(_ELIDED[name].split())})['’](?=.)")

    def cut(word: str) -> str:
        elided = before.match(word)
        return word[elided.end() :] if elided else word

    return cut


@cache
def _as_it_is() -> np.ndarray:
    """Return every code point in its own place; read-only."""
    table = np.arange(CODE_POINTS, dtype=np.uint32)
    table.flags.writeable = False
    return table


def _turkish(word: str) -> str:
    """Return a word in lower case, I as ı and İ as i, without the ending behind its apostrophe."""
    bare = re.split("['’＇]", word, maxsplit=1)[0]  # noqa: RUF001
    return bare.replace("I\u0307", "i").replace("I", "ı").replace("İ", "i")
