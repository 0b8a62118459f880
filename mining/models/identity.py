"""What identifies a checkpoint: the files that decide its results, and hashes of what they say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import BadInput
from ..store import files
from .checked import read_checked
from .checkpoint_files import (
    BESIDE,
    DECIDING,
    TOKENIZERS,
    WEIGHTS,
    module_folders,
    needs_code,
    pickles_among,
    shards_of,
)


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
            "the checkpoint needs code of its own (auto_map), which rankmill never runs",
            where=said,
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
        do="take the model's own repository (safetensors), or convert it where gguf and accelerate "
        f"are installed: for both AutoModelForCausalLM and AutoTokenizer, .from_pretrained(FOLDER, "
        f'gguf_file="{names[0]}").save_pretrained(NEW); then give NEW',
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


def content_hash(file: Path) -> str:
    """Hash a JSON file by what it says, anything else by its bytes."""
    if file.suffix != ".json":
        return files.sha256_of(file)
    value = read_checked(file)
    if file.name == "config.json":
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
    value = read_checked(path / "tokenizer.json")
    parts = ("model", "normalizer", "pre_tokenizer", "added_tokens")
    return _hash_of({key: value.get(key) for key in parts})


def hash_beside(path: Path) -> str | None:
    """Hash the files that decide no score, but what a saved student shows; None without any."""
    hashes = {name: content_hash(path / name) for name in BESIDE if (path / name).exists()}
    return _hash_of(hashes) if hashes else None


def _hash_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
