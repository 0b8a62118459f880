"""Which files of a checkpoint are read, in a folder and in a repository's list of names; which
decide its results, and hashes of what they say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import BadInput
from ..inputs.bounds.model_files import read_checked
from ..store import files

CONFIG = "config.json"
MODULES = "modules.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "vocab.txt")  # the first that is there is read
DECIDING = (
    CONFIG,
    "config_sentence_transformers.json",
    INDEX,
    MODULES,
    "sentence_bert_config.json",
    "tokenizer_config.json",
    *TOKENIZERS,
)
BESIDE = (  # decide no score of ours, but a tokenizer that transformers loads and saves again
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.model",
    "vocab.json",
)
_OWN_MODULES = "sentence_transformers."
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def pickles_among(names: Collection[str]) -> list[str]:
    """Return the files at the top whose names are those of pickles, sorted."""
    return sorted(n for n in names if "/" not in n and _is_pickle(n))


def _is_pickle(name: str) -> bool:
    return any(PurePosixPath(name).match(pattern) for pattern in PICKLES)


def settings_among(names: Collection[str]) -> list[str]:
    """Return the files that are read besides weights, of all names of a repository, sorted."""
    beside = {name for name in names if name.count("/") == 1 and name.endswith(f"/{CONFIG}")}
    return sorted(beside | {name for name in names if name in DECIDING or name in BESIDE})


def weights_among(names: Collection[str], folder: Path) -> list[str]:
    """Return the weights that are read, sorted; `folder` has the settings already.

    As transformers chooses: model.safetensors, else the shards of its index. Modules behind the
    model have their own.
    """
    modules = [n for n in names if n.endswith(".safetensors") and _module_of(n, folder)]
    if WEIGHTS in names:
        return sorted([WEIGHTS, *modules])
    return sorted([*shards_of(folder), *modules])


def _module_of(name: str, folder: Path) -> bool:
    return "/" in name and name.rpartition("/")[0] in module_folders(folder)


def shards_of(folder: Path) -> list[str]:
    """Return the names of the shards that the index of a folder promises, sorted; none without."""
    if not (folder / INDEX).is_file():
        return []
    index = read_checked(folder / INDEX)
    promised = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(promised, dict) or not all(map(_is_shard, promised.values())):
        raise BadInput(
            "the index of the weights names no shards (weight_map)",
            where=folder / INDEX,
            do="copy the model again",
        )
    return sorted(set(promised.values()))


def _is_shard(name: object) -> bool:
    """Say whether an index names a file beside it; a path elsewhere is nobody's shard."""
    return isinstance(name, str) and name.endswith(".safetensors") and "/" not in name


def module_folders(folder: Path) -> list[str]:
    """Return the folders of the modules that modules.json names behind the transformer."""
    listed = read_checked(folder / MODULES) if (folder / MODULES).is_file() else []
    return [one["path"] for one in listed if one["path"]]


def lacking(folder: Path, names: Collection[str] | None) -> list[str]:
    """Return what a folder lacks of the files that are read, sorted.

    `names`: of all files of the repository; None where nobody knows. Then a configuration, weights,
    a tokenizer and what an index and modules.json promise are looked for.
    """
    if names is not None:
        settings = [n for n in settings_among(names) if not (folder / n).is_file()]
        if settings:
            return settings
        return [n for n in weights_among(names, folder) if not (folder / n).is_file()]
    if not (folder / CONFIG).is_file():
        return [CONFIG]
    wanted = [WEIGHTS] if not (folder / INDEX).is_file() else shards_of(folder)
    if (folder / WEIGHTS).is_file():
        wanted = []
    if not any((folder / name).is_file() for name in TOKENIZERS):
        wanted = [*wanted, TOKENIZERS[0]]
    if (folder / MODULES).is_file():
        poolings = [one for one in module_folders(folder) if one.endswith("Pooling")]
        wanted = [*wanted, *(f"{one}/{CONFIG}" for one in poolings)]
    return sorted(name for name in wanted if not (folder / name).is_file())


def needs_code(folder: Path) -> tuple[str, Path] | None:
    """Return what says that a checkpoint needs code of its own, and in which file, if one does:
    auto_map, or a module that is none of sentence-transformers'."""
    for name in (CONFIG, "tokenizer_config.json"):
        path = folder / name
        said = read_checked(path) if path.is_file() else {}
        if isinstance(said, dict) and "auto_map" in said:
            return "auto_map", path
    path = folder / MODULES
    for one in read_checked(path) if path.is_file() else ():
        if not one["type"].startswith(_OWN_MODULES):
            return f"a module of the type {one['type'][:80]!r}", path
    return None


# ---- what identifies a checkpoint ----------------------------------------------------------------


def deciding_files(path: Path) -> list[Path]:
    """List the files that decide results, sorted; refuses what cannot or must not be loaded."""
    refuse_gguf(sorted(p.name for p in path.glob("*.gguf")), path)
    if not (path / "config.json").exists():
        raise BadInput(
            "the model folder has no config.json",
            where=path,
            do="save the checkpoint with save_pretrained(), which writes one",
        )
    weights = sorted(path.glob("*.safetensors"))
    pickles = pickles_among([p.name for p in path.iterdir()])
    if not weights and pickles:
        raise BadInput(
            f"the weights are pickles ({', '.join(pickles[:3])}), which can run code when loaded",
            where=path,
            do="convert them to safetensors on a machine you trust: save_pretrained() writes them",
        )
    if not weights:
        raise BadInput(
            "the model folder has no weights (*.safetensors)",
            where=path,
            do="copy model.safetensors beside config.json",
        )
    if not any((path / name).exists() for name in TOKENIZERS):
        raise BadInput(
            "the model folder has no tokenizer (tokenizer.json or vocab.txt)",
            where=path,
            do="save it with AutoTokenizer.from_pretrained(…).save_pretrained(folder)",
        )
    said = needs_code(path)
    if said is not None:
        raise BadInput(
            f"the checkpoint needs code of its own ({said[0]}), which rankmill never runs",
            where=said[1],
            do="use a checkpoint of an architecture that transformers itself ships",
        )
    named = [path / name for name in DECIDING if (path / name).exists()]
    loaded = [*_loaded(path, weights), *_module_weights(path)]
    return sorted([*named, *loaded, *path.glob("*/config.json")])


def refuse_gguf(names: Sequence[str], where: Path | str) -> None:
    """Raise BadInput where weights are in llama.cpp's format, and nowhere else: `names` of its
    files in a folder that holds no others."""
    if not names or (isinstance(where, Path) and any(where.glob("*.safetensors"))):
        return
    raise BadInput(
        f"the weights are GGUF ({names[0]}), which rankmill does not read",
        where=where,
        do="take the model's own repository (safetensors), or convert the file once: "
        f"pip install gguf accelerate, then in Python, {_converting(names[0])}; then give NEW",
    )


def _converting(name: str) -> str:
    """Return the lines that write a folder NEW of a GGUF file in FOLDER. A model that comes from
    such a file remembers that it was quantised, and newer transformers save none that does."""
    told = f"FOLDER, gguf_file={json.dumps(name)}"
    return (
        "from transformers import AutoModelForCausalLM, AutoTokenizer; "
        f"m = AutoModelForCausalLM.from_pretrained({told}); "
        'vars(m).pop("hf_quantizer", 0); vars(m.config).pop("quantization_config", 0); '
        f"m.save_pretrained(NEW); AutoTokenizer.from_pretrained({told}).save_pretrained(NEW)"
    )


def _loaded(path: Path, weights: list[Path]) -> list[Path]:
    """Return the weights that transformers loads; copies in another layout beside them do not
    count, so that a model is the same however much of its repository was fetched."""
    if path / WEIGHTS in weights:
        return [path / WEIGHTS]
    shards = [path / name for name in shards_of(path)]
    if lost := [shard.name for shard in shards if shard not in weights]:
        raise BadInput(
            f"the model folder lacks {len(lost)} of {len(shards)} shards: {', '.join(lost[:3])}",
            where=path,
            do="copy the model again, whole",
        )
    return shards or weights


def _module_weights(path: Path) -> list[Path]:
    """List the weights of modules that stand in folders of their own; refuses pickles."""
    folders = [path / name for name in module_folders(path)]
    for folder in folders:
        if (folder / "pytorch_model.bin").exists() and not (folder / WEIGHTS).exists():
            raise BadInput(
                "the weights of a module are pickles, which can run code when loaded",
                where=folder / "pytorch_model.bin",
                do="convert them to safetensors on a machine you trust",
            )
    return [weights for folder in folders for weights in folder.glob("*.safetensors")]


@dataclass(frozen=True, slots=True)
class Content:
    """A file by its name and what it holds: copies of it are equal, wherever they lie. The name of
    a module's file holds that of its folder, since such files have shapes of their own."""

    name: str
    sha256: str
    path: Path = field(compare=False)


def content_of(file: Path) -> Content:
    """Return a file by what it holds now; its bytes are read once for each state of the file."""
    folder = file.parent.name
    name = f"{folder}/{file.name}" if folder[:1].isdigit() else file.name
    return Content(name, _digest_of(file, files.stamp_of(file)), file)


@lru_cache(maxsize=256)
def _digest_of(file: Path, stamp: files.Stamp) -> str:
    return files.sha256_of(file)


def content_hash(file: Path) -> str:
    """Hash a JSON file by what it says, anything else by its bytes."""
    content = content_of(file)
    return _hash_of_settings(content) if file.suffix == ".json" else content.sha256


@lru_cache(maxsize=256)  # students of one start share their tokenizer and most of the rest
def _hash_of_settings(content: Content) -> str:
    value = read_checked(content.path)
    if content.path.name == "config.json":
        for key in ("_name_or_path", "transformers_version", "torch_dtype", "dtype"):
            value.pop(key, None)  # where it came from; it says nothing about results
    return _hash_of(value)


def hash_of_tokenizer(path: Path) -> str:
    """Identify the mapping from text to ids: not the special tokens around it, nor truncation."""
    if not (path / "tokenizer.json").exists():  # transformers makes one, of all that it finds
        config = path / "tokenizer_config.json"
        said = read_checked(config) if config.exists() else {}
        kind = read_checked(path / "config.json").get("model_type")
        vocabulary = files.sha256_of(path / "vocab.txt")
        return _hash_of([vocabulary, said, kind, hash_beside(path)])
    return _hash_of_mapping(content_of(path / "tokenizer.json"))


@lru_cache(maxsize=64)
def _hash_of_mapping(content: Content) -> str:
    value = read_checked(content.path)
    parts = ("model", "normalizer", "pre_tokenizer", "added_tokens")
    return _hash_of({key: value.get(key) for key in parts})


def hash_beside(path: Path) -> str | None:
    """Hash the files that decide no score, but what a saved student shows; None without any."""
    hashes = {name: content_hash(path / name) for name in BESIDE if (path / name).exists()}
    return _hash_of(hashes) if hashes else None


def _hash_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
