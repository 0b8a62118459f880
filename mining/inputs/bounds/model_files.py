"""The JSON files of a checkpoint: their shapes, and their sizes against what the weights hold.

A library that is given a text for a number, or a million layers, fails somewhere deep inside, or
takes all memory for arrays that no file of the checkpoint fills.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import BadInput
from .guards import read_settings, reason, refuse_unless_file, shown

_DO = "copy the model again"
_LARGEST_SIZE = 1 << 31
_MOST_POSITIONS = 1 << 26
_MOST_LABELS = 1 << 20
_LONGEST_PATH = 200  # characters
_IN_16_BITS = 1 << 16
_LAYERS = ("num_hidden_layers", "n_layers", "num_layers", "n_layer", "num_decoder_layers")
_WIDTHS = (  # each is the length of some array of the weights, or less
    *("hidden_size", "dim", "d_model", "n_embd", "embedding_size", "word_embed_proj_dim"),
    *("intermediate_size", "hidden_dim", "d_ff", "ffn_dim", "n_inner", "vocab_size"),
    *("type_vocab_size", "num_attention_heads", "n_heads", "n_head", "num_key_value_heads"),
    *("head_dim", "d_kv", "num_heads"),
)
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_length", "model_max_length")
_MAY_BE_0 = frozenset({"type_vocab_size"})
_BUCKETS = ("relative_attention_max_distance", "relative_attention_num_buckets")
_ROPES = ("rope_parameters", "rope_scaling")
_NAMED = ("name", "template")
_MODULE_FIELDS = ("in_features", "out_features", "dimension", "word_embedding_dimension")


def read_checked(path: Path) -> Any:
    """Return what a JSON file of a checkpoint says, its shape checked by its name.

    Raises BadInput for what is no file, no JSON, or has another shape: settings are objects,
    modules.json a list of objects with type and path, sizes whole numbers.
    """
    value = read_settings(path, _DO)
    if path.name == "modules.json":
        return _modules(value, path)
    if not isinstance(value, dict):
        raise _odd(path, f"the file holds {shown(value)}, not an object")
    _SHAPES.get(path.name, _nothing)(value, path)
    return value


def check_sizes(config: Mapping[str, Any], weights: Iterable[Path], where: Path) -> None:
    """Raise BadInput where a configuration says more than the weights can hold: more layers than
    there are arrays, or widths beyond the longest array; and for weights whose own table is none.
    """
    arrays = [shape for path in weights for shape in shapes_of(path)]
    longest = max((size for shape in arrays for size in shape), default=0)
    for part in (config, config.get("text_config")):
        for key, value in (part or {}).items():
            many = isinstance(value, int) and not isinstance(value, bool)
            if key in _LAYERS and many and value > len(arrays):
                raise _odd(where, f"{key}={value:,}, but the weights hold {len(arrays):,} arrays")
            if key in _WIDTHS and many and value > longest:
                what = f"{key}={value:,}, but the longest array of the weights has {longest:,}"
                raise _odd(where, what)


def shapes_of(path: Path) -> list[list[int]]:
    """Return the shapes of the arrays of a safetensors file; raises BadInput as `arrays_of`."""
    return list(arrays_of(path).values())


def arrays_of(path: Path) -> dict[str, list[int]]:
    """Return the shape of each array of a safetensors file by its header alone; raises BadInput
    where the header, or an array, is larger than the file."""
    refuse_unless_file(path, _DO)
    size = path.stat().st_size
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            said = f"a header of {length:,} bytes" if size >= 8 else "no header"
            raise _odd(path, f"the weights have {said} in a file of {size:,}")
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        arrays = {k: v for k, v in header.items() if k != "__metadata__"}
        ends = [one["data_offsets"][1] for one in arrays.values()]
        shapes = {str(name): [int(n) for n in one["shape"]] for name, one in arrays.items()}
        beyond = any(end > size - 8 - length for end in ends)
    except (ValueError, RecursionError) as error:
        raise _odd(path, f"the header of the weights is not valid JSON: {reason(error)}") from error
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise _odd(path, "the header of the weights lists no arrays") from error
    if beyond:
        raise _odd(path, f"the weights end before their arrays do: the file has {size:,} bytes")
    return shapes


def is_inside(path: str) -> bool:
    """Say whether a path that a file names stays in its folder."""
    parts = PurePosixPath(path).parts
    plain = len(path) <= _LONGEST_PATH and "\0" not in path
    return plain and ".." not in parts and not path.startswith("/")


def _tokenizer(value: dict[str, Any], path: Path) -> None:
    """Ids are kept in 16 bits where there are no more entries than those hold."""
    model, added = value.get("model"), value.get("added_tokens") or []
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(added, list):
        raise _odd(path, "the file describes no tokenizer (model, added_tokens)")
    named = vocabulary if isinstance(vocabulary, dict) else {}
    also = {t.get("content"): t.get("id") for t in added if isinstance(t, dict)}
    numbers = [*named.values(), *also.values()]
    if not all(type(number) is int for number in numbers):
        raise _odd(path, "an entry of the vocabulary has no whole number")
    entries, highest = len(named.keys() | also.keys()), max(numbers, default=0)
    if highest >= _IN_16_BITS and isinstance(vocabulary, dict) and entries <= _IN_16_BITS:
        what = f"the vocabulary has {entries:,} entries, with numbers up to {highest:,}"
        raise _odd(path, what)
    _template(value.get("post_processor"), path)


def _template(value: Any, path: Path) -> None:
    """Check that a template explains each special token that it puts around a text: the library
    ends its thread, not with an error, where one is missing."""
    if not isinstance(value, dict):
        return
    for one in value.get("processors") or ():
        _template(one, path)
    known = value.get("special_tokens")
    for side in ("single", "pair"):
        for piece in value.get(side) or ():
            token = piece.get("SpecialToken") if isinstance(piece, dict) else None
            name = token.get("id") if isinstance(token, dict) else None
            if name is not None and not (isinstance(known, dict) and name in known):
                raise _odd(path, f"the template names the token {shown(name)} and no ids for it")


def _nothing(value: dict[str, Any], path: Path) -> None:
    """Check nothing: a file that only libraries read."""


def _config(value: dict[str, Any], path: Path) -> None:
    for part in (value, value.get("text_config")):
        if part is None:
            continue
        if not isinstance(part, dict):
            raise _odd(path, f"text_config is {shown(part)}, not an object")
        _texts(part, path, "model_type", "hidden_act", "hidden_activation", "activation_function")
        _whole(part, path, (*_LAYERS, *_WIDTHS), 1, _LARGEST_SIZE)
        _whole(part, path, _POSITIONS, 1, _MOST_POSITIONS)
        _whole(part, path, ("num_labels",), 1, _MOST_LABELS)
        _whole(part, path, ("pad_token_id",), -1, _LARGEST_SIZE)
        _whole(part, path, ("decoder_start_token_id",), 0, _LARGEST_SIZE)
        _whole(part, path, _BUCKETS, 1, _LARGEST_SIZE)
        _objects(part, path, "id2label", "label2id", *_ROPES)
        _rope(part, path)
        scale = part.get("query_pre_attn_scalar")
        if scale is not None and not (type(scale) in (int, float) and scale > 0):
            raise _odd(path, f"query_pre_attn_scalar is {shown(scale)}, not a number above 0")
    heads = value.get("architectures")
    if not (heads is None or (isinstance(heads, list) and all(isinstance(h, str) for h in heads))):
        raise _odd(path, f"architectures is {shown(heads)}, not a list of names")


def _rope(part: Mapping[str, Any], path: Path) -> None:
    """Check the names of the ways that positions are turned, one for all layers or one a kind."""
    for key in _ROPES:
        said = part.get(key) or {}
        for one in (said, *(v for v in said.values() if isinstance(v, dict))):
            _texts(one, path, "rope_type", "type")


def _max_length(value: dict[str, Any], path: Path) -> None:
    _whole(value, path, ("max_seq_length",), 1, _MOST_POSITIONS)


def _prompts(value: dict[str, Any], path: Path) -> None:
    _objects(value, path, "prompts")
    for name, prompt in (value.get("prompts") or {}).items():
        if not (prompt is None or isinstance(prompt, str)):
            raise _odd(path, f"the prompt {shown(name)} is {shown(prompt)}, not a text")
        try:
            f"{name}{prompt}".encode()
        except UnicodeEncodeError as error:
            raise _odd(path, f"the prompt {shown(name)} holds half a character") from error


def _either(value: dict[str, Any], path: Path) -> None:
    """Check what a model or a module of its head may say: no name means two things, and nothing
    tells for sure whose folder it is."""
    _whole(value, path, _MODULE_FIELDS, 1, _LARGEST_SIZE)
    _whole(value, path, ("true_token_id", "false_token_id"), 0, _LARGEST_SIZE)
    _texts(value, path, "module_input_name", "module_output_name")
    _config(value, path)


def _chat(value: dict[str, Any], path: Path) -> None:
    """A chat template is a text, or several with their names."""
    said = value.get("chat_template")
    for one in said if isinstance(said, list) else ():
        if not (isinstance(one, dict) and all(isinstance(one.get(k), str) for k in _NAMED)):
            raise _odd(path, f"a chat template is {shown(one)}, not an object of name and template")
    if not isinstance(said, str | list | None):
        raise _odd(path, f"chat_template is {shown(said)}, not a text")


_SHAPES: dict[str, Callable[[dict[str, Any], Path], None]] = {
    "config.json": _either,
    "chat_template.json": _chat,
    "tokenizer.json": _tokenizer,
    "tokenizer_config.json": _chat,
    "sentence_bert_config.json": _max_length,
    "config_sentence_transformers.json": _prompts,
}


def _modules(value: Any, path: Path) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise _odd(path, f"the file holds {shown(value)}, not a list of modules")
    for one in value:
        if not isinstance(one, dict):
            raise _odd(path, f"a module is {shown(one)}, not an object")
        for key in ("type", "path"):
            if not isinstance(one.get(key), str):
                raise _odd(path, f"the {key} of a module is {shown(one.get(key))}, not a text")
        if not is_inside(one["path"]):
            raise _odd(path, f"the module {shown(one['path'])} does not lie in the model's folder")
    return value


def _whole(
    value: Mapping[str, Any], path: Path, keys: Iterable[str], least: int, most: int
) -> None:
    for key in keys:
        number = value.get(key)
        if number is None:
            continue
        low = min(least, 0) if key in _MAY_BE_0 else least
        if isinstance(number, bool) or not isinstance(number, int):
            raise _odd(path, f"{key} is {shown(number)}, not a whole number")
        if not low <= number <= most:
            raise _odd(path, f"{key} is {shown(number)}, not between {low:,} and {most:,}")


def _texts(value: Mapping[str, Any], path: Path, *keys: str) -> None:
    for key in keys:
        if not isinstance(value.get(key), str | None):
            raise _odd(path, f"{key} is {shown(value[key])}, not a text")


def _objects(value: Mapping[str, Any], path: Path, *keys: str) -> None:
    for key in keys:
        if not isinstance(value.get(key), dict | None):
            raise _odd(path, f"{key} is {shown(value[key])}, not an object")


def _odd(path: Path, what: str) -> BadInput:
    return BadInput(what, where=path, do=_DO)
