"""Models named by the Hub: its cache, downloads from a server on loopback, everything refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import COMMIT, OTHER, FakeHub, Repository, files_in, put_in_cache, served
from tiny_models import tiny_cross_encoder, tiny_encoder

from rankmill.mining.errors import BadInput, RankmillError
from rankmill.mining.models.folder import resolve
from rankmill.mining.models.hub import HubModel, hub_model

NAME = "some-owner/tiny.encoder_v2"
CROSS = "some-owner/tiny-cross"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("models") / "encoder", pooling="cls")


@pytest.fixture(scope="module")
def cross(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("models") / "cross")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a process without a network."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("HF_HOME", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with served(monkeypatch) as serving:
        yield serving


def sharded(folder: Path, target: Path) -> Path:
    """Copy a checkpoint, its weights in two shards with an index."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, target)
    weights = load_file(target / "model.safetensors")
    (target / "model.safetensors").unlink()
    names = sorted(weights)
    placed: dict[str, str] = {}
    for number in (1, 2):
        shard = f"model-{number:05d}-of-00002.safetensors"
        mine = {n: weights[n] for n in names[number - 1 :: 2]}
        save_file(mine, target / shard, metadata={"format": "pt"})
        placed |= dict.fromkeys(mine, shard)
    index = {"metadata": {}, "weight_map": placed}
    (target / "model.safetensors.index.json").write_text(json.dumps(index))
    return target


# ---- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("cross-encoder/ms-marco-MiniLM-L6-v2", HubModel("cross-encoder/ms-marco-MiniLM-L6-v2")),
        ("a/b@v1.0", HubModel("a/b", "v1.0")),
        ("a/b@refs/pr/3", HubModel("a/b", "refs/pr/3")),
        *((text, None) for text in ("a", "/a/b", "./b", "../b", "a/b/c", "a/b/", "~/b", "a/b@")),
        *((text, None) for text in ("a/../b", "a/..b", "a\\b", "a/b c", "package:x", "hf:a/b")),
    ],
)
def test_what_names_a_model_of_the_hub(text: str, model: HubModel | None) -> None:
    assert hub_model(text) == model


# ---- the cache ---------------------------------------------------------------------------------


def test_a_model_in_the_cache_is_the_same_as_its_folder(cache: Path, encoder: Path) -> None:
    snapshot = put_in_cache(cache, NAME, files_in(encoder))
    folder = resolve(encoder)
    for text in (NAME, f"{NAME}@main", f"{NAME}@{COMMIT}", f"{NAME}@{COMMIT[:8]}"):
        model = resolve(text)
        assert model.path == snapshot
        assert (model.fingerprint, model.tag) == (folder.fingerprint, folder.tag)
        assert model.origin == f"{NAME}@{COMMIT}"
    assert folder.origin is None


def test_revisions_are_told_apart(cache: Path, encoder: Path, cross: Path) -> None:
    put_in_cache(cache, NAME, files_in(encoder))
    put_in_cache(cache, NAME, files_in(cross), commit=OTHER, ref="v2")
    assert resolve(f"{NAME}@v2").fingerprint == resolve(cross).fingerprint
    assert resolve(NAME).fingerprint == resolve(encoder).fingerprint


@pytest.mark.parametrize("named", ["HF_HOME", "HF_HUB_CACHE"])
def test_the_environment_says_where_the_cache_is(
    named: str, cache: Path, cross: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_CACHE")
    place = tmp_path / "elsewhere"
    put_in_cache(place / "hub" if named == "HF_HOME" else place, CROSS, files_in(cross))
    monkeypatch.setenv(named, str(place))
    assert resolve(CROSS).fingerprint == resolve(cross).fingerprint


def test_weights_in_other_layouts_beside_the_model_do_not_count(
    cache: Path, cross: Path, tmp_path: Path
) -> None:
    more = files_in(cross) | {"consolidated.safetensors": b"x", "onnx/model.onnx": b"x"}
    put_in_cache(cache, CROSS, more | {"pytorch_model.bin": b"x"})
    assert resolve(CROSS).fingerprint == resolve(cross).fingerprint
    split = sharded(cross, tmp_path / "split")
    put_in_cache(cache, NAME, files_in(split) | {"consolidated.safetensors": b"x"})
    assert resolve(NAME).fingerprint == resolve(split).fingerprint


def test_a_folder_goes_before_the_hub_and_it_is_said(
    cache: Path, encoder: Path, cross: Path, tmp_path: Path
) -> None:
    shutil.copytree(encoder, tmp_path / NAME)
    assert resolve(NAME).path == tmp_path / NAME  # no namesake, nothing to say
    put_in_cache(cache, NAME, files_in(cross))
    with pytest.warns(RuntimeWarning, match=r"is a folder here, and a model in the Hub's cache"):
        assert resolve(NAME).path == tmp_path / NAME
    assert resolve(f"./{NAME}").path == tmp_path / NAME
    assert resolve(Path(f"./{NAME}").absolute()).path == tmp_path / NAME


def test_what_is_not_there_says_which_command_fetches_it(cache: Path, encoder: Path) -> None:
    said = rf"no folder '{NAME}', the Hub's cache has no such model at revision 'main', and the net"
    with pytest.raises(BadInput, match=said) as refused:
        resolve(NAME)
    assert str(refused.value.where) == str(cache)
    assert f"hf download {NAME} --include '*.json' --include '*.safetensors'" in str(refused.value)
    put_in_cache(cache, NAME, files_in(encoder))
    with pytest.raises(BadInput, match=r"cache holds its revisions main, aaaa") as refused:
        resolve(f"{NAME}@v9")
    assert f"hf download {NAME} --revision v9 " in str(refused.value)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("tiny.encoder_v2", NAME),
        ("some-owner/tiny.encoder-v2", NAME),
        ("some_owner/tiny.encoder_v2@main", NAME),
        ("models/tiny-crosss", CROSS),
    ],
)
def test_a_name_that_is_nearly_right_gets_the_right_one(
    typed: str, meant: str, cache: Path, encoder: Path
) -> None:
    for name in (NAME, CROSS):
        put_in_cache(cache, name, files_in(encoder))
    with pytest.raises(BadInput, match=rf"did you mean {re.escape(meant)}"):
        resolve(typed)


def test_a_package_without_its_prefix_is_named(cache: Path) -> None:
    with pytest.raises(BadInput, match=r"no model folder 'numpy'(.|\n)*mean package:numpy\?"):
        resolve("numpy")


@pytest.mark.parametrize(
    "lost",
    [
        "config.json",
        "model-00002-of-00002.safetensors",
        "tokenizer.json",
        "1_Pooling/config.json",
    ],
)
def test_a_cache_that_holds_a_part_says_what_it_lacks(
    lost: str, cache: Path, encoder: Path, tmp_path: Path
) -> None:
    split = sharded(encoder, tmp_path / "split")
    snapshot = put_in_cache(cache, NAME, files_in(split))
    (snapshot / lost).resolve().unlink()  # the link stays, as when a blob was cleaned away
    with pytest.raises(BadInput, match=rf"in part: {lost} of commit aaaaaaaaaaaa is not there"):
        resolve(NAME)


def test_an_index_that_names_a_file_elsewhere_is_refused(
    cache: Path, encoder: Path, tmp_path: Path
) -> None:
    split = sharded(encoder, tmp_path / "split")
    index = split / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    put_in_cache(cache, NAME, files_in(split))
    with pytest.raises(BadInput, match="names no shards"):
        resolve(NAME)
    with pytest.raises(BadInput, match="names no shards"):
        resolve(split)


def test_a_folder_that_lacks_a_shard_is_refused(encoder: Path, tmp_path: Path) -> None:
    split = sharded(encoder, tmp_path / "split")
    (split / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(BadInput, match=r"lacks 1 of 2 shards: model-00001-of-00002.safetensors"):
        resolve(split)


def test_a_cache_without_word_of_the_modules_is_taken_with_a_warning(
    cache: Path, encoder: Path, cross: Path
) -> None:
    """transformers fetches no modules.json: what pools by the first token would pool by means."""
    some = {n: d for n, d in files_in(encoder).items() if "Pooling" not in n and "modules" not in n}
    snapshot = put_in_cache(cache, NAME, some)
    with pytest.warns(RuntimeWarning, match=r"does not say whether .* has modules.json"):
        resolve(NAME)
    noted = snapshot.parents[1] / ".no_exist" / COMMIT / "modules.json"
    noted.parent.mkdir(parents=True)
    noted.touch()
    resolve(NAME)  # somebody has looked
    put_in_cache(cache, CROSS, files_in(cross))
    resolve(CROSS)  # a head needs none


def test_pickles_alone_are_explained(cache: Path, cross: Path) -> None:
    files = files_in(cross)
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    put_in_cache(cache, CROSS, files)
    with pytest.raises(BadInput, match=r"are pickles \(pytorch_model.bin\)(.|\n)*@refs/pr/N"):
        resolve(CROSS)


# ---- downloads ---------------------------------------------------------------------------------


def test_only_what_is_read_is_fetched_and_only_once(
    hub: FakeHub, encoder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = files_in(encoder)
    others = ["pytorch_model.bin", "onnx/model.onnx", "README.md", "consolidated.safetensors"]
    others += ["modeling_evil.py", "2_Normalize/notes.txt", "tf_model.h5", "a/b/config.json"]
    hub.repositories[NAME] = Repository(mine | dict.fromkeys(others, b"x"))
    model = resolve(NAME)
    assert model.fingerprint == resolve(encoder).fingerprint
    assert model.origin == f"{NAME}@{COMMIT}"
    assert hub.fetched() == sorted(mine)
    hub.asked.clear()
    assert resolve(NAME) == model
    assert hub.asked == []
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve(NAME).path == model.path


def test_a_sharded_model_and_one_with_modules_of_weights(
    hub: FakeHub, encoder: Path, tmp_path: Path
) -> None:
    split = sharded(encoder, tmp_path / "split")
    modules = json.loads((split / "modules.json").read_text())
    modules.insert(
        2, modules[1] | {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    )
    (split / "modules.json").write_text(json.dumps(modules))
    (split / "2_Dense").mkdir()
    (split / "2_Dense" / "config.json").write_text("{}")
    (split / "2_Dense" / "model.safetensors").write_bytes(b"weights of the module")
    mine = files_in(split)
    hub.repositories[NAME] = Repository(
        mine | {"consolidated.safetensors": b"x", "other/model.safetensors": b"x"}
    )
    fingerprint = resolve(NAME).fingerprint
    assert fingerprint == resolve(split).fingerprint
    assert hub.fetched() == sorted(mine)
    (split / "2_Dense" / "model.safetensors").write_bytes(b"other weights")
    assert resolve(split).fingerprint != fingerprint


def test_a_part_in_the_cache_is_completed(hub: FakeHub, encoder: Path, cache: Path) -> None:
    files = files_in(encoder)
    put_in_cache(cache, NAME, {n: d for n, d in files.items() if n != "model.safetensors"})
    hub.repositories[NAME] = Repository(files)
    assert resolve(NAME).fingerprint == resolve(encoder).fingerprint
    assert hub.fetched() == ["model.safetensors"]


def test_a_torn_download_goes_on_where_it_broke_off(hub: FakeHub, cross: Path) -> None:
    hub.repositories[CROSS] = Repository(files_in(cross), torn={"model.safetensors": 2})
    assert resolve(CROSS).fingerprint == resolve(cross).fingerprint


def test_a_download_that_never_ends_well_leaves_nothing_that_is_taken(
    hub: FakeHub, cross: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories[CROSS] = Repository(files_in(cross), torn={"model.safetensors": 1000})
    with pytest.raises(RankmillError, match=r"cannot be fetched now: .*\n.*\n.*run the same comm"):
        resolve(CROSS)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BadInput, match=r"in part: model.safetensors of commit"):
        resolve(CROSS)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    hub.repositories[CROSS].torn.clear()
    assert resolve(CROSS).fingerprint == resolve(cross).fingerprint


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"resolve": (401, "GatedRepo")}, r"is gated: .* \(401\)(.|\n)*accept the terms"),
        ({"resolve": (403, "GatedRepo")}, r"is gated: .* \(403\)(.|\n)*HF_TOKEN"),
        (
            {"info": (401, "RepoNotFound")},
            r"no folder .* no model some-owner/tiny-cross on",
        ),
        ({"info": (404, "RepoNotFound")}, r"may be read \(404\)(.|\n)*check the spelling"),
        ({"info": (403, "")}, r"refuses some-owner/tiny-cross to this account \(403\)"),
        ({"revisions": ("v1",)}, r"no revision 'main'(.|\n)*a branch, a tag or a commit"),
        ({"info": (429, "")}, r"cannot be fetched now(.|\n)*limits how often it is asked"),
        ({"resolve": (429, "")}, r"cannot be fetched now(.|\n)*limits how often it is asked"),
        ({"info": (500, "")}, r"cannot be fetched now(.|\n)*the Hub is out of order"),
        ({"resolve": (503, "")}, r"cannot be fetched now(.|\n)*hf download some-owner/tiny-cross"),
    ],
)
def test_what_the_hub_refuses_is_explained(
    answers: dict[str, object], said: str, hub: FakeHub, cross: Path
) -> None:
    hub.repositories[CROSS] = Repository(files_in(cross), **answers)  # type: ignore[arg-type]
    with pytest.raises(RankmillError, match=said):
        resolve(CROSS)


def test_the_endpoint_of_the_environment_is_asked_and_the_token_told_to_nobody(
    hub: FakeHub, cross: Path, cache: Path
) -> None:
    """In a process of its own: the library reads its environment when it is imported."""
    from huggingface_hub import constants

    hub.repositories[CROSS] = Repository(files_in(cross), resolve=(403, "GatedRepo"))
    line = f"from rankmill.mining.models.folder import resolve\nprint(resolve({CROSS!r}).origin)"
    mine = {"HF_ENDPOINT": constants.ENDPOINT, "HF_HUB_CACHE": str(cache), "HF_TOKEN": "hf_secret"}
    off = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    environment = {k: v for k, v in os.environ.items() if k not in off} | mine

    def told() -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-c", line], env=environment, capture_output=True, text=True
        )
        return done.stdout, done.stderr

    said, error = told()
    assert (said, "is gated" in error, "hf_secret" in error) == ("", True, False)
    hub.repositories[CROSS].resolve = None
    assert told()[0].strip() == f"{CROSS}@{COMMIT}"


def test_a_page_in_place_of_the_hub_is_explained(hub: FakeHub) -> None:
    hub.html = True
    with pytest.raises(RankmillError, match=r"does not speak as the Hub does(.|\n)*HF_ENDPOINT"):
        resolve(CROSS)


def test_where_nobody_answers_a_whole_cache_is_taken(
    hub: FakeHub, cache: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RankmillError, match=r"cannot be fetched now: (.|\n)*check network, proxy"):
        resolve(NAME)
    some = {n: d for n, d in files_in(encoder).items() if "Pooling" not in n and "modules" not in n}
    put_in_cache(cache, NAME, some)
    with pytest.warns(RuntimeWarning, match=r"does not say whether .* has modules.json"):
        resolve(NAME)


def test_unusable_repositories_are_refused_before_their_weights_are_fetched(
    hub: FakeHub, cross: Path
) -> None:
    whole = files_in(cross)
    weights = whole["model.safetensors"]
    coded = json.loads(whole["config.json"]) | {"auto_map": {"AutoModel": "evil.Model"}}
    custom = [{"idx": 0, "name": "0", "path": "", "type": "custom_st.Transformer"}]
    bare = {n: d for n, d in whole.items() if n != "model.safetensors"}
    odd = {
        "o/code": (whole | {"config.json": json.dumps(coded).encode()}, "code of its own"),
        "o/module": (whole | {"modules.json": json.dumps(custom).encode()}, "type 'custom_st.Tr"),
        "o/bin": (bare | {"pytorch_model.bin": weights}, r"pickles \(pytorch_model.bin\)"),
        "o/adapter": (
            bare | {"adapter_config.json": b"{}", "adapter_model.safetensors": weights},
            "is an adapter",
        ),
        "o/empty": ({"README.md": b"x"}, "has no config.json and no model.safetensors or model"),
        "o/gguf": (
            bare | {"model.Q4.gguf": b"x"},
            r"the weights are GGUF \(model\.Q4\.gguf\)(.|\n)*where: .*/o/gguf",
        ),
        "o/slow": (
            {n: d for n, d in whole.items() if n != "tokenizer.json"},
            "has no tokenizer.json or vocab.txt",
        ),
    }
    for name, (files, said) in odd.items():
        hub.repositories[name] = Repository(files)
        with pytest.raises(BadInput, match=said):
            resolve(name)
        assert not [n for n in hub.fetched() if "model" in n and n.endswith((".bin", "tensors"))]
