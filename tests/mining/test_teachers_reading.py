"""How a pair is read: which ids, what is cut, and the score from the words' logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tiny_language_models import tiny_causal_lm

from rankmill.mining.models.folder import ModelFolder, resolve
from rankmill.mining.models.tokens import Ragged
from rankmill.mining.teachers import TEACHERS
from rankmill.mining.teachers.reading import Asked, Reading


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return resolve(tiny_causal_lm(tmp_path_factory.mktemp("models") / "llama"))


def ragged(*rows: list[int]) -> Ragged:
    offsets = np.cumsum([0, *map(len, rows)])
    return Ragged(np.asarray([i for row in rows for i in row], np.uint16), offsets)


def ids_of(reading: Reading, query: list[int], doc: list[int]) -> list[int]:
    """Return the ids of one pair, written out slowly from what the sequences say."""
    one = np.zeros(1, np.int64)
    s = reading.sequences(ragged(query), ragged(doc), one, one)
    special = s.template.special.tolist()
    first, second = (query, doc) if s.first.values.tolist() == query else (doc, query)
    stop = s.template.prefix + s.template.middle
    return [
        *special[: s.template.prefix],
        *first[: s.keep_first[0]],
        *special[s.template.prefix : stop],
        *second[: s.keep_second[0]],
        *special[stop:],
    ]


def test_the_document_is_cut_and_never_what_follows_it(model: ModelFolder) -> None:
    asked = Asked("Q: {query} D: {document} So?", yes=(" yes",), no=(" no",), max_length=32)
    reading = Reading.of(asked, model)
    tokenizer = model.tokenizer()
    before, between, after = ("Q:", " D:", " So?")
    literals = [tokenizer.encode(t, add_special_tokens=False).ids for t in (before, between, after)]
    query, doc = [100, 101], list(range(110, 170))
    room = 32 - sum(map(len, literals)) - 1  # one for the beginning of the sequence
    assert ids_of(reading, query, doc) == [
        0, *literals[0], *query, *literals[1], *doc[: room - 2], *literals[2]
    ]  # fmt: skip
    assert len(ids_of(reading, query, doc)) == 32
    long = list(range(100, 160))
    assert ids_of(reading, long, doc)[-len(literals[2]) :] == literals[2]


def test_a_prompt_may_have_the_document_first(model: ModelFolder) -> None:
    reading = Reading.of(Asked("{document}|{query}", yes=(" yes",), max_length=32), model)
    assert ids_of(reading, [100], [110, 111])[1:3] == [110, 111]


def test_the_margin_is_the_log_odds_of_all_spellings(model: ModelFolder) -> None:
    asked = Asked("{query}{document}", yes=(" yes", "y", "Y"), no=("n", " no"))
    reading = Reading.of(asked, model)
    assert len(reading.words) == 5
    assert reading.spellings == 3
    logits = np.asarray([[1.5, -2, 3, 0.25, 4], [1e4, 1e4, -1e4, 30, -30]], np.float32)
    found = reading.margin(logits)
    assert found.dtype == np.float32
    for row, score in zip(logits.tolist(), found.tolist(), strict=True):
        top = max(row)
        yes, no = (sum(math.exp(x - top) for x in part) for part in (row[:3], row[3:]))
        if no > 0:  # float32 holds 24 bits; the double computations err by far less
            assert score == pytest.approx(math.log(yes) - math.log(no), rel=2**-23)
    assert found[1] == np.float32(1e4 + math.log(2) - 30)


def test_one_spelling_each_is_a_plain_difference_and_no_word_leaves_the_logit(
    model: ModelFolder,
) -> None:
    draw = np.random.Generator(np.random.Philox(3)).normal(size=(99, 2)).astype(np.float32)
    two = Reading.of(Asked("{query}{document}", yes=(" yes",), no=(" no",)), model)
    assert (two.margin(draw) == draw[:, 0] - draw[:, 1]).all()
    one = Reading.of(Asked("{query}{document}", yes=(" yes",)), model)
    assert (one.margin(draw[:, :1]) == draw[:, 0]).all()


def test_without_words_the_margin_is_that_of_a_classifier(model: ModelFolder) -> None:
    reading = Reading.of(Asked("{query}{document}"), model)
    draw = np.random.Generator(np.random.Philox(4)).normal(size=(99, 2)).astype(np.float32)
    assert (reading.margin(draw) == draw[:, 1] - draw[:, 0]).all()
    assert (reading.margin(draw[:, :1]) == draw[:, 0]).all()


def test_a_score_takes_nothing_from_its_neighbours(model: ModelFolder) -> None:
    asked = Asked("{query}{document}", yes=(" yes", "y", "Y"), no=("n", " no"))
    reading = Reading.of(asked, model)
    draw = np.random.Generator(np.random.Philox(5)).normal(0, 9, (67, 5)).astype(np.float32)
    whole = reading.margin(draw)
    alone = np.concatenate([reading.margin(draw[i : i + 1]) for i in range(67)])
    assert whole.tobytes() == alone.tobytes()


def test_a_prompt_of_a_cross_encoder_is_part_of_its_identity() -> None:
    plain = TEACHERS.parse("cross_encoder(model=m)")
    assert "prompt" not in str(plain)
    asked = TEACHERS.parse('cross_encoder(model=m,prompt="q {query} d {document}")')
    assert 'prompt="q {query} d {document}"' in str(asked)
    assert TEACHERS.parse(str(asked)) == asked
