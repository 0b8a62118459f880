"""What is inside a student: loading and cutting checkpoints, scores of packed batches, saving."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..mining.devices import to_device
from ..mining.draws import key_of
from ..mining.errors import BadInput, UsageError
from ..mining.models.classifiers import last_token_head, reads_last_token
from ..mining.models.folder import ModelFolder, quiet_transformers
from ..mining.models.precision import device
from ..mining.models.prompts import FILE, skipped_tokens
from ..mining.store import files
from .layers import keep_layers
from .packing import Packed, Piece

_MODULES = "sentence_transformers.models"


class Network(nn.Module):
    """A student's weights and the way from packed texts to scores [groups, k]."""

    @abstractmethod
    def scores(self, texts: dict[str, Packed], size: int) -> Tensor:
        """Score the documents of each group: float32 [groups, size]."""

    def scores_in_batch(
        self, texts: dict[str, Packed], size: int, query: np.ndarray, doc: np.ndarray
    ) -> Tensor:
        """Score each group's own documents, then those of all other groups (−∞ for copies)."""
        raise UsageError(
            "a cross-encoder has no in-batch negatives", do="use lce, or a bi_encoder student"
        )

    @abstractmethod
    def save(self, folder: Path, model: ModelFolder, max_length: int) -> None:
        """Write a folder that transformers and sentence-transformers load."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """What stands before queries and documents, and how many tokens of it are not pooled."""

    query: str = ""
    document: str = ""
    query_skipped: int = 0
    document_skipped: int = 0

    @classmethod
    def of(cls, model: ModelFolder, prompts: Mapping[str, str]) -> Prompts:
        """Count the tokens that the pooling of a model leaves out."""
        query, document = prompts["queries"], prompts["corpus"]
        return cls(query, document, skipped_tokens(model, query), skipped_tokens(model, document))

    def save(self, folder: Path) -> None:
        """Write them for sentence-transformers; nothing where there are none."""
        if self.query or self.document:
            said = {"query": self.query, "document": self.document}
            _write_json(folder / FILE, {"prompts": said, "default_prompt_name": None})


class TowerNetwork(Network):
    """One encoder for both texts, or one for each: `towers` [documents] or [documents, queries]."""

    def __init__(
        self,
        towers: list[nn.Module],
        pooling: str,
        normalise: bool,
        scale: float,
        prompts: Prompts | None = None,
    ):
        super().__init__()
        self.prompts = prompts or Prompts()
        self.docs = towers[0]
        self.queries = towers[1] if len(towers) == 2 else None
        self.pooling, self.normalise, self.scale = pooling, normalise, scale

    def scores(self, texts: dict[str, Packed], size: int) -> Tensor:
        """Inner products of each query with its own documents."""
        queries, docs = self.vectors(texts)
        return self.scale * torch.einsum("gd,gkd->gk", queries, docs.view(-1, size, docs.shape[1]))

    def scores_in_batch(
        self, texts: dict[str, Packed], size: int, query: np.ndarray, doc: np.ndarray
    ) -> Tensor:
        """Inner products of each query with all documents of the batch, its own first."""
        return self.products_in_batch(*self.vectors(texts), size, query, doc)

    def products_in_batch(
        self, queries: Tensor, docs: Tensor, size: int, query: np.ndarray, doc: np.ndarray
    ) -> Tensor:
        """Do what `scores_in_batch` does, from vectors [groups, width] and [groups·size, width]."""
        n = queries.shape[0]
        every = self.scale * queries @ docs.T
        own = torch.arange(n * size, device=every.device).view(n, size)
        # What may not serve as a negative: documents of a group of the same query, and copies of
        # the group's own documents under another group.
        copies = (doc.reshape(1, -1, 1) == doc[:, None, :]).any(axis=2)
        barred = copies | np.repeat(query[:, None] == query[None, :], size, axis=1)
        others = every.masked_fill(to_device(barred, every.device), -torch.inf)
        return torch.cat([every.gather(1, own), others], dim=1)

    def vectors(self, texts: dict[str, Packed]) -> tuple[Tensor, Tensor]:
        """Encode both sides: float32 [groups, width], [groups·size, width]."""
        queries, docs = (
            self.in_order([self.rows(side, piece) for piece in texts[side].pieces], texts[side])
            for side in ("queries", "docs")
        )
        return queries, docs

    def rows(self, side: str, piece: Piece) -> Tensor:
        """Encode one piece of "queries" or "docs": float32 [rows, width]."""
        asked, prompts = side == "queries", self.prompts
        tower = self.queries if asked and self.queries is not None else self.docs
        return self._pool(
            tower, piece, prompts.query_skipped if asked else prompts.document_skipped
        )

    def in_order(self, rows: list[Tensor], packed: Packed) -> Tensor:
        """Put the rows of all pieces together, in the order of the texts."""
        together = torch.cat(rows)
        return together[to_device(packed.place, together.device)]

    def _pool(self, tower: Any, piece: Piece, skipped: int) -> Tensor:
        inputs = _inputs(tower, piece)
        hidden = tower(**inputs).last_hidden_state.float()
        mask = inputs["attention_mask"]
        last = mask.sum(1) - 1
        first = last.clamp(max=skipped)
        if self.pooling == "mean":
            if skipped:
                places = torch.arange(mask.shape[1], device=mask.device)
                mask = mask * (places >= first[:, None])
            weights = mask[:, :, None].float()
            vectors = (hidden * weights).sum(1) / weights.sum(1)
        else:
            at = last if self.pooling == "last" else first
            vectors = hidden[torch.arange(hidden.shape[0], device=hidden.device), at]
        return F.normalize(vectors, dim=1) if self.normalise else vectors

    def save(self, folder: Path, model: ModelFolder, max_length: int) -> None:
        """Write the sentence-transformers layout.

        Separate towers go to `query/` and `doc/`, each a model; a Router above them makes one of
        both, for `encode_query` and `encode_document`.
        """
        if self.queries is None:
            self._save_tower(self.docs, folder, model, max_length)
            return
        towers = {"query": (self.queries, "query"), "document": (self.docs, "doc")}
        types: dict[str, str] = {}
        structure: dict[str, list[str]] = {}
        for route, (tower, place) in towers.items():
            kinds = self._save_tower(tower, folder / place, model, max_length)
            steps = [place, *(f"{place}/{n}_{kind}" for n, kind in enumerate(kinds) if n)]
            structure[route] = steps
            types |= {s: f"{_MODULES}.{kind}" for s, kind in zip(steps, kinds, strict=True)}
        said = {"default_route": "document", "allow_empty_key": True}
        router = {"types": types, "structure": structure, "parameters": said}
        _write_json(folder / "router_config.json", router)
        module = {"idx": 0, "name": "0", "path": "", "type": f"{_MODULES}.Router"}
        _write_json(folder / "modules.json", [module])
        self.prompts.save(folder)

    def _save_tower(self, tower: Any, folder: Path, model: ModelFolder, length: int) -> list[str]:
        _save_checkpoint(tower, folder, model)
        kinds = ["Transformer", "Pooling", *(["Normalize"] if self.normalise else [])]
        modules = [
            {
                "idx": i,
                "name": str(i),
                "path": "" if i == 0 else f"{i}_{kind}",
                "type": f"{_MODULES}.{kind}",
            }
            for i, kind in enumerate(kinds)
        ]
        pooling = {
            "word_embedding_dimension": tower.config.hidden_size,
            "pooling_mode_cls_token": self.pooling == "cls",
            "pooling_mode_mean_tokens": self.pooling == "mean",
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
            "pooling_mode_lasttoken": self.pooling == "last",
        }
        if self.prompts.query_skipped or self.prompts.document_skipped:
            pooling["include_prompt"] = False
        for kind in kinds[1:]:
            files.make_folder(folder / f"{kinds.index(kind)}_{kind}")
        _write_json(folder / "modules.json", modules)
        _write_json(folder / "1_Pooling" / "config.json", pooling)
        _write_json(folder / "sentence_bert_config.json", {"max_seq_length": length})
        self.prompts.save(folder)
        return kinds


class JointNetwork(Network):
    """A classifier over query and document together."""

    def __init__(self, classifier: nn.Module, score: str):
        super().__init__()
        self.classifier, self.score = classifier, score

    def scores(self, texts: dict[str, Packed], size: int) -> Tensor:
        """Return logits z, or log σ(z)."""
        packed = texts["pairs"]
        logits = torch.cat([self._logits(piece) for piece in packed.pieces]).float()
        z = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
        z = z[to_device(packed.place, z.device)].view(-1, size)
        return z if self.score == "logit" else F.logsigmoid(z)

    def _logits(self, piece: Piece) -> Tensor:
        """Return the logits of one piece, [rows, labels]; a decoder's are those of the last token
        by the row's length, where transformers looks for the last that is not a padding token."""
        inputs, classifier = _inputs(self.classifier, piece), self.classifier
        if not reads_last_token(type(classifier)):
            own: Tensor = classifier(**inputs).logits
            return own
        whole: Any = classifier
        hidden = whole.base_model(**inputs).last_hidden_state
        every: Tensor = last_token_head(whole)(hidden)
        last = inputs["attention_mask"].sum(1) - 1
        return every[torch.arange(len(last), device=last.device), last]

    def save(self, folder: Path, model: ModelFolder, max_length: int) -> None:
        """Write a classifier that CrossEncoder of sentence-transformers loads as well."""
        # Without this, CrossEncoder.predict puts a sigmoid behind a single label.
        config: Any = self.classifier.config
        config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
        _save_checkpoint(self.classifier, folder, model)


def load(
    model: ModelFolder,
    *,
    labels: int | None,
    layers: int | None,
    scratch: bool,
    dropout: bool,
    frozen: str | None,
    seed: int,
) -> nn.Module:
    """Load a checkpoint for training, in float32 on the device of this process.

    `labels` None gives the bare encoder, without its pooler; else a classifier whose head is drawn
    by `seed` where the checkpoint has none of that size. Raises BadInput when weights are missing,
    UsageError when it has fewer layers than asked for.
    """
    import transformers

    factory = (
        transformers.AutoModel
        if labels is None
        else transformers.AutoModelForSequenceClassification
    )
    target = device()
    # Eager attention in bfloat16 is 1.6 times as fast as SDPA on a processor with AMX.
    options: dict[str, Any] = {"attn_implementation": "eager" if target.type == "cpu" else "sdpa"}
    if labels is not None:
        options["num_labels"] = labels
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(key_of(seed, "weights"))
        if scratch:
            config = transformers.AutoConfig.from_pretrained(
                model.path, local_files_only=True, trust_remote_code=False, **options
            )
            network = factory.from_config(config, dtype=torch.float32, trust_remote_code=False)
        else:
            network = _pretrained(factory, model, options)
    if labels is None and getattr(network, "pooler", None) is not None:
        network.pooler = None  # never used, and drawn at random where the checkpoint has none
    if layers is not None:
        keep_layers(network, layers, model)
    if frozen == "embeddings":
        network.base_model.embeddings.requires_grad_(False)
    return network.train(dropout).to(target)


def _pretrained(factory: Any, model: ModelFolder, options: dict[str, Any]) -> Any:
    try:
        network, report = factory.from_pretrained(
            model.path,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes="num_labels" in options,
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise BadInput(
            f"the model cannot be loaded: {error}", where=model.path, do="copy it again"
        ) from error
    body = f"{network.base_model_prefix}.encoder", "encoder.", "embeddings", "layers."
    missing = sorted(k for k in report["missing_keys"] if k.startswith(body))
    if missing:
        raise BadInput(
            f"the checkpoint lacks {len(missing)} weights: {', '.join(missing[:3])}",
            where=model.path,
            do="copy the checkpoint again, or train from scratch with scratch=true",
        )
    return network


def _inputs(network: nn.Module, piece: Piece) -> dict[str, Tensor]:
    target = next(network.parameters()).device
    inputs = {"input_ids": piece.ids, "attention_mask": piece.mask}
    config: Any = network.config
    if (getattr(config, "type_vocab_size", None) or 0) > 1:
        inputs["token_type_ids"] = piece.types
    return {k: torch.from_numpy(v).to(target, non_blocking=True) for k, v in inputs.items()}


def _save_checkpoint(network: Any, folder: Path, model: ModelFolder) -> None:
    from transformers import AutoTokenizer

    files.make_folder(folder)
    with quiet_transformers(), files.by_library(folder):
        network.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(
            model.path, local_files_only=True, trust_remote_code=False
        )
        tokenizer.save_pretrained(folder)


def _write_json(path: Path, value: Any) -> None:
    files.write_bytes(path, json.dumps(value, indent=1).encode() + b"\n", mode=0o644)
