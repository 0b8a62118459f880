"""Which sequence classifiers can be run in batches: those whose place of the score can be told.

Encoders read their first token, or all that the attention mask leaves. Decoder-only classifiers of
transformers look for the place of their score in the ids: the last token that is not
`pad_token_id`. Scores are read by length instead, whatever that token is, of teachers and of
students. Encoder-decoders look for `eos_token_id`, which a batch must hold equally often in every
row.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadInput
from ..inputs.bounds.model_files import arrays_of, read_checked
from .checkpoint_files import CONFIG
from .folder import ModelFolder
from .sequences import Template

FILLER = 0
"""The token that batches are filled up with."""

_OTHERWISE = (
    "score with the language model that it was made from, causal_lm(model=…,prompt=…,yes=…,no=…), "
    "or score it elsewhere and import that: rankmill import FILE --as scores --kind logit"
)


def check_classifier(model: ModelFolder) -> None:
    """Raise BadInput where a batch would give other scores than the model itself.

    Judged by the class that transformers loads for the config, not by its name: what its forward
    pass looks up.
    """
    network, _ = _class_of(model)
    if network is not None and "eos_token_id" in _looks_up(network):
        _refuse(model, f"{network.__name__} finds the place of its score by eos_token_id")


_WITHOUT_HEAD = {  # by the end of the architecture's name
    "": "use a fine-tuned cross-encoder, or an encoder as bi_encoder(model=…); to train a head: "
    'rankmill train "cross_encoder(model=…)"',
    "ForCausalLM": "it is a language model: write causal_lm(model=…,prompt=…,yes=…,no=…), as its "
    "card says, or its preset, teacher(NAME,model=…)",
    "ForConditionalGeneration": "it answers in words: write seq2seq(model=…), or causal_lm(model=…)"
    " for a decoder that also sees pictures",
}
_HEAD = re.compile(r"(classifier|score|classification_head|logits_proj|sequence_summary)\b")


def check_trained(folder: Path) -> None:
    """Raise BadInput for a checkpoint without a trained classifier: transformers would put one of
    random numbers there. Seen from the names of its arrays; nothing is loaded."""
    if any(folder.glob("*/*.safetensors")):  # a module behind the model may be its head
        return
    arrays = [name for file in sorted(folder.glob("*.safetensors")) for name in arrays_of(file)]
    if not any(_HEAD.match(name) for name in arrays):
        raise BadInput(
            f"the checkpoint has no trained classifier: none of its {len(arrays):,} arrays is one "
            "of a head",
            where=folder,
            do=_WITHOUT_HEAD.get(_ending(folder), _WITHOUT_HEAD[""]),
        )


def _ending(folder: Path) -> str:
    """Return which kind of language model the config names; "" for another."""
    heads = map(str, read_checked(folder / CONFIG).get("architectures") or ())
    return next((end for head in heads for end in _WITHOUT_HEAD if end and head.endswith(end)), "")


def check_student(model: ModelFolder) -> None:
    """Raise BadInput where padded batches would be read at a wrong place, or where a decoder's
    tokenizer does not tell the two texts of a pair apart: a student has no prompt that does."""
    check_classifier(model)
    network, _ = _class_of(model)
    if network is None or not reads_last_token(network):
        return
    if not Template.of(model.known_tokenizer(), pair=True).middle:
        raise BadInput(
            "the tokenizer puts nothing between query and document, and a student has no prompt",
            where=model.path,
            do="give its tokenizer.json a post_processor for pairs that puts a special token "
            "between them (TemplateProcessing, such as $A <|im_end|> $B <|im_end|>), or train an "
            "encoder; with prompts: rankmill export, and a trainer of language models",
        )


def check_template(model: ModelFolder) -> None:
    """Raise BadInput where a tokenizer puts nothing between the two texts of a pair: the model was
    trained on a prompt, which only its card knows."""
    if not Template.of(model.known_tokenizer(), pair=True).middle:
        raise BadInput(
            "the tokenizer puts nothing between query and document, so the model would be shown "
            "another text than it was trained on",
            where=model.path,
            do='say how it reads a pair, as its card does: prompt="…{query}…{document}…"',
        )


def _refuse(model: ModelFolder, why: str) -> None:
    raise BadInput(
        f"this classifier would give numbers that have nothing to do with the model: {why}",
        where=model.path,
        do=_OTHERWISE,
    )


def _class_of(model: ModelFolder) -> tuple[type[Any] | None, Any]:
    """Return the class that transformers loads as the classifier, None where it knows none."""
    from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING as CLASSES
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(
            model.path, local_files_only=True, trust_remote_code=False
        )
        known = CLASSES[type(config)]
    except (OSError, ValueError, KeyError):
        return None, None  # loading it says what is wrong
    return (known[0] if isinstance(known, tuple) else known), config


def _looks_up(network: type[Any] | None) -> set[str]:
    """Return which of the two ids the forward pass of a class, or of its bases, looks up."""
    names: set[str] = set()
    for base in network.__mro__ if network is not None else ():
        forward = base.__dict__.get("forward")
        code = getattr(inspect.unwrap(forward), "__code__", None) if forward else None
        names |= set(code.co_names) if code else set()
    return names & {"pad_token_id", "eos_token_id"}


def reads_last_token(network: type[Any]) -> bool:
    """Say whether a class of transformers scores a sequence by its last token, a place that it
    tells by pad_token_id; their heads: `last_token_head`."""
    return _looks_up(network) == {"pad_token_id"}


def last_token_head(network: Any) -> Any:
    """Return the layers that read the last token of such a classifier: one, nearly always `score`;
    ModernBERT's decoder has two."""
    import torch

    layers = [getattr(network, name, None) for name in ("score", "head", "classifier")]
    return torch.nn.Sequential(*filter(None, layers))


def check_padding(alone: np.ndarray, padded: np.ndarray, model: ModelFolder, compute: str) -> None:
    """Raise BadInput where a sequence scores otherwise in a padded row: float32 [labels] twice.

    What `check_classifier` cannot see in a class: attention that ignores its mask, a head that
    reads the end of the row. Kernels differ in the last bits; a wrong place differs in the first.
    """
    room = 1e-3 if compute == "float32" else 0.1
    if not (np.abs(alone - padded) <= room * (1.0 + np.abs(alone))).all():
        raise BadInput(
            f"padding changes what this classifier says: {alone.tolist()} for a pair alone, "
            f"{padded.tolist()} for the same pair in a padded row",
            where=model.path,
            do="score it elsewhere and import that: rankmill import FILE --as scores --kind logit",
        )
