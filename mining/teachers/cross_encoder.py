"""Cross-encoder teachers: query and document read together, one logit or the margin of two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..actors import Execution
from ..errors import BadInput, UsageError
from ..models.classifiers import check_classifier
from ..models.encoders import unchanged
from ..models.folder import ModelFolder, resolve
from ..models.forward import PACKED, Forward, Work
from ..models.precision import CHOICES, declared, device, settle_compute
from ..models.sequences import Template, pair_sequences
from ..models.tokens import TokenStore, tokens_of
from ..names import neutral
from ..store import Artifact, Workspace, open_artifact
from .base import TEACHERS, Prepared, Scored, label_of, prepares
from .prompt import fields_of

_SPECIAL = 4  # at most, around a pair; only for sharing out the work


@TEACHERS.register("cross_encoder")
@dataclass(frozen=True, slots=True)
class CrossEncoder:
    """A sequence-classification checkpoint with one or two labels.

    One logit is stored as it is; of two, the margin z = l1 − l0 (docs/quantities.md §2).
    `max_length` None is what the model can read. `compute` bfloat16 or float16 runs the trunk in
    it, the head in float32; what float16 cannot hold is scored once more in float32.
    """

    model: str
    max_length: int | None = None
    compute: str = "float32"
    prompt: str = neutral("")  # "" is what the tokenizer puts round a pair

    def __post_init__(self) -> None:
        if self.prompt:
            fields_of(self.prompt)
        if self.compute not in CHOICES:
            raise UsageError(
                f"compute={self.compute} is not known", do=f"one of {', '.join(CHOICES)}"
            )
        if self.max_length is not None and self.max_length < 8:
            raise UsageError(f"max_length={self.max_length} is less than 8 tokens")


@prepares(CrossEncoder)
def prepare_cross_encoder(
    workspace: Workspace,
    teacher: CrossEncoder,
    pool: Artifact,
    executor: Execution,
) -> Prepared:
    """Tokenise corpus and queries for the model and say how its scorer is built.

    Raises BadInput when the model is unusable, has other than one or two labels, cannot be run in
    padded batches, or reads less than `max_length`.
    """
    model = resolve(teacher.model)
    teacher = replace(teacher, compute=settle_compute(teacher.compute, executor.progress))
    max_length = _checked_length(teacher, model)
    stores = {
        role: tokens_of(
            workspace, pool.input(role), model, max_length=max_length, executor=executor
        )
        for role in ("queries", "corpus")
    }
    lengths = {role: TokenStore(tokens) for role, tokens in stores.items()}

    def pair_work(query: np.ndarray, doc: np.ndarray) -> np.ndarray:
        total = lengths["queries"].lengths[query] + lengths["corpus"].lengths[doc] + _SPECIAL
        return np.minimum(total, max_length)

    return Prepared(
        label=label_of(teacher, model),
        kind="logit",
        parameters={
            "model": model.fingerprint,
            "max_length": max_length,
            **declared(teacher.compute),
            "truncation": "longest_first",
        },
        make=CrossEncoderScorer,
        options={
            "model": str(model.path),
            "fingerprint": model.fingerprint,
            "queries": str(stores["queries"].path),
            "corpus": str(stores["corpus"].path),
            "max_length": max_length,
            "compute": teacher.compute,
        },
        pair_work=pair_work,
        metadata={
            "model": model.tag,
            "revision": model.fingerprint,
            "max_length": str(max_length),
            "truncation": "longest_first",
            "dtype": teacher.compute,
            "prompt": "",
        },
        inputs={"query_tokens": stores["queries"], "doc_tokens": stores["corpus"]},
        gpus=int(device().type == "cuda"),
    )


def _checked_length(teacher: CrossEncoder, model: ModelFolder) -> int:
    """Return how many tokens of a pair are read; refuses a model that is no relevance teacher."""
    labels = _labels(model.config)
    if labels not in (1, 2):
        raise BadInput(
            f"the classifier has {labels} labels; a relevance teacher has one or two",
            where=model.path,
            do="use a cross-encoder for ranking",
        )
    if model.config.get("model_type") not in PACKED:
        check_classifier(model)
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


class CrossEncoderScorer:
    """A loaded cross-encoder over two token stores."""

    def __init__(
        self,
        model: str,
        fingerprint: str,
        queries: str,
        corpus: str,
        max_length: int,
        compute: str,
    ):
        self.model = unchanged(model, fingerprint)
        self.queries = TokenStore(open_artifact(queries))
        self.docs = TokenStore(open_artifact(corpus))
        self.template = Template.of(self.model.tokenizer(), pair=True)
        self.max_length, self.compute = max_length, compute
        self._forwards: dict[str, Forward] = {}

    def score(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return one logit, or the margin of two, per pair."""
        return self._run(query, doc, self.compute)

    def score_again(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return the same in float32, for pairs that came out as NaN or infinity."""
        return self._run(query, doc, "float32")

    def truncated(self, query: np.ndarray, doc: np.ndarray) -> int:
        """Count the pairs that do not fit `max_length`."""
        room = self.max_length - len(self.template.special)
        total = self.queries.lengths[query] + self.docs.lengths[doc]
        return int((total > room).sum())

    def _run(self, query: np.ndarray, doc: np.ndarray, compute: str) -> Scored:
        if not len(query):
            return Scored(np.empty(0, dtype=np.float32))
        if compute not in self._forwards:
            self._forwards[compute] = Forward(
                self.model, head="logits", compute=compute, max_length=self.max_length
            )
        q, q_row = np.unique(query, return_inverse=True)
        d, d_row = np.unique(doc, return_inverse=True)
        pairs = pair_sequences(
            self.queries.take(q), self.docs.take(d), q_row, d_row, self.template, self.max_length
        )
        work = Work()
        logits = self._forwards[compute].run(pairs, work)
        margin = logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 0]
        return Scored(margin, work.usage())
