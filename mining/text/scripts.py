"""Which scripts and languages texts are in, cheaply; whether an analysis cuts them into words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .analysis import analyse
from .languages import CJK, WHITESPACE, WORDS, folded
from .stop_words import STOP_WORDS

SCRIPTS = (
    "Latin Cyrillic Greek Arabic Hebrew Devanagari Bengali Tamil Telugu Thai Hangul Hiragana "
    "Katakana Han Georgian Armenian Ethiopic Khmer Lao Myanmar Sinhala Gujarati Gurmukhi Kannada "
    "Malayalam Tibetan Mongolian"
).split()
_JAPANESE = ("Hiragana", "Katakana")
_OF_SCRIPT = {  # what `language=` fits a script that few languages are written in
    "Arabic": ("arabic", "persian"),
    "Armenian": ("armenian",),
    "Devanagari": ("hindi", "nepali"),
    "Greek": ("greek",),
    "Han": (CJK,),
    "Hangul": (CJK,),
    "Japanese": (CJK,),
    "Tamil": ("tamil",),
}
_TOLD_BY_STOP_WORDS = ("Latin", "Cyrillic")
_FEWEST, _NEAR = 0.08, 0.85  # of words that are stop words; of the best, what may be it too
_RUN_TOGETHER = ("Khmer", "Lao", "Myanmar", "Thai", "Tibetan")  # no space between words
_PAIRED = {
    "Han": "takes every character for a word",
    "Hangul": "keeps a word and its particles in one",
    "Japanese": "takes every character, and runs of katakana, for words",
}
_CALLED = {"Han": "Chinese", "Hangul": "Korean"}
_MOSTLY = 0.5
_LONG = 12  # characters between white space: more are no words


def scripts_of(texts: Sequence[str]) -> dict[str, float]:
    """Return the share of texts by the script that most of their letters belong to.

    Kana beside Han count as Japanese. `none`: texts without a letter of a known script.
    """
    if not texts:
        return {}
    column = pa.array(texts, pa.large_string())
    counts = np.stack(
        [
            np.asarray(pc.count_substring_regex(column, rf"\p{{{script}}}"), dtype=np.int64)
            for script in SCRIPTS
        ]
    )
    kana = counts[[SCRIPTS.index(script) for script in _JAPANESE]].sum(axis=0)
    han = SCRIPTS.index("Han")
    counts[SCRIPTS.index("Hiragana")] = np.where(kana > 0, kana + counts[han], 0)
    counts[SCRIPTS.index("Katakana")] = 0
    counts[han] = np.where(kana > 0, 0, counts[han])
    names = [*("Japanese" if script in _JAPANESE else script for script in SCRIPTS), "none"]
    best = np.where(counts.any(axis=0), counts.argmax(axis=0), len(SCRIPTS))
    shares = np.bincount(best, minlength=len(names)) / len(texts)
    order = np.argsort(-shares, kind="stable")
    return {names[i]: round(float(shares[i]), 4) for i in order if shares[i]}


def languages_of(texts: Sequence[str], scripts: dict[str, float]) -> list[str]:
    """Return the values of `language=` that the texts may be in, the likeliest first.

    By their main script where that decides, else by the share of words that are stop words of a
    language; none where nothing decides.
    """
    main = next(iter(scripts), "none")
    if main not in _TOLD_BY_STOP_WORDS:
        return list(_OF_SCRIPT.get(main, ()))
    analysed = analyse(pa.array(texts, pa.large_string()), WORDS)
    used = np.bincount(analysed.term_of[analysed.words], minlength=len(analysed.terms))
    shares = {
        name: float(used[_places(analysed.terms, listed)].sum() / max(used.sum(), 1))
        for name, listed in STOP_WORDS.items()
    }
    best = max(shares.values())
    if best < _FEWEST:
        return []
    likely = [name for name, share in shares.items() if share >= _NEAR * best]
    return sorted(likely, key=lambda name: -shares[name])


def _places(terms: pa.Array, listed: str) -> np.ndarray:
    """Return where the words of a list stand among the terms."""
    place = pc.index_in(pa.array(folded(listed.split()), terms.type), value_set=terms)
    return place.drop_null().to_numpy()


def unfit(language: str, texts: Sequence[str], scripts: dict[str, float]) -> str | None:
    """Return what an analysis does to texts that it cannot cut into words, and what would; None
    where it can. Decided by the script that most of the texts are in."""
    main, share = next(iter(scripts.items()), ("none", 0.0))
    if share < _MOSTLY or main not in (*_RUN_TOGETHER, *_PAIRED):
        return None
    if language == CJK and main in _PAIRED or language == WHITESPACE and not _unbroken(texts):
        return None
    named = _CALLED.get(main, main)
    seen = f"the texts are mostly {named} ({100 * share:.0f} % of {len(texts):,} looked at)"
    if main in _RUN_TOGETHER:
        return (
            f"{seen}, which language={language} does not cut into words: cut them by another tool, "
            f"with blanks between words, and say language={WHITESPACE}"
        )
    fault = "needs blanks between words" if language == WHITESPACE else _PAIRED[main]
    return f"{seen}; language={language} {fault}: language={CJK} takes pairs of characters"


def _unbroken(texts: Sequence[str]) -> bool:
    """Say whether what stands between white space is too long for words, on average."""
    pieces = sum(len(text.split()) for text in texts)
    return sum(map(len, texts)) > _LONG * max(pieces, 1)
