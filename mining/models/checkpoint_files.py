"""Which files of a checkpoint are read, in a folder and in a repository's list of names."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path, PurePosixPath

from ..errors import BadInput
from ..inputs.model_files import read_checked

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


def needs_code(folder: Path) -> Path | None:
    """Return the file that says that a checkpoint needs code of its own (auto_map), if one does."""
    for name in (CONFIG, "tokenizer_config.json"):
        path = folder / name
        said = read_checked(path) if path.is_file() else {}
        if isinstance(said, dict) and "auto_map" in said:
            return path
    return None
