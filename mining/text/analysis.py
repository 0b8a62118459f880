"""Terms of texts: those of English as Lucene's EnglishAnalyzer finds them (words, possessive, lower
case, stop words, Porter stems), those of others as `languages` says.

The text goes from Arrow's buffers through one kernel that numbers the distinct surface forms; only
those become Python strings, to be folded and stemmed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...native.words import tokenise
from .languages import ENGLISH, Language, language_of
from .stemming import stem
from .stop_words import STOP_WORDS as _OF_LANGUAGES

STOP_WORDS = _OF_LANGUAGES[ENGLISH].split()
"""Lucene's 33 English stop words."""


@dataclass(frozen=True, slots=True)
class Analysed:
    """Texts as words, and words as terms.

    `terms`: the distinct terms, sorted by their UTF-8 bytes. `words` uint32 [words] are surface
    forms in reading order, those of row r in `bounds[r]:bounds[r+1]` (int64 [rows + 1]);
    `term_of` int32 [forms] gives the term of a form, −1 for a stop word.
    """

    terms: pa.Array
    words: np.ndarray
    bounds: np.ndarray
    term_of: np.ndarray

    def rows(self) -> list[list[str]]:
        """Return the terms of every row in reading order, for people and small inputs."""
        names = self.terms.to_pylist()
        terms_of_rows = []
        for first, last in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            terms = self.term_of[self.words[first:last]]
            terms_of_rows.append([names[t] for t in terms if t >= 0])
        return terms_of_rows


def analyse(texts: pa.Array | pa.ChunkedArray, language: str = ENGLISH) -> Analysed:
    """Return the terms of every text (string or large_string, no nulls); `language` is one of
    `languages.LANGUAGES`."""
    spoken = language_of(language)
    data, bounds = text_buffers(texts)
    words, word_bounds, pool, ends = tokenise(
        data, bounds, *spoken.tables(), spoken.possessive, spoken.pairs
    )
    forms = pa.LargeStringArray.from_buffers(len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(pool))
    terms, term_of = _english_terms(forms) if language == ENGLISH else _terms_of(forms, spoken)
    return Analysed(terms, words, word_bounds, term_of)


def text_buffers(texts: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return (bytes uint8, bounds int64 [rows + 1]) of a string column, zero copy where it can be;
    both read-only."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks() if texts.num_chunks != 1 else texts.chunk(0)
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, offsets, data = texts.buffers()
    bounds = np.zeros(1, np.int64)
    if len(texts):
        raw = np.frombuffer(offsets, width)[texts.offset : texts.offset + len(texts) + 1]
        bounds = raw.astype(np.int64, copy=False).view()
    bounds.flags.writeable = False
    view = np.frombuffer(data if data is not None and data.size else b"\0", np.uint8)
    view.flags.writeable = False  # as mapped ones are, so that one compiled kernel serves all
    return view, bounds


def _english_terms(forms: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return (sorted distinct stems, stem of each form or −1 for a stop word)."""
    kept = pc.invert(pc.is_in(forms, value_set=pa.array(STOP_WORDS, forms.type)))
    return _sorted(stem(forms.filter(kept)), kept)


def _terms_of(forms: pa.Array, language: Language) -> tuple[pa.Array, np.ndarray]:
    """Do the same for another language."""
    terms = pa.array(language.terms(forms.to_pylist()), pa.string())
    kept = pc.not_equal(terms, "")
    return _sorted(terms.filter(kept), kept)


def _sorted(kept_terms: pa.Array, kept: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Number terms in the order of their bytes; `kept` says which forms have one."""
    stems = kept_terms.dictionary_encode()
    order = pc.sort_indices(stems.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    term_of = np.full(len(kept), -1, dtype=np.int32)
    term_of[kept.to_numpy(zero_copy_only=False)] = rank[stems.indices.to_numpy()]
    return stems.dictionary.take(pa.array(order)), term_of
