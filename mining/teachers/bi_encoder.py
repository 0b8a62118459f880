"""Bi-encoder teachers: the inner product of two vectors, each text encoded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from ..actors import Execution
from ..errors import UsageError
from ..models.encoders import DTYPES, docs_of, encode
from ..models.folder import ModelFolder, resolve
from ..models.pooling import POOLINGS
from ..models.precision import CHOICES, settle_compute
from ..models.prompts import check_encoding, written_out
from ..models.specials import TOKENS, check_specials
from ..models.vectors import Vectors, dots, same_width
from ..names import nearest, neutral, unless_neutral
from ..options import Option
from ..parts.costs import ENCODED_PAIRS
from ..parts.parameters import (
    COMPUTE,
    DIM,
    DTYPE,
    MAX_LENGTH,
    MODEL,
    NORMALISE,
    POOLING,
    PRESET,
    PROMPT,
    QUERY_MODEL,
    QUERY_PROMPT,
    SPECIALS,
)
from ..store import Artifact, Workspace, open_artifact
from .base import CUTS_UNKNOWN, TEACHERS, Prepared, Scored, label_of, prepares

ENCODED = ("corpus", "listed")


@TEACHERS.register("bi_encoder", ENCODED_PAIRS)
@dataclass(frozen=True, slots=True)
class BiEncoder:
    """An encoder whose inner product is the score; a cosine where its vectors are normalised.

    Parameters left out are read from the model's files, see `rankmill.mining.models.encoders`.
    `query_model`: an encoder of its own for queries (None: the same). `encode=listed`: of the
    corpus only the documents of the pairs; vectors of the whole corpus serve other pools too.
    `specials=text` reads special tokens that stand in a text, such as `[SEP]`, as words.
    `query_prompt`, `prompt`, `preset`: as in the source `dense`.
    """

    model: Annotated[str, MODEL]
    max_length: Annotated[int | None, MAX_LENGTH] = None
    compute: Annotated[str, COMPUTE] = "float32"
    dtype: Annotated[str, DTYPE] = "float16"
    pooling: Annotated[str | None, POOLING] = None
    normalise: Annotated[bool | None, NORMALISE] = None
    dim: Annotated[int | None, DIM] = None
    query_model: Annotated[str | None, QUERY_MODEL] = None
    encode: Annotated[
        str, Option("What is encoded: the whole corpus, or the documents that are listed.")
    ] = neutral("corpus")
    specials: Annotated[str, SPECIALS] = neutral(TOKENS)
    query_prompt: Annotated[str | None, QUERY_PROMPT] = None
    prompt: Annotated[str | None, PROMPT] = None
    preset: Annotated[str | None, PRESET] = None

    def __post_init__(self) -> None:
        check_specials(self.specials)
        check_encoding(self)
        choices = {"compute": CHOICES, "dtype": DTYPES, "pooling": POOLINGS, "encode": ENCODED}
        for name, known in choices.items():
            value = getattr(self, name)
            if value is not None and value not in known:
                raise UsageError(f"{name}={value} is not known", do=nearest(str(value), known))


@prepares(BiEncoder)
def prepare_bi_encoder(
    workspace: Workspace,
    teacher: BiEncoder,
    pool: Artifact,
    executor: Execution,
) -> Prepared:
    """Encode corpus and queries, or find their vectors: a pair then costs one inner product."""
    teacher = replace(teacher, compute=settle_compute(teacher.compute, executor.progress))
    model = resolve(teacher.model)
    asked = resolve(teacher.query_model) if teacher.query_model else model
    teacher = written_out(teacher, model, asked)
    listed = pool if teacher.encode == "listed" else None
    vectors = {
        role: encode(
            workspace,
            asked if role == "queries" else model,
            pool.input(role),
            max_length=teacher.max_length,
            compute=teacher.compute,
            dtype=teacher.dtype,
            pooling=teacher.pooling,
            normalise=teacher.normalise,
            prompt=teacher.query_prompt if role == "queries" else teacher.prompt,
            dim=teacher.dim,
            listed=listed if role == "corpus" else None,
            specials=teacher.specials,
            executor=executor,
        )
        for role in ("queries", "corpus")
    }
    same_width(Vectors(vectors["queries"]), Vectors(vectors["corpus"]))
    # Vectors know how many texts were cut, not which: pairs are counted where there were none.
    encoded = [v.input("vectors") if "vectors" in v.inputs else v for v in vectors.values()]
    whole = not any(each.counts["truncated"] for each in encoded)
    named = replace(teacher, query_model=asked.tag) if teacher.query_model else teacher
    return Prepared(
        label=label_of(named, model),
        kind="similarity",
        parameters={
            "model": model.fingerprint,
            "queries": vectors["queries"].fingerprint,
            "corpus": vectors["corpus"].fingerprint,
            **({} if whole else CUTS_UNKNOWN),
        },
        make=BiEncoderScorer,
        options={role: str(artifact.path) for role, artifact in vectors.items()}
        | {"listed": None if listed is None else docs_of(listed)},
        pair_work=lambda query, doc: np.ones(len(query), dtype=np.int64),
        metadata=_metadata(teacher, model, vectors),
        inputs={"query_vectors": vectors["queries"], "doc_vectors": vectors["corpus"]},
        span=(-1.0, 1.0) if vectors["corpus"].parameters["normalise"] else None,
        cuts=whole,
    )


def _metadata(
    teacher: BiEncoder, model: ModelFolder, vectors: Mapping[str, Artifact]
) -> dict[str, str]:
    """Say how both sides were read; no document's prompt is not named, as in older scores."""
    queries, corpus = vectors["queries"].parameters, vectors["corpus"].parameters
    return {
        "model": model.tag,
        "revision": model.fingerprint,
        "max_length": str(corpus["max_length"]),
        "truncation": "end",
        "dtype": teacher.compute,
        "prompt": queries["prompt"],
        **unless_neutral(document_prompt=(corpus["prompt"], "")),
    }


class BiEncoderScorer:
    """Inner products over two vectors artifacts."""

    def __init__(self, queries: str, corpus: str, listed: np.ndarray | None = None):
        self.queries = Vectors(open_artifact(queries))
        self.docs = Vectors(open_artifact(corpus))
        self.listed = listed

    def score(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return the inner product of each pair."""
        if self.listed is not None:
            doc = np.searchsorted(self.listed, doc).astype(np.uint32)
        return Scored(dots(self.queries, self.docs, query, doc))

    def score_again(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return the same: vectors are finite, so is every product of theirs in float64."""
        return self.score(query, doc)

    def truncated(self, query: np.ndarray, doc: np.ndarray) -> int:
        """Return 0; asked only where no text of either side was cut when it was encoded."""
        return 0
