"""Scripts and languages of texts, and the warning where an analysis cuts no words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rankmill.mining.actors import Execution
from rankmill.mining.collection import collect
from rankmill.mining.collection.overview import overview_of
from rankmill.mining.sources import mine
from rankmill.mining.store import Workspace
from rankmill.mining.text.scripts import languages_of, scripts_of, unfit

TEXTS = {
    "english": "The dog is in the house and the cat is not.",
    "german": "Der Hund ist nicht im Haus und die Katze auch nicht, wie man weiß.",
    "french": "Le chien est dans la maison et le chat n'est pas là.",
    "spanish": "El perro está en la casa y el gato no.",
    "russian": "Собака в доме, и кошка тоже не на улице.",
    "finnish": "Koira on talossa ja kissa ei ole, mutta se on myös siellä.",
    "greek": "Ο σκύλος είναι στο σπίτι",
    "tamil": "நாய் வீட்டில் உள்ளது",
    "cjk": "狗在家里",
}


@pytest.mark.parametrize("language", TEXTS)
def test_the_language_that_texts_look_like(language: str) -> None:
    texts = [TEXTS[language]] * 3
    assert languages_of(texts, scripts_of(texts))[0] == language


def test_what_nothing_decides_is_no_language() -> None:
    for text in ("lorem ipsum dolor sit amet", "123", "", "ฉันรักคุณ"):
        assert languages_of([text], scripts_of([text])) == []
    assert languages_of([], {}) == []
    near = languages_of(["Hunden er ikke i huset"], scripts_of(["Hunden er ikke i huset"]))
    assert set(near) == {"danish", "norwegian"}


CHINESE, JAPANESE, KOREAN = (
    "狗在家里没有猫在外面的花园里睡觉",
    "犬は家にいますが猫はいません",
    "개는 집에 있다",
)
THAI = "ฉันรักคุณมากที่สุดในโลก"


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        (
            "english",
            CHINESE,
            r"mostly Chinese \(100 % of 1 looked at\); language=english ta",
        ),
        ("german", JAPANESE, "mostly Japanese .* runs of katakana, for words: language=cjk takes"),
        ("english", KOREAN, "mostly Korean .* keeps a word and its particles in one: language=cjk"),
        ("english", THAI, "mostly Thai .* does not cut into words: .* say language=whitespace"),
        ("cjk", THAI, "which language=cjk does not cut into words"),
        ("whitespace", THAI, "which language=whitespace does not cut into words"),
        ("whitespace", CHINESE, "language=whitespace needs blanks between words: language=cjk"),
        ("cjk", CHINESE, None),
        ("cjk", KOREAN, None),
        ("whitespace", "狗 在 家 里 没有 猫", None),
        ("whitespace", "ฉัน รัก คุณ มาก", None),
        ("whitespace", KOREAN, None),
        ("english", "The dog", None),
        ("english", "Собака в доме", None),
        ("english", "123", None),
    ],
)
def test_what_an_analysis_cannot_cut_is_said(language: str, text: str, said: str | None) -> None:
    import re

    told = unfit(language, [text], scripts_of([text]))
    assert (told is None) if said is None else re.search(said, str(told))


def test_a_minority_is_no_reason() -> None:
    texts = ["The dog", "A cat", CHINESE]
    assert unfit("english", texts, scripts_of(texts)) is None


class Told:
    """Progress that remembers what was announced."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: None

    def announce(self, text: str) -> None:
        self.said.append(text)


def test_mining_warns_of_an_unfit_language_and_the_overview_names_the_language(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "documents.tsv").write_text(f"1\t{CHINESE}\n2\t{JAPANESE}\n3\t{CHINESE}。\n")
    (tmp_path / "queries.tsv").write_text("q1\t猫\n")
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("q1\t1\t1\n")
    held = collect(workspace, f"tsv:{tmp_path}")
    told = Told()
    where = Execution(progress=told)  # type: ignore[arg-type]
    for source in ("bm25", "bm25(k1=1)", "bm25(language=cjk)"):
        mine(workspace, source, held, "test", depth=2, executor=where)
    warned = [line for line in told.said if line.startswith("warning: the texts are mostly")]
    assert len(warned) == 2  # whoever shows a run says equal lines once
    assert len(set(warned)) == 1
    assert "language=cjk takes pairs of characters (docs/bm25.md)" in warned[0]
    found = overview_of(held)
    assert found.facts["documents"]["languages"] == ["cjk"]
    assert any("for BM25, by script and stop words: language=cjk" in x for x in found.lines())
