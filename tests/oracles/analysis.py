"""Slow, obvious analysis of English text as Lucene's EnglishAnalyzer does it.

Words by Unicode's word-break properties through the `regex` library (the grammar of
StandardTokenizerImpl.jflex written as one pattern), possessive, lower case, stop words, and Martin
Porter's own version of his stemmer, letter by letter (tartarus.org/martin/PorterStemmer, the Java
text that Lucene's PorterStemmer is).
"""

from __future__ import annotations

import regex

STOP_WORDS = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then "
    "there these they this to was will with".split()
)


def _word_pattern() -> str:
    def with_marks(body: str) -> str:
        return rf"(?:{body}[\p{{WB=Extend}}\p{{WB=Format}}\p{{WB=ZWJ}}]*)"

    han = r"\p{Script=Han}\p{Script=Hiragana}"
    hebrew = with_marks(r"\p{WB=Hebrew_Letter}")
    number = with_marks(r"\p{WB=Numeric}")
    katakana = with_marks(r"\p{WB=Katakana}")
    joiner = with_marks(r"\p{WB=ExtendNumLet}")
    mid_letter = with_marks(r"[\p{WB=MidLetter}\p{WB=MidNumLet}\p{WB=Single_Quote}]")
    mid_number = with_marks(r"[\p{WB=MidNum}\p{WB=MidNumLet}\p{WB=Single_Quote}]")
    quote = with_marks(r"\p{WB=Single_Quote}")
    letter = with_marks(r"[\p{WB=ALetter}\p{WB=Hebrew_Letter}]")
    double = with_marks(r"\p{WB=Double_Quote}")
    word = (
        rf"(?:{katakana}(?:{joiner}*{katakana})*"
        rf"|(?:{hebrew}(?:{double}{hebrew}|{quote})"
        rf"|{number}(?:(?:{joiner}*|{mid_number}){number})*"
        rf"|{letter}(?:(?:{joiner}*|{mid_letter}){letter})*)+)"
    )
    words = rf"{joiner}*{word}(?:{joiner}+{word})*{joiner}*"
    alone = with_marks(rf"[[{han}]&&[\p{{L}}\p{{N}}]]")
    complex_context = with_marks(r"[\p{Line_Break=SA}--[\p{WB=Extend}\p{WB=Format}]]") + "+"
    flag = with_marks(r"\p{WB=Regional_Indicator}")
    picture = with_marks(
        rf"[\p{{Emoji}}--[\p{{WB=Regional_Indicator}}\p{{WB=Extend}}\p{{WB=ALetter}}{han}"
        r"#*0-9©®™〰〽]]"
    )
    pictures = rf"{picture}(?:(?<=\u200d){picture})*"
    # (?p): the longest of all ways to match, as JFlex has it
    return rf"(?V1p){words}|{alone}|{complex_context}|{flag}{flag}?|{pictures}"


_WORD = regex.compile(_word_pattern())


def words(text: str) -> list[str]:
    """Return the words of a text, cut at 255 code points."""
    found, at = [], 0
    while match := _WORD.search(text, at):
        end = min(match.end(), match.start() + 255)
        if end < match.end():
            match = _WORD.match(text, match.start(), end)
            assert match
            end = match.end()
        found.append(text[match.start() : end])
        at = end
    return found


def fold(word: str) -> str:
    """Cut off a possessive 's and lower every code point by itself."""
    if len(word) > 2 and word[-1] in "sS" and word[-2] in "'’＇":
        word = word[:-2]
    return "".join(c.lower()[0] for c in word)


def analyse(text: str) -> list[str]:
    """Return the terms of a text in order."""
    folded = (fold(word) for word in words(text))
    return [porter(word) for word in folded if word not in STOP_WORDS]


def _consonant(w: str, i: int) -> bool:
    if w[i] in "aeiou":
        return False
    return w[i] != "y" or i == 0 or not _consonant(w, i - 1)


def _measure(w: str) -> int:
    shape = "".join("c" if _consonant(w, i) else "v" for i in range(len(w)))
    return sum(a + b == "vc" for a, b in zip(shape, shape[1:], strict=False))


def _has_vowel(w: str) -> bool:
    return any(not _consonant(w, i) for i in range(len(w)))


def _double_consonant(w: str) -> bool:
    return len(w) > 1 and w[-1] == w[-2] and _consonant(w, len(w) - 1)


def _cvc(w: str) -> bool:
    n = len(w)
    if n < 3 or not (_consonant(w, n - 1) and not _consonant(w, n - 2) and _consonant(w, n - 3)):
        return False
    return w[-1] not in "wxy"


_STEP_2 = (
    "ational:ate tional:tion enci:ence anci:ance izer:ize bli:ble alli:al entli:ent eli:e "
    "ousli:ous ization:ize ation:ate ator:ate alism:al iveness:ive fulness:ful ousness:ous "
    "aliti:al iviti:ive biliti:ble logi:log"
)
_STEP_3 = "icate:ic ative: alize:al iciti:ic ical:ic ful: ness:"
_STEP_4 = "al ance ence er ic able ible ant ement ment ent ion ou ism ate iti ous ive ize"


def _replace(w: str, rules: str) -> str:
    for rule in rules.split(" "):
        old, _, new = rule.partition(":")
        if w.endswith(old):
            stem = w[: -len(old)]
            return stem + new if _measure(stem) > 0 else w
    return w


def porter(w: str) -> str:
    """Stem one lower-case word."""
    if len(w) <= 2:
        return w
    if w.endswith("sses") or w.endswith("ies"):
        w = w[:-2]
    elif w.endswith("s") and not w.endswith("ss"):
        w = w[:-1]
    if w.endswith("eed"):
        if _measure(w[:-3]) > 0:
            w = w[:-1]
    else:
        for ending in ("ed", "ing"):
            if w.endswith(ending):
                if _has_vowel(w[: -len(ending)]):
                    w = _tidy(w[: -len(ending)])
                break
    if w.endswith("y") and _has_vowel(w[:-1]):
        w = w[:-1] + "i"
    w = _replace(w, _STEP_2)
    w = _replace(w, _STEP_3)
    for ending in sorted(_STEP_4.split(), key=len, reverse=True):
        if w.endswith(ending):
            stem = w[: -len(ending)]
            if _measure(stem) > 1 and (ending != "ion" or stem.endswith(("s", "t"))):
                w = stem
            break
    if w.endswith("e"):
        m = _measure(w[:-1])
        if m > 1 or (m == 1 and not _cvc(w[:-1])):
            w = w[:-1]
    if w.endswith("ll") and _measure(w) > 1:
        w = w[:-1]
    return w


def _tidy(w: str) -> str:
    if w.endswith(("at", "bl", "iz")):
        return w + "e"
    if _double_consonant(w):
        return w if w[-1] in "lsz" else w[:-1]
    return w + "e" if _measure(w) == 1 and _cvc(w) else w
