"""The analysis against its slow reference: chosen texts, any text, and every shared collection."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import analysis as oracle

from rankmill.mining.text.analysis import STOP_WORDS, analyse, text_buffers
from rankmill.mining.text.stemming import stem
from rankmill.native.words import tokenise


def terms(*texts):
    return analyse(pa.array(texts, pa.large_string())).rows()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The dog's Dogs are RUNNING quickly", ["dog", "dog", "run", "quickli"]),
        ("O'Neill's U.S.A. e-mail", ["o'neil", "u.s.a", "e", "mail"]),
        ("3.14 1,000,000 a1b2 x_y __ 5th", ["3.14", "1,000,000", "a1b2", "x_y", "5th"]),
        ("ecology, possibly trekking us is", ["ecolog", "possibl", "trek", "us"]),
        ("Größe ΑΘΗΝΑ İstanbul", ["größe", "αθηνα", "istanbul"]),
        ("צה\"ל ג' א'ב", ['צה"ל', "ג'", "א'ב"]),
        ("東京 タワー ひら", ["東", "京", "タワー", "ひ", "ら"]),
        ("dog’s dog＇s dog's's", ["dog", "dog", "dog'"]),
        ("word\u0301s e\u200dmail", ["word\u0301", "e\u200dmail"]),
        ("🦉🔎 👩\u200d🔬 🇩🇪🇫🇷 ©", ["🦉", "🔎", "👩\u200d🔬", "🇩🇪", "🇫🇷"]),
        ("", []),
        ("  \t\n ...", []),
    ],
)
def test_what_becomes_of_a_text(text, expected):
    assert terms(text) == [expected]


def test_a_long_word_is_cut_at_255_code_points():
    assert [len(t) for t in terms("z" * 600)[0]] == [255, 255, 90]
    assert terms("é" * 300)[0] == oracle.analyse("é" * 300)


def test_the_stop_words_are_lucenes():
    assert set(STOP_WORDS) == oracle.STOP_WORDS
    assert len(STOP_WORDS) == 33


def test_terms_are_sorted_and_numbered_by_row():
    found = analyse(pa.array(["b c", "", "a b b"], pa.string()))
    assert found.terms.to_pylist() == ["b", "c"]  # "a" is a stop word
    assert np.diff(found.bounds).tolist() == [2, 0, 3]
    assert found.rows() == [["b", "c"], [], ["b", "b"]]


def test_a_slice_of_a_larger_array_is_read_from_its_place():
    column = pa.chunked_array([pa.array(["one", "two three", "four"], pa.large_string())])
    assert analyse(column.slice(1, 1)).rows() == [["two", "three"]]


LETTERS = "aAbB sS'’＇.,:;_ 1²٣éßİK\u0301\u200d\u00adカ漢ひกa\"”#🦉🇩😀-\n"


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from(LETTERS), max_size=30))
def test_any_mixture_of_word_breaks(text):
    assert terms(text) == [oracle.analyse(text)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=4))
def test_any_text_at_all_ends_and_keeps_its_rows(texts):
    assert len(terms(*texts)) == len(texts)


ENDINGS = (
    "y ly bly logy logies blies ed ing eds ings blys logis logied logyings ies ational kked yyed"
)


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="abceilmnostyukx1é", max_size=6),
    st.sampled_from(
        ["", *ENDINGS.split(), "cced", "ééed", "ation", "icate", "ll", "ness", "ement"]
    ),
)
def test_stems_are_porters_own(start, ending):
    if word := start + ending:
        assert stem(pa.array([word])).to_pylist() == [oracle.porter(word)]


def test_damaged_utf8_cannot_be_read_past_its_end():
    from rankmill.mining.text.word_break import lower_case_map, word_break_classes

    data = np.frombuffer(b"ab\xe3\x81 \xf0\x9f\x98 \xc3", np.uint8)
    for stop in range(len(data) + 1):
        bounds = np.array([0, stop])
        bounds.flags.writeable = False
        words, word_bounds, pool, ends = tokenise(
            data, bounds, word_break_classes(), lower_case_map(), True, False
        )
        assert word_bounds[-1] == len(words)
        assert ends[-1] == len(pool)


def test_text_buffers_of_nothing():
    data, bounds = text_buffers(pa.array([], pa.string()))
    assert bounds.tolist() == [0]
    assert len(data)


@pytest.mark.parametrize(
    "name", ["adi", "cranfield", "med", "time", "nfcorpus", "vaswani", "liveqa-med", "cisi"]
)
def test_shared_collections_term_by_term(shared, name):
    texts = []
    with gzip.open(shared / name / "corpus.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            texts.append(f"{row.get('title', '')} {row['text']}"[:1000])
    texts = texts[:: max(1, len(texts) // 40)]
    assert terms(*texts) == [oracle.analyse(text) for text in texts]
