"""Tiny random language models with tokenizers of their own, as `tiny_models` makes encoders."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np


def tiny_causal_lm(folder: Path, *, seed: int = 0, kind: str = "llama", **config: Any) -> Path:
    """Write a decoder of 2 layers and width 32 over bytes; " yes" and " no" are one token each."""
    from transformers import AutoConfig, AutoModelForCausalLM

    said = {
        "vocab_size": 320,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 256,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
        "tie_word_embeddings": True,
    } | config
    made = AutoConfig.for_model(kind, **(_nested(said) if kind == "gemma3" else said))
    _save(AutoModelForCausalLM.from_config(made), folder, seed)
    _byte_tokenizer(folder)
    return folder


def tiny_decoder_classifier(
    folder: Path,
    *,
    kind: str,
    pad: int | None,
    pair: str = "<s> $A </s> $B </s>",
    seed: int = 0,
    **config: Any,
) -> Path:
    """Write a decoder-only sequence classifier over bytes, one label; `pair` joins two texts."""
    from tokenizers import Tokenizer, processors
    from transformers import AutoConfig, AutoModelForSequenceClassification

    said: dict[str, Any] = {
        "vocab_size": 320,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": 64,
        "max_position_embeddings": 256,
        "num_labels": 1,
        "pad_token_id": pad,
    } | config
    made = AutoConfig.for_model(kind, **(_nested(said) if kind == "gemma3" else said))
    _save(AutoModelForSequenceClassification.from_config(made), folder, seed)
    _byte_tokenizer(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair=pair, special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    _tokenizer(tokenizer, folder)
    return folder


def tiny_seq2seq(folder: Path, *, seed: int = 0, **config: Any) -> Path:
    """Write a T5 of 2 + 2 layers and width 32; "true" and "false" are one token each."""
    from transformers import T5Config, T5ForConditionalGeneration

    said = {
        "vocab_size": 128,
        "d_model": 32,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_heads": 4,
        "dropout_rate": 0.0,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    } | config
    _save(T5ForConditionalGeneration(T5Config(**said)), folder, seed)
    _piece_tokenizer(folder)
    return folder


def _nested(said: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a model that also sees pictures: that of the text one down."""
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**small, "intermediate_size": 64, "image_size": 16, "patch_size": 8}
    above = {k: v for k, v in said.items() if k in {"num_labels", "tie_word_embeddings"}}
    text = {k: v for k, v in said.items() if k != "num_labels"}
    return {"text_config": text, "vision_config": vision, **above}


def _byte_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "y"), ("Ġy", "e"), ("Ġye", "s"), ("Ġ", "n"), ("Ġn", "o"), ("a", "n")]
    pieces = ["<s>", "</s>", *alphabet, *(a + b for a, b in merges)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    _tokenizer(tokenizer, folder)


def _piece_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["▁true", "▁false", "▁Query", "▁Document", "▁Relevant", "▁"]
    signs = [*string.ascii_letters, *string.digits, *".,:;!?'-"]
    scores = [*((word, -2.0) for word in words), *((sign, -5.0) for sign in signs)]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *scores]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    _tokenizer(tokenizer, folder)


def _tokenizer(tokenizer: Any, folder: Path) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 256}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))


def _save(model: Any, folder: Path, seed: int) -> None:
    import torch

    rng = np.random.Generator(np.random.Philox(seed))
    with torch.no_grad():
        for _, weight in sorted(model.named_parameters()):
            if weight.ndim > 1:
                drawn = rng.normal(0.0, 0.3, size=tuple(weight.shape)).astype(np.float32)
                weight.copy_(torch.from_numpy(drawn))
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
