"""A tiny decoder whose tokenizer cuts texts as Qwen's does: chat marks, merged line ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tiny_language_models import tiny_causal_lm

SPECIAL = ["<|im_start|>", "<|im_end|>", "<bos>"]
ADDED = ["<think>", "</think>"]  # tokens that Qwen does not call special
CUTS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MERGES = ["y e", "ye s", "n o", "Y e", "Ye s", "Ġ yes", ". Ċ", "? Ċ", "Ċ Ċ", "Q u"]
CHATML = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def chat_tokenizer(folder: Path, *, begins: str = "") -> None:
    """Write the tokenizer; `begins` is a special token that it puts before each text."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing

    merges = [(a, b) for a, b in (merge.split(" ") for merge in MERGES)]
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    tokenizer = Tokenizer(models.BPE({piece: n for n, piece in enumerate(pieces)}, merges))
    cut = pre_tokenizers.Split(Regex(CUTS), "isolated")
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, whole])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ADDED])
    if begins:
        number = tokenizer.token_to_id(begins)
        tokenizer.post_processor = TemplateProcessing(
            single=f"{begins} $A", special_tokens=[(begins, number)]
        )
    tokenizer.save(str(folder / "tokenizer.json"))


def chat_lm(folder: Path, *, begins: str = "", template: str | None = CHATML, **more: Any) -> Path:
    """Write a decoder of width 32 with that tokenizer and a chat template."""
    tiny_causal_lm(folder, max_position_embeddings=512, **more)
    chat_tokenizer(folder, begins=begins)
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>"}
    if begins:
        said["bos_token"] = begins
    if template is not None:
        said["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return folder
