"""Porter stems as Lucene has them.

Snowball's "porter" (PyStemmer) is the algorithm as published in 1980. Lucene carries Martin
Porter's own later program, which departs from it in three places: words of one or two letters stay
as they are, -bli becomes -ble and -logi becomes -log in step 2, and every double consonant but l, s
and z is undone after -ed and -ing, not only b d f g m n p r t. Words that meet one of these are
rewritten so that the published algorithm gives Lucene's stem.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc
import Stemmer

_SHORT = "^.{0,2}$"
_STEP_2 = "(bl|log)([iy](ed|ing)?s?|ies)$"
_DOUBLE = "(cc|hh|jj|kk|qq|vv|ww|xx|yy|[^a-z]{2})(ed|ing)s?$"
_DEPARTS = f"(?s){_SHORT}|{_STEP_2}|{_DOUBLE}"
_STEP_2_RULE = re.compile("(?s)(.*)(bl|log)(?:[iy](?:ed|ing)?s?|ies)")
_DOUBLE_RULE = re.compile(r"(?s)(.*)([^aeioubdfglmnprstz])\2(?:ed|ing)s?")


def stem(words: pa.Array) -> pa.Array:
    """Return the stem of each lower-case word (string array in, string array out)."""
    stemmer = Stemmer.Stemmer("porter", 0)
    stems = stemmer.stemWords(words.to_pylist())
    for i in pc.indices_nonzero(pc.match_substring_regex(words, _DEPARTS)).to_pylist():
        word = words[i].as_py()
        stems[i] = word if len(word) <= 2 else stemmer.stemWord(_as_published(word))
    return pa.array(stems, pa.string())


def _as_published(word: str) -> str:
    """Return a word whose published stem is Lucene's stem of `word`."""
    if (match := _STEP_2_RULE.fullmatch(word)) and _measure(match[1]) > 0:
        return match[1] + ("ble" if match[2] == "bl" else "log")
    if match := _DOUBLE_RULE.fullmatch(word):
        stem = match[1] + match[2] + match[2]
        if _is_consonant(stem, len(stem) - 1) and "v" in _shape(stem):
            return stem[:-1]
    return word


def _is_consonant(word: str, i: int) -> bool:
    """Say whether letter i is a consonant: not a vowel, nor a y after a consonant."""
    if word[i] == "y":
        return i == 0 or not _is_consonant(word, i - 1)
    return word[i] not in "aeiou"


def _shape(word: str) -> str:
    return "".join("c" if _is_consonant(word, i) else "v" for i in range(len(word)))


def _measure(word: str) -> int:
    """Porter's m: how often a consonant follows a vowel."""
    return _shape(word).count("vc")
