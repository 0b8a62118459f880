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
from rankmill.mining.models.tokens import TokenStore, tokens_of
from rankmill.mining.sources import SOURCES
from rankmill.mining.statistics import STATISTICS, measure_groups
from rankmill.mining.teachers import TEACHERS

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
    for row, before, odd in zip(spelled, today, hostile, strict=True):
        assert (row != before) == odd


def test_what_is_spelled_out_says_the_same_letters(
    collection: Collection, encoder: Path, tmp_path: Path
) -> None:
    loaded = resolve(encoder).tokenizer()
    spelled = ids_of(collection, resolve(encoder), specials="text")
    for row, wanted in (
        (0, "bade [ SEP] fogi"),
        (3, "[ SEP]" * 4),
        (6, "[UNK] <unk> ba"),  # what the vocabulary lacks is no token of its own
    ):
        assert spelled[row] == loaded.encode(wanted, add_special_tokens=False).ids
    marks = model_with(encoder, tmp_path / "xlm", sentence_pieces)
    wanted = "bade ＜ ／ｓ＞ < s>fogi   < mask>"
    expected = marks.tokenizer().encode(wanted, add_special_tokens=False).ids
    assert ids_of(collection, marks, specials="text")[4] == expected


def test_long_texts_are_cut_as_ever(collection: Collection, encoder: Path) -> None:
    model = resolve(encoder)
    wanted = HOSTILE["7"].replace("[SEP]", "[ SEP]")
    row = ids_of(collection, model, specials="text")[7]
    assert row == model.tokenizer().encode(wanted, add_special_tokens=False).ids[:512]


def test_a_prompt_keeps_its_own(collection: Collection, encoder: Path) -> None:
    model = resolve(encoder)
    loaded = model.tokenizer()
    prompted = ids_of(collection, model, prompt="[CLS] de [SEP", specials="text")
    rest = loaded.encode("[CLS] de [SEPbade [ SEP] fogi", add_special_tokens=False).ids
    assert prompted[0] == rest
    assert prompted[1] == loaded.encode("[CLS] de [SEPno such thing", add_special_tokens=False).ids
    assert loaded.encode("[SEP] ]", add_special_tokens=False).ids[0] == 3
    joined = ids_of(collection, model, prompt="[SE", specials="text")  # across the border, too
    assert not Specials(loaded).ids & {number for row in joined for number in row}


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
    assert spelled.cost()["usage"]["texts_with_specials"] == 4
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
    held = ["[SEP]" in collection.corpus.text(row)[:100] for row in range(8)]  # what is encoded
    assert changed.tolist() == held


@pytest.mark.parametrize("family", [TEACHERS, SOURCES])
def test_encoders_take_the_option(family) -> None:
    name = "bi_encoder" if family is TEACHERS else "dense"
    plain = family.parse(f"{name}(model=M)")
    assert plain.specials == "tokens"
    assert "specials" not in str(plain)
    assert "specials=text" in str(family.parse(f"{name}(model=M,specials=text)"))
    with pytest.raises(UsageError, match=r"specials=words is not known\n.*one of tokens, text"):
        family.parse(f"{name}(model=M,specials=words)")


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
