"""BM25 in other languages than English: terms against a slow reference, and runs that say so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import languages as oracle
from oracles.bm25 import bm25

from rankmill.mining.collection import collect
from rankmill.mining.errors import UsageError
from rankmill.mining.runs.run import Run
from rankmill.mining.sources import mine
from rankmill.mining.sources.bm25 import Bm25
from rankmill.mining.text.analysis import analyse
from rankmill.mining.text.languages import LANGUAGES, folded, language_of
from rankmill.mining.text.stop_words import STOP_WORDS

OTHERS = sorted(set(LANGUAGES) - {"english"})

ADVERSARIAL = [
    "",
    " \t\u3000\u200b…",
    "字",
    "中",
    "東京タワーと東京 都 人々 々",
    "Größe GROẞE groesse STRASSE Straße daß dass",
    "İstanbul'da IŞIK ılık I\u0307zmir Iğdır’lı i̇",  # noqa: RUF001
    "L'avion de l’école n'est pas là, aujourd'hui; JUSQU'À qu' l'",  # noqa: RUF001
    "dell'arte UN'ALTRA quest'anno dall’Italia",  # noqa: RUF001
    "ﬁne ＡＢＣ１２ ② ㎏ ½ x² ℌello ﬀ",  # noqa: RUF001
    "ﾊﾝｶｸ ｶﾞｷﾞ ﾊﾟ ﾞ ｱ ハンカク が か\u3099 ㌔メートル",
    "한국어 검색 한국어 LG전자 a한b",  # composed, and in letters (NFD)
    "e\u0301te\u0301 été cafe\u0301 x\u0301\u0302 \u0301",
    "👩\u200d👩\u200d👧 ❤️ ❤ 🇩🇪🇫🇷 漢👍🏽字",
    "الكِتاب والكتب مكتبة ﷺ ٣٫١٤ ا\u200cب",
    "ΑΘΗΝΑΣ Αθήνας ς σ Οδός",
    "Дома дом ДОМАМИ ё е не и",
    "हिन्दी में खोज क\u200dष क्ष தமிழ் தேடல் नेपाली",
    "ภาษาไทย ລາວ ខ្មែរ မြန်မာ",
    "Donau\u00addampf\u200bschiff\ufeff \u2060x\u2060",
    "צה\"ל ג' א'ב ה\u05b8",
    "1,000.5 3.14 a1b2 x_y __ _漢_ カ_カ ー タワー・ビル ゠",
    "漢\ufe00字 \U00020000\U00020001 \U0001b001ひ",
    "the cat's of O'Neill's 's THE",
    "\ufdfa \u3164 \uffa0 \u115f가\u1160 ㄱㄴ",
]

LETTERS = "aAIıİiß'’ .,_1é\u0301\u200d\u00ad漢字ひカｶﾞー가々𠀀ς#🦉👩\u3000ﬁＡ\n"  # noqa: RUF001


def terms(text: str, language: str) -> list[str]:
    return analyse(pa.array([text], pa.large_string()), language).rows()[0]


@pytest.mark.parametrize("language", OTHERS)
def test_adversarial_texts_of_every_language(language: str) -> None:
    found = analyse(pa.array(ADVERSARIAL, pa.large_string()), language).rows()
    for text, row in zip(ADVERSARIAL, found, strict=True):
        assert row == oracle.analyse(text, language), text


@pytest.mark.parametrize("language", ["cjk", "words", "whitespace"])
def test_a_long_word_is_cut_at_255_code_points(language: str) -> None:
    assert [len(term) for term in terms("é" * 600, language)] == [255, 255, 90]


@pytest.mark.parametrize("language", ["cjk", "words", "whitespace", "german", "turkish", "french"])
@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.text(alphabet=st.sampled_from(LETTERS), max_size=25), max_size=4))
def test_any_mixture(language: str, texts: list[str]) -> None:
    found = analyse(pa.array(texts, pa.large_string()), language).rows()
    assert found == [oracle.analyse(text, language) for text in texts]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("cjk", "東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("cjk", "中国 人 と", ["中国", "人", "と"]),
        ("cjk", "ﾄｳｷｮｳ", ["トウ", "ウキ", "キョ", "ョウ"]),
        ("cjk", "LG전자 the 2024年", ["lg", "전자", "2024", "年"]),
        ("cjk", "か\u3099き", ["がき"]),
        ("german", "Die Häuser der STRASSE", ["haus", "strass"]),
        ("french", "L'avion de l’école", ["avion", "écol"]),  # noqa: RUF001
        ("turkish", "IŞIK İstanbul'da", ["ışık", "istanbul"]),
        ("porter2", "The dogs' generously", ["dog", "generous"]),
        ("russian", "дома и домами", ["дом", "дом"]),
        ("words", "Ｈello hello's ﬁ", ["hello", "hello's", "fi"]),  # noqa: RUF001
        ("whitespace", "東京 タワー\u3000The The,", ["東京", "タワー", "The", "The,"]),
        ("greek", "ΑΘΗΝΑΣ Αθήνας", ["αθην", "αθην"]),
    ],
)
def test_what_becomes_of_a_text(language: str, text: str, expected: list[str]) -> None:
    assert terms(text, language) == expected


def test_english_is_what_it_was() -> None:
    assert language_of("english").analyser == "lucene-english-1"
    assert str(Bm25()) == "bm25(k1=0.9,b=0.4)"
    assert str(Bm25(language="german")) == "bm25(k1=0.9,b=0.4,language=german)"
    assert terms("Größe ＡＢ the", "english") == ["größe", "ａｂ"]  # noqa: RUF001


def test_all_that_snowball_has_is_there_and_analysers_differ() -> None:
    import Stemmer

    renamed = {"english": "porter2"}
    assert {renamed.get(name, name) for name in Stemmer.algorithms()} <= set(LANGUAGES)
    assert len({language.analyser for language in LANGUAGES.values()}) == len(LANGUAGES)
    assert Stemmer.version() in language_of("german").analyser


def test_folding_many_words_is_folding_each() -> None:
    words = [w for text in ADVERSARIAL for w in text.split()]
    assert folded(words) == [oracle.folded(word) for word in words]
    assert folded([]) == []


def test_long_rows_keep_room_for_their_pairs() -> None:
    rng = np.random.Generator(np.random.Philox(1))
    rows = ["".join(map(chr, rng.integers(0x4E00, 0x9FFF, 200_000))), "短い", "x" * 10]
    found = analyse(pa.array(rows, pa.large_string()), "cjk").rows()
    assert found[0] == [rows[0][i : i + 2] for i in range(199_999)]
    assert found[1:] == [["短い"], ["x" * 10]]


def test_a_language_that_is_not_known_is_refused_with_the_nearest() -> None:
    for said, meant in [("germna", "german"), ("de", "german"), ("Japanese", "cjk")]:
        with pytest.raises(UsageError, match=f"language={said} is not known") as refused:
            Bm25(language=said)
        assert meant in str(refused.value)


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    docs = ["東京タワーの高さ", "京都の寺", "Häuser in Straßen", "", "the tower of tokyo 東京"]
    queries = ["東京の塔", "haus strasse", "tower"]
    folder = tmp_path / "mixed"
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("corpus", docs), ("queries", queries)):
        rows = [json.dumps({"_id": f"{name[0]}{i}", "text": t}) for i, t in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
    judged = ["query-id\tcorpus-id\tscore", "q0\tc0\t1", "q1\tc2\t1", "q2\tc4\t1"]
    (folder / "qrels" / "test.tsv").write_text("\n".join(judged) + "\n")
    return folder


def test_an_index_of_pairs_is_told_to_take_more(workspace, beir: Path) -> None:
    from rankmill.mining.search import index_size
    from rankmill.mining.search.index_size import blocks_abreast, estimate

    corpus = collect(workspace, f"beir:{beir}").corpus
    words, pairs = (estimate(corpus, 1, 1, pairs) for pairs in (False, True))
    fixed = index_size._MEMORY_OF_A_PROCESS
    assert pairs.memory - fixed == 2 * (words.memory - fixed)
    assert (pairs.disk, pairs.seconds) == (3 * words.disk, 2 * words.seconds)
    assert 1 <= blocks_abreast(corpus, pairs=True) <= blocks_abreast(corpus)


@pytest.mark.parametrize("language", ["cjk", "german"])
def test_a_run_is_what_the_oracles_say(workspace, beir: Path, language: str) -> None:
    held = collect(workspace, f"beir:{beir}")
    run = mine(workspace, f"bm25(language={language})", held, "test", depth=5)
    docs = [oracle.analyse(text, language) for text in held.corpus.texts(range(5))]
    asked = [oracle.analyse(text, language) for text in held.queries.texts(range(3))]
    for row, want in enumerate(bm25(docs, asked, 5, k1=0.9, b=0.4)):
        _, found, scores = Run(run).row(row)
        assert found.tolist() == [doc for doc, _ in want]
        assert scores == pytest.approx([score for _, score in want], abs=1e-5)
    assert run.metadata["source"] == f"bm25(k1=0.9,b=0.4,language={language})"
    analyser = language_of(language).analyser
    assert run.metadata["analyser"] == run.input("postings").metadata["analyser"] == analyser
    plain = mine(workspace, "bm25", held, "test", depth=5)
    assert plain.inputs["postings"] != run.inputs["postings"]
    assert "analyser" not in plain.metadata
    assert plain.input("postings").parameters["analyser"] == "lucene-english-1"


def test_the_document_names_every_language_and_its_stop_words() -> None:
    page = (Path(__file__).parents[2] / "docs" / "bm25.md").read_text(encoding="utf-8")
    listed = page[page.index("## Languages") : page.index("*Folded*")]
    for name in LANGUAGES:
        assert f"`{name}`" in listed, name
    told = page[page.index("Stop words: English") : page.index("the others keep every word")]
    for name in STOP_WORDS:
        assert name in told.lower(), name
