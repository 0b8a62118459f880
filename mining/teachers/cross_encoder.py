"""Cross-encoder teachers: query and document read together, one logit or the margin of two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from ..actors import Execution
from ..errors import BadInput, UsageError
from ..models.classifiers import check_classifier, check_template, check_trained
from ..models.folder import ModelFolder, resolve
from ..models.passes.families import DECODERS, PACKED, declared_passes
from ..models.passes.modular import head_of
from ..models.precision import CHOICES, declared, on_gpu, settle_compute
from ..models.specials import TOKENS, check_specials
from ..models.tokens import TokenStore, tokens_of
from ..names import neutral
from ..options import Option
from ..parts.costs import FORWARD
from ..parts.parameters import COMPUTE, MAX_LENGTH, MODEL, SPECIALS
from ..store import Artifact, Workspace
from .base import TEACHERS, Prepared, label_of, prepares
from .prompt import fields_of
from .reading import Asked, PairScorer, Reading

_SPECIAL = 4  # at most, around a pair; only for sharing out the work


@TEACHERS.register("cross_encoder", FORWARD)
@dataclass(frozen=True, slots=True)
class CrossEncoder:
    """A sequence-classification checkpoint with one or two labels.

    One logit is stored as it is; of two, the margin z = l1 − l0 (docs/quantities.md §2).
    `prompt`: the text that the model is shown, with {query} and {document}, where its tokenizer
    does not join two texts (decoders). `max_length` None is what the model can read, with a prompt
    at most 512. `compute` bfloat16 or float16 runs the trunk in
    it, the head in float32; what float16 cannot hold is scored once more in float32.
    `specials=text` reads special tokens that stand in a text, such as `[SEP]`, as words; with a
    prompt they always are.
    """

    model: Annotated[str, MODEL]
    max_length: Annotated[int | None, MAX_LENGTH] = None
    compute: Annotated[str, COMPUTE] = "float32"
    prompt: Annotated[
        str, Option("What the model reads, with {query} and {document}; for decoders.")
    ] = neutral("")
    specials: Annotated[str, SPECIALS] = neutral(TOKENS)

    def __post_init__(self) -> None:
        check_specials(self.specials)
        if self.prompt:
            fields_of(self.prompt)
        if self.compute not in CHOICES:
            raise UsageError(
                f"compute={self.compute} is not known", do=f"one of {', '.join(CHOICES)}"
            )
        if self.max_length is not None and self.max_length < 8:
            raise UsageError(f"max_length={self.max_length} is less than 8 tokens")

    def asked(self) -> Asked:
        """Return what the model is shown of a pair, where a prompt says it."""
        return Asked(self.prompt, max_length=self.max_length)


@prepares(CrossEncoder)
def prepare_cross_encoder(
    workspace: Workspace,
    teacher: CrossEncoder,
    pool: Artifact,
    executor: Execution,
) -> Prepared:
    """Tokenise corpus and queries for the model and say how its scorer is built.

    Raises BadInput when the model is unusable, has other than one or two labels, cannot be run in
    batches, reads less than `max_length`, or where nothing says how it reads a pair.
    """
    model = resolve(teacher.model)
    teacher = replace(teacher, compute=settle_compute(teacher.compute, executor.progress))
    check_head(model)
    reading = reading_of(teacher, model)
    max_length = reading.max_length if reading else checked_length(teacher, model)
    said: dict[str, Any] = {"max_length": max_length, "truncation": "longest_first"}
    if reading:
        said |= {"truncation": "document", "prompt": teacher.prompt}
        stores = reading.tokens(workspace, pool, model, executor)
    else:
        way = {"max_length": max_length, "specials": teacher.specials}
        stores = _tokens(workspace, pool, model, way, executor)
    queries, docs = TokenStore(stores["queries"]), TokenStore(stores["corpus"])

    def pair_work(query: np.ndarray, doc: np.ndarray) -> np.ndarray:
        return np.minimum(queries.lengths[query] + docs.lengths[doc] + _SPECIAL, max_length)

    return Prepared(
        label=label_of(teacher, model),
        kind="logit",
        parameters={
            "model": model.fingerprint,
            **declared(teacher.compute),
            **declared_passes(model.text_config),
            **(reading.declared if reading else {}),
            **said,
        },
        make=PairScorer,
        options={
            "model": str(model.path),
            "fingerprint": model.fingerprint,
            "queries": str(stores["queries"].path),
            "corpus": str(stores["corpus"].path),
            "max_length": max_length,
            "compute": teacher.compute,
            "reading": reading,
        },
        pair_work=reading.work(queries, docs) if reading else pair_work,
        metadata={
            "model": model.tag,
            "revision": model.fingerprint,
            "dtype": teacher.compute,
            "prompt": "",
            **{key: str(value) for key, value in said.items()},
        },
        inputs={"query_tokens": stores["queries"], "doc_tokens": stores["corpus"]},
        gpus=int(on_gpu()),
    )


def _tokens(
    workspace: Workspace, pool: Artifact, model: ModelFolder, way: dict[str, Any], here: Execution
) -> dict[str, Artifact]:
    return {
        role: tokens_of(workspace, pool.input(role), model, **way, executor=here)
        for role in ("queries", "corpus")
    }


def reading_of(teacher: CrossEncoder, model: ModelFolder) -> Reading | None:
    """Return how the model reads a pair where a prompt says it; None as its tokenizer joins two."""
    if not teacher.prompt:
        check_template(model)
        return None
    encoder = model.text_config.get("model_type") not in DECODERS
    return Reading.of(replace(teacher.asked(), end=encoder), model)


def check_head(model: ModelFolder) -> None:
    """Refuse a model that is no relevance teacher, or cannot be run in batches."""
    modular = head_of(model)
    labels = modular.labels if modular else _labels(model.config)
    if not modular:
        check_trained(model.path)
    if labels not in (1, 2):
        raise BadInput(
            f"the classifier has {labels} labels; a relevance teacher has one or two",
            where=model.path,
            do="use a cross-encoder for ranking",
        )
    if model.text_config.get("model_type") not in PACKED and not modular:
        check_classifier(model)


def checked_length(teacher: CrossEncoder, model: ModelFolder) -> int:
    """Return how many tokens of a pair are read."""
    max_length = teacher.max_length or model.max_positions
    if max_length > model.max_positions:
        raise BadInput(
            f"max_length={max_length}, the model reads {model.max_positions} tokens",
            where=model.path,
            do=f"give max_length={model.max_positions} or less",
        )
    return max_length


def _labels(config: Any) -> int:
    """Return the number of labels that a config declares; transformers' default is two."""
    names = config.get("id2label")
    return int(config.get("num_labels") or (len(names) if names else 2))
