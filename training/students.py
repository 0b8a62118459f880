"""The students: which checkpoint is trained, how much of it, and how it turns texts into scores.

A student is a value with one canonical text, such as `bi_encoder(model=PATH,layers=2)`; `network`
loads it for training and `Network.save` writes a folder that transformers and sentence-transformers
load. Score kinds: a bi-encoder gives a `similarity`, a cross-encoder a `logit` (z = ℓ₁ − ℓ₀ of two
labels) or, with `score=log-prob`, log σ(z) as the reference does (docs/quantities.md §2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from ..mining.errors import UsageError
from ..mining.inputs.given_paths import path_given
from ..mining.models.classifiers import check_student
from ..mining.models.encoders import settings_of
from ..mining.models.folder import ModelFolder, resolve
from ..mining.models.pooling import POOLINGS
from ..mining.models.prompts import (
    check_encoding,
    declared_prompt,
    declares_prompts,
    written_out,
)
from ..mining.models.sequences import Template
from ..mining.names import Family
from ..mining.options import Option
from ..mining.parts.costs import TRAINED, TRAINED_PAIRS
from ..mining.parts.parameters import (
    DROPOUT,
    FROZEN,
    LAYERS,
    MODEL,
    NORMALISE,
    POOLING,
    PRESET,
    PROMPT,
    QUERY_PROMPT,
    SCRATCH,
)
from .packing import Limits, Pairs, TokenColumns, Towers, room_for

if TYPE_CHECKING:
    from .networks import Network

STUDENTS = Family("student", plural="students")
NORMALISED_SCALE = 20.0  # what sentence-transformers multiplies cosines with
FREEZABLE = ("embeddings",)


def _check_common(student: Any) -> None:
    if student.layers is not None and student.layers < 1:
        raise UsageError(f"layers={student.layers}", do="keep at least one layer")
    if student.frozen is not None and student.frozen not in FREEZABLE:
        raise UsageError(f"frozen={student.frozen} is not one of {', '.join(FREEZABLE)}")


@STUDENTS.register("bi_encoder", TRAINED)
@dataclass(frozen=True, slots=True)
class BiEncoder:
    """Two texts, two vectors, one inner product: f = scale · ⟨query, doc⟩.

    `layers`: keep the first n (None: all). `pooling`, `normalise`: None reads them from the model's
    files. `scale`: None is 20 for normalised vectors, else 1. `scratch`: forget the weights.
    `dropout`: train with the checkpoint's own rates (off by default). `frozen=embeddings`: do not
    train the embedding tables. `separate`: queries get a tower of their own. `query_prompt` and
    `prompt` stand before queries and documents when it is trained and ever after (None: what the
    checkpoint's files declare, "": nothing); `preset` as in the source `dense`.
    """

    model: Annotated[str, MODEL]
    layers: Annotated[int | None, LAYERS] = None
    pooling: Annotated[str | None, POOLING] = None
    normalise: Annotated[bool | None, NORMALISE] = None
    scale: Annotated[
        float | None,
        Option("What inner products are multiplied with; default: 20 for unit vectors, else 1."),
    ] = None
    scratch: Annotated[bool, SCRATCH] = False
    dropout: Annotated[bool, DROPOUT] = False
    frozen: Annotated[str | None, FROZEN] = None
    separate: Annotated[bool, Option("Queries get a tower of their own.")] = False
    query_prompt: Annotated[str | None, QUERY_PROMPT] = None
    prompt: Annotated[str | None, PROMPT] = None
    preset: Annotated[str | None, PRESET] = None

    def __post_init__(self) -> None:
        _check_common(self)
        check_encoding(self)
        if self.pooling is not None and self.pooling not in POOLINGS:
            raise UsageError(f"pooling={self.pooling} is not one of {', '.join(POOLINGS)}")
        if self.scale is not None and not self.scale > 0:
            raise UsageError(f"scale={self.scale} is not positive")

    score_kind = "similarity"

    def settled(self, model: ModelFolder) -> BiEncoder:
        """Return the student with everything filled in that the model's files decide."""
        plain = written_out(self, model)
        said = settings_of(model, pooling=plain.pooling, normalise=plain.normalise)
        return replace(
            plain,
            pooling=said.pooling,
            normalise=said.normalise,
            scale=self.scale or (NORMALISED_SCALE if said.normalise else 1.0),
            query_prompt=_settled(plain.query_prompt, model, "queries"),
            prompt=_settled(plain.prompt, model, "corpus"),
        )

    def prompts(self, model: ModelFolder) -> dict[str, str]:
        """Return what is put before "queries" and "corpus"."""
        mine = self.settled(model)
        return {"queries": mine.query_prompt or "", "corpus": mine.prompt or ""}

    def packer(
        self,
        model: ModelFolder,
        queries: TokenColumns,
        docs: TokenColumns,
        limits: Limits,
        pieces: int = 2,
    ) -> Towers:
        """Return what packs batches for this student."""
        return Towers(model, queries, docs, limits, pieces)

    def max_length(self, model: ModelFolder, limits: Limits) -> int:
        """Return the longest row that training makes, special tokens included."""
        text = max(limits.query_length, limits.doc_length)
        return room_for(model, text, Template.of(model.known_tokenizer(), pair=False))

    def network(self, model: ModelFolder, seed: int = 0) -> Network:
        """Load the network, ready to train; `seed` decides weights that are drawn anew."""
        from .networks import Prompts, TowerNetwork, load

        mine = self.settled(model)
        towers = [
            load(
                model,
                labels=None,
                layers=mine.layers,
                scratch=mine.scratch,
                dropout=mine.dropout,
                frozen=mine.frozen,
                seed=seed,
            )
            for _ in range(2 if mine.separate else 1)
        ]
        prompts = Prompts.of(model, mine.prompts(model))
        shape = str(mine.pooling), bool(mine.normalise), float(mine.scale or 1)
        return TowerNetwork(towers, *shape, prompts)


@STUDENTS.register("cross_encoder", TRAINED_PAIRS)
@dataclass(frozen=True, slots=True)
class CrossEncoder:
    """Query and document read together, one score; a missing head is drawn by the training seed.

    `labels`: outputs of the head, 1 (a logit) or 2 (z = ℓ₁ − ℓ₀); None keeps the checkpoint's own
    number, or 1. `score`: logit or log-prob. The others as in `bi_encoder`.
    """

    model: Annotated[str, MODEL]
    layers: Annotated[int | None, LAYERS] = None
    labels: Annotated[
        int | None,
        Option("Outputs of the head, 1 or 2; default: the checkpoint's own number, or 1."),
    ] = None
    score: Annotated[str, Option("What the score is: logit or log-prob.")] = "logit"
    scratch: Annotated[bool, SCRATCH] = False
    dropout: Annotated[bool, DROPOUT] = False
    frozen: Annotated[str | None, FROZEN] = None

    def __post_init__(self) -> None:
        _check_common(self)
        if self.labels not in (None, 1, 2):
            raise UsageError(f"labels={self.labels} is not 1 or 2")
        if self.score not in ("logit", "log-prob"):
            raise UsageError(f"score={self.score} is not logit or log-prob")

    @property
    def score_kind(self) -> str:
        """The kind of the scores that the student gives while it is trained."""
        return self.score

    def prompts(self, model: ModelFolder) -> dict[str, str]:
        """Return nothing for either side: the tokenizer joins the texts."""
        return {"queries": "", "corpus": ""}

    def settled(self, model: ModelFolder) -> CrossEncoder:
        """Return the student with everything filled in that the model's files decide.

        Raises BadInput for a classifier that padded batches would read at the wrong place.
        """
        check_student(model)
        own = len(model.config.get("id2label") or {}) if model.is_classifier else 0
        return replace(self, labels=self.labels or (own if own in (1, 2) else 1))

    def packer(
        self,
        model: ModelFolder,
        queries: TokenColumns,
        docs: TokenColumns,
        limits: Limits,
        pieces: int = 2,
    ) -> Pairs:
        """Return what packs batches for this student."""
        return Pairs(model, queries, docs, limits, pieces)

    def max_length(self, model: ModelFolder, limits: Limits) -> int:
        """Return the longest row that training makes, special tokens included."""
        text = limits.query_length + limits.doc_length
        return room_for(model, text, Template.of(model.known_tokenizer(), pair=True))

    def network(self, model: ModelFolder, seed: int = 0) -> Network:
        """Load the network, ready to train; `seed` decides weights that are drawn anew."""
        from .networks import JointNetwork, load

        mine = self.settled(model)
        loaded = load(
            model,
            labels=mine.labels,
            layers=mine.layers,
            scratch=mine.scratch,
            dropout=mine.dropout,
            frozen=mine.frozen,
            seed=seed,
        )
        return JointNetwork(loaded, mine.score)


Student = BiEncoder | CrossEncoder


def _settled(said: str | None, model: ModelFolder, kind: str) -> str | None:
    """Return the prompt of a side; None where there is none and the files declare none either, so
    that such a student is identified as before there were prompts."""
    declared = declared_prompt(model, kind) if said is None else said
    if declared:
        return declared
    return "" if said is not None and declares_prompts(model) else None


def parse_student(text: str | Student) -> tuple[Student, ModelFolder]:
    """Return the student with its settings filled in, and its model folder.

    Raises UsageError for an unknown name or parameter, BadInput for an unusable model.
    """
    if isinstance(text, str) and "(" not in text and ("/" in text or path_given(text).is_dir()):
        raise UsageError(
            f"{text!r} is a model, and does not say how to train it",
            do=f'write "bi_encoder(model={text})", or cross_encoder',
        )
    student = STUDENTS.parse(text)
    model = resolve(student.model)
    return student.settled(model), model


def identity_of(student: Student, model: ModelFolder) -> dict[str, Any]:
    """Return what of a student and its model decides the checkpoint that is saved: JSON values."""
    said = {"student": label_of(student, model), "model": model.fingerprint}
    beside = model.beside
    return said if beside is None else {**said, "beside": beside}


def label_of(student: Student, model: ModelFolder) -> str:
    """Return the canonical text with the content tag in place of the model's path."""
    return STUDENTS.text(replace(student, model=model.tag))
