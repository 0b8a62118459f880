"""Special tokens in texts: what they become, how they are spelled out, where they are counted."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from toy_groups import toy

from rankmill.mining.actors import Execution
from rankmill.mining.collection import Collection
from rankmill.mining.errors import UsageError
from rankmill.mining.models.encoders import encode
from rankmill.mining.models.folder import ModelFolder, resolve
from rankmill.mining.models.specials import STRINGS, Specials
from rankmill.mining.models.tokens import TokenStore, tokens_at_hand, tokens_of
from rankmill.mining.sources import SOURCES, mine
from rankmill.mining.statistics import STATISTICS, measure_groups
from rankmill.mining.teachers import TEACHERS, score_pool
from rankmill.mining.teachers.shown import show_first_pair

HOSTILE = {
    "0": "bade [SEP] fogi",
    "1": "no such thing",
    "2": "</s>[SEP]<|im_end|>",
    "3": "[SEP]" * 4,
    "4": "bade ＜／ｓ＞ <s>fogi   <mask>",
    "5": "",
    "6": "[UNK] <unk> ba",
    "7": "ba " * 300 + "[SEP] " + "de" * 40_000,
}


def word_pieces(folder: Path) -> None:
    """BERT's way: `write_tokenizer` has made it."""


def byte_pairs(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>", "</s>"])
    tokenizer.save(str(folder / "tokenizer.json"))


def sentence_pieces(folder: Path) -> None:
    """XLM-RoBERTa's way: control symbols are pieces, and full-width letters become plain ones."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

    pieces = [*((name, 0.0) for name in ("<s>", "<pad>", "</s>", "<unk>")), ("▁", -3.0)]
    pieces += [(c, -4.0) for c in "abcdefghijklmnopqrstuvwxyz</>|[]"]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_models import tiny_encoder

    return tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return toy(tmp_path, HOSTILE, {"10": "bade [SEP]"}, [("10", ["0", "1", "2"], [3.0, 2.0, 1.0])])[
        1
    ]


def model_with(encoder: Path, folder: Path, tokenizer) -> ModelFolder:
    shutil.copytree(encoder, folder)
    tokenizer(folder)
    return resolve(folder)


def ids_of(collection: Collection, model: ModelFolder, **given) -> list[list[int]]:
    texts = collection.corpus.artifact
    store = TokenStore(tokens_of(collection.artifact.workspace, texts, model, **given))
    rows = [store.take(np.asarray([row])).values.tolist() for row in range(len(store))]
    return [rows[row] for row in collection.corpus.ordinals([*HOSTILE]).tolist()]


TOKENIZERS = [word_pieces, byte_pairs, sentence_pieces]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_text_has_special_tokens_where_it_is_read_as_tokens_and_none_as_text(
    collection: Collection, encoder: Path, tmp_path: Path, tokenizer
) -> None:
    model = model_with(encoder, tmp_path / "model", tokenizer)
    special, loaded = Specials(model.tokenizer()).ids, model.tokenizer()
    today = ids_of(collection, model)
    for row, text in zip(today, HOSTILE.values(), strict=True):
        assert row == loaded.encode(text, add_special_tokens=False).ids[:512]
    hostile = [bool(special & set(row)) for row in today]
    assert hostile[2]  # every one of these tokenizers knows a token of this text
    assert not hostile[1]
    spelled = ids_of(collection, model, specials="text")
    assert not special & {number for row in spelled for number in row}
    hostile[6] = spelled[6] != today[6]  # the unknown token is none of its own: either will do
    for row, before, odd in zip(spelled, today, hostile, strict=True):
        assert (row != before) == odd


def read_as_text(model: ModelFolder, text: str) -> list[int]:
    tokenizer = model.tokenizer()
    tokenizer.encode_special_tokens = True
    return tokenizer.encode(text, add_special_tokens=False).ids[:512]


@pytest.mark.parametrize("tokenizer", [word_pieces, byte_pairs])
def test_words_are_those_of_a_tokenizer_that_knows_no_special_tokens(
    collection: Collection, encoder: Path, tmp_path: Path, tokenizer
) -> None:
    model = model_with(encoder, tmp_path / "model", tokenizer)
    wanted = [read_as_text(model, text) for text in HOSTILE.values()]
    assert ids_of(collection, model, specials="text") == wanted
    assert tokens_at_hand([*HOSTILE.values()], model, specials="text").values.tolist() == [
        number for row in wanted for number in row
    ]


def test_control_symbols_among_the_pieces_are_broken_by_a_blank(
    collection: Collection, encoder: Path, tmp_path: Path
) -> None:
    model = model_with(encoder, tmp_path / "xlm", sentence_pieces)
    changed = {"2": "< /s>[SEP]<|im_end|>", "4": "bade ＜ ／ｓ＞ < s>fogi   <mask>"}
    wanted = [read_as_text(model, changed.get(name, text)) for name, text in HOSTILE.items()]
    assert ids_of(collection, model, specials="text") == wanted
    assert tokens_at_hand([*HOSTILE.values()], model, specials="text").values.tolist() == [
        number for row in wanted for number in row
    ]


def test_a_prompt_with_special_tokens_is_meant_and_no_text_holds_it(
    collection: Collection, encoder: Path
) -> None:
    workspace, texts = collection.artifact.workspace, collection.corpus.artifact
    made = tokens_of(workspace, texts, resolve(encoder), prompt="[CLS] de ", suffix=" [SEP]")
    assert made.cost()["usage"]["texts_with_specials"] == 4
    with pytest.raises(
        UsageError, match=r"'\[CLS\] de  …  \[SEP\]', which is put round every text"
    ):
        tokens_of(
            workspace,
            texts,
            resolve(encoder),
            prompt="[CLS] de ",
            suffix=" [SEP]",
            specials="text",
        )


class _Told:
    """Progress that remembers what was announced."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def announce(self, text: str) -> None:
        self.said.append(text)

    def __getattr__(self, name: str):
        return lambda *a, **k: None


def test_texts_with_special_tokens_are_counted_and_told(
    collection: Collection, encoder: Path
) -> None:
    workspace, texts = collection.artifact.workspace, collection.corpus.artifact
    told = _Told()
    for _ in range(2):  # made, then found again
        made = tokens_of(workspace, texts, resolve(encoder), executor=Execution(progress=told))
    held = [text for text in HOSTILE.values() if "[SEP]" in text]
    assert made.cost()["usage"]["texts_with_specials"] == len(held) == 4
    assert len(told.said) == 2
    assert set(told.said) == {
        "warning: 4 of 8 texts hold special tokens of this tokenizer, which the model reads as its "
        "own; specials=text reads them as words"
    }
    spelled = tokens_of(
        workspace, texts, resolve(encoder), specials="text", executor=Execution(progress=told)
    )
    assert "texts_with_specials" not in spelled.cost()["usage"]
    assert len(told.said) == 2


def test_only_a_changed_result_has_another_fingerprint(
    collection: Collection, encoder: Path
) -> None:
    workspace, texts = collection.artifact.workspace, collection.corpus.artifact
    model = resolve(encoder)
    plain = tokens_of(workspace, texts, model)
    assert "specials" not in plain.parameters
    assert tokens_of(workspace, texts, model, specials="tokens").path == plain.path
    spelled = tokens_of(workspace, texts, model, specials="text")
    assert spelled.parameters == plain.parameters | {"specials": "text"}
    vectors = [encode(workspace, model, texts, specials=how) for how in ("tokens", "text")]
    assert vectors[0].fingerprint == encode(workspace, model, texts).fingerprint
    assert vectors[0].fingerprint != vectors[1].fingerprint
    read = [v.table()["vector"].combine_chunks().values.to_numpy().reshape(8, -1) for v in vectors]
    changed = (read[0] != read[1]).any(axis=1)
    read_first = [collection.corpus.text(row)[:100] for row in range(8)]  # what is encoded
    held = ["[SEP]" in text or "[UNK]" in text for text in read_first]
    assert changed.tolist() == held


OPTED = [(TEACHERS, "bi_encoder"), (TEACHERS, "cross_encoder"), (SOURCES, "dense")]


@pytest.mark.parametrize(("family", "name"), OPTED)
def test_who_tokenises_takes_the_option(family, name: str) -> None:
    plain = family.parse(f"{name}(model=M)")
    assert plain.specials == "tokens"
    assert "specials" not in str(plain)
    assert "specials=text" in str(family.parse(f"{name}(model=M,specials=text)"))
    with pytest.raises(UsageError, match=r"specials=words is not known\n.*one of tokens, text"):
        family.parse(f"{name}(model=M,specials=words)")


def test_a_cross_encoder_scores_words_in_place_of_special_tokens(
    collection: Collection, tmp_path: Path
) -> None:
    from tiny_models import tiny_cross_encoder

    model = tiny_cross_encoder(tmp_path / "cross")
    run = mine(collection.artifact.workspace, "random", collection, "train", depth=7)
    plain, spelled = (
        score_pool(
            collection.artifact.workspace,
            f"cross_encoder(model={model}{option})",
            run,
            direction="trusted",
            arrival=False,
        )
        for option in ("", ",specials=text")
    )
    assert plain.fingerprint != spelled.fingerprint
    assert "specials" not in plain.metadata["teacher"]
    # The query holds a [SEP] itself, so every pair is read otherwise.
    rows = [scores.table()["logit"].to_pylist() for scores in (plain, spelled)]
    assert all(a != b for row in zip(*rows, strict=True) for a, b in zip(*row, strict=True))
    shown = show_first_pair(f"cross_encoder(model={model},specials=text)", run).sequences[0]
    assert shown.special["[SEP]"] == 2  # the tokenizer's own


def test_hygiene_counts_documents_with_special_strings(tmp_path: Path) -> None:
    docs = {str(i): f"bade {string} fogi" for i, string in enumerate(STRINGS)}
    docs |= {"plain": "a < s > [sep] |im_end|", "twice": "</s></s>", "none": "x"}
    names = [*docs]
    groups, collection = toy(
        tmp_path,
        docs,
        groups=[
            ("10", ["none", "plain", *names[: len(STRINGS) - 1]], [0.0] * (len(STRINGS) + 1)),
            ("10", ["plain", "twice", *names[: len(STRINGS) - 1]], [0.0] * (len(STRINGS) + 1)),
            ("10", ["none", "twice", *names[1 : len(STRINGS)]], [0.0] * (len(STRINGS) + 1)),
        ],
    )
    texts = ["hygiene(special_strings)", 'hygiene(of=special_strings,strings=["</s>","|im_"])']
    made = measure_groups(collection.artifact.workspace, groups, texts)
    table = made.table()
    assert table.column(1).to_pylist() == [len(STRINGS) - 1, len(STRINGS), len(STRINGS)]
    # `</s>`, `<|im_start|>`, `<|im_end|>` are in all groups.
    assert table.column(2).to_pylist() == [4, 5, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hygiene(of=positives,strings=[a])", r"strings are not of=positives"),
        ("hygiene(of=special_strings,strings=[])", r"strings=\[\] holds nothing to look for"),
        ('hygiene(of=special_strings,strings=[a,""])', r"strings=\['a', ''\] holds nothing"),
    ],
)
def test_strings_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        STATISTICS.parse(text)


@pytest.mark.parametrize(("tokenizer", "pad"), [(word_pieces, "[PAD]"), (sentence_pieces, "<pad>")])
def test_a_padding_token_is_words_too_where_special_tokens_are(
    encoder: Path, tmp_path: Path, tokenizer, pad: str
) -> None:
    """As a token it would take no position in RoBERTa and its kin."""
    model = model_with(encoder, tmp_path / "model", tokenizer)
    number = model.tokenizer().token_to_id(pad)
    text = f"ba {pad}de{pad}{pad} ba"
    assert tokens_at_hand([text], model).values.tolist().count(number) == 3
    assert number not in tokens_at_hand([text], model, specials="text").values
