"""The weights of a model folder as a network of transformers, with the head that is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...errors import BadInput
from ..checkpoint_files import CONFIG
from ..precision import device

if TYPE_CHECKING:
    from ..folder import ModelFolder

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
