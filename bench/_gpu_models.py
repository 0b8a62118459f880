"""Random checkpoints of the widths and depths of known teachers, and their peers.

Speed does not depend on what weights say, nor on the size of the vocabulary but for the memory it
takes: all have the 30,522 entries of MiniLM's tokenizer, and weights in bfloat16 on disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from teacher import BASE, make_teacher

from rankmill.mining.models.folder import quiet_transformers, resolve

LENGTH = 512
QWEN3 = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    'the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant passages that answer"
    " the query\n<Query>: {query}\n<Document>: {document}<|im_end|>\n<|im_start|>assistant\n"
)
MXBAI = (
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
    "<|im_end|>\n<|im_start|>user\nquery: {query}\ndocument: {document}\nYou are a search "
    "relevance expert who evaluates how well documents match search queries. For each "
    "query-document pair, carefully analyze the semantic relationship between them, then provide "
    "your binary relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:<|im_end|>\n"
    "<|im_start|>assistant\n"
)


@dataclass(frozen=True)
class Shape:
    """A teacher: its configuration in transformers, what others published of it on one H100 (pairs
    of natural passages, at most 512 tokens, bfloat16), and how many times that is wanted."""

    config: str
    sizes: Mapping[str, Any]
    published: float | None = None
    goal: float = 2.0
    prompt: str | None = None  # of a language model
    packaged: bool = False  # MiniLM's own weights, with a head of drawn ones


def _sizes(width: int, layers: int, heads: int, inner: int, **more: Any) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        **more,
    }


def _qwen(width: int, layers: int, heads: int, inner: int, keys: int, size: int) -> dict[str, Any]:
    grouped = {"num_key_value_heads": keys, "head_dim": size, "tie_word_embeddings": True}
    return _sizes(width, layers, heads, inner, **grouped)


_MODERN = {"pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102}
_MODERN |= {"cls_token_id": 101, "sep_token_id": 102}
_XLM_R = {"type_vocab_size": 1, "max_position_embeddings": LENGTH + 2, "pad_token_id": 0}
SHAPES = {
    "minilm-l6": Shape("BertConfig", _sizes(384, 6, 12, 1536), 3817, 3.0, packaged=True),
    "ettin-17m": Shape("ModernBertConfig", _sizes(256, 7, 4, 384, **_MODERN), 7517, 1.2),
    "bge-reranker-v2-m3": Shape("XLMRobertaConfig", _sizes(1024, 24, 16, 4096, **_XLM_R), 1569),
    "mxbai-rerank-base-v2": Shape(
        "Qwen2Config", _qwen(896, 24, 14, 4864, 2, 64), 809, prompt=MXBAI
    ),
    "modernbert-base": Shape("ModernBertConfig", _sizes(768, 22, 12, 1152, **_MODERN)),
    "qwen3-0.6b": Shape("Qwen3Config", _qwen(1024, 28, 16, 3072, 8, 128), prompt=QWEN3),
}


def write(shape: Shape, folder: Path, device: str, *, dry: bool) -> Path:
    """Write the checkpoint of a shape, of two narrow layers in a dry run."""
    import torch
    import transformers

    if shape.packaged and not dry:
        return make_teacher(folder)
    sizes = dict(shape.sizes)
    if dry:
        sizes |= {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 96}
        sizes |= {"num_attention_heads": 4}
        sizes |= {"head_dim": 16, "num_key_value_heads": 2} if shape.prompt else {}
    config = getattr(transformers, shape.config)(vocab_size=30522, num_labels=1, **sizes)
    head = "AutoModelForCausalLM" if shape.prompt else "AutoModelForSequenceClassification"
    torch.manual_seed(2)
    with quiet_transformers(), torch.device(device):
        network = getattr(transformers, head).from_config(config, dtype=torch.bfloat16)
        network.save_pretrained(folder)
    tokenizer = resolve(BASE).tokenizer()
    _without_segments(tokenizer).save(str(folder / "tokenizer.json"))
    said = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return folder


def dense_weights(folder: Path) -> int:
    """Return how many weights the dense layers of a checkpoint have, which every token passes."""
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "np") as held:
        shapes = {name: held.get_slice(name).get_shape() for name in held.keys()}  # noqa: SIM118
    aside = ("embed", "lm_head", "head.dense", "classifier")
    return sum(
        int(np.prod(shape))
        for name, shape in shapes.items()
        if len(shape) == 2 and not any(word in name for word in aside)
    )


def first_layers(folder: Path, layers: int) -> Path:
    """Return the folder of a copy of the packaged encoder that has its first layers only."""
    import shutil

    from transformers import AutoModel

    packaged = resolve(BASE).path
    shutil.copytree(packaged, folder)
    with quiet_transformers():
        AutoModel.from_pretrained(packaged, num_hidden_layers=layers).save_pretrained(folder)
    return folder


def _without_segments(tokenizer: Any) -> Any:
    """Let a tokenizer join two texts as RoBERTa's do: all of segment 0."""
    from tokenizers import processors

    ids = [(word, tokenizer.token_to_id(word)) for word in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["[CLS]", "$A", "[SEP]"],
        pair=["[CLS]", "$A", "[SEP]", "$B", "[SEP]"],
        special_tokens=ids,
    )
    return tokenizer


Peer = Callable[[list[tuple[str, str]]], np.ndarray]


def peer_of(shape: Shape, folder: Path, device: str, dtype: str, batch: int) -> Peer:
    """Return what others run: `CrossEncoder.predict` without its activation; for a language model a
    padded forward pass of transformers, texts sorted by length, one position of logits."""
    import torch

    kind = getattr(torch, dtype)
    if shape.prompt:
        return _language_model(shape.prompt, folder, device, kind, batch)
    from sentence_transformers import CrossEncoder

    with quiet_transformers():
        model = CrossEncoder(
            str(folder), max_length=LENGTH, device=device, model_kwargs={"dtype": kind}
        )

    def predict(texts: list[tuple[str, str]]) -> np.ndarray:
        said = model.predict(
            texts, activation_fn=torch.nn.Identity(), batch_size=batch, show_progress_bar=False
        )
        return np.asarray(said, dtype=np.float32).ravel()

    return predict


def _language_model(prompt: str, folder: Path, device: str, dtype: Any, batch: int) -> Peer:
    import torch
    from transformers import AutoModelForCausalLM

    with quiet_transformers():
        network = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval().to(device)
    tokenizer = resolve(folder).tokenizer()
    first = tokenizer.token_to_id("[CLS]")
    yes, no = (tokenizer.token_to_id(word) for word in ("yes", "no"))

    def predict(texts: list[tuple[str, str]]) -> np.ndarray:
        written = [prompt.replace("{query}", q).replace("{document}", d) for q, d in texts]
        encoded = tokenizer.encode_batch_fast(written, add_special_tokens=False)
        ids = [[first, *one.ids][:LENGTH] for one in encoded]
        out = np.empty(len(ids), dtype=np.float32)
        order = sorted(range(len(ids)), key=lambda at: -len(ids[at]))
        for low in range(0, len(order), batch):
            rows = order[low : low + batch]
            width = len(ids[rows[0]])
            padded = torch.zeros((len(rows), width), dtype=torch.int64)
            mask = torch.zeros_like(padded)
            for row, at in enumerate(rows):
                padded[row, width - len(ids[at]) :] = torch.tensor(ids[at])
                mask[row, width - len(ids[at]) :] = 1
            inputs = {"input_ids": padded.to(device), "attention_mask": mask.to(device)}
            with torch.inference_mode():
                logits = network(**inputs, logits_to_keep=1, use_cache=False).logits[:, -1]
            out[rows] = (logits[:, yes].float() - logits[:, no].float()).cpu().numpy()
        return out

    return predict
