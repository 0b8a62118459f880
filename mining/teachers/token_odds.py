"""Log-odds of two words at the next place: language models as teachers.

The score is z = logit(yes) − logit(no), so σ(z) is the probability of `yes` among the two (what
monoT5 ranks by: Nogueira et al., Findings of EMNLP 2020). The decoders of
`models.passes.families` run in packed batches, other models a pair at a time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..actors import Execution
from ..errors import UsageError
from ..models.folder import resolve
from ..models.passes.families import PACKED, declared_passes
from ..models.precision import CHOICES, declared, on_gpu, settle_compute
from ..models.tokens import TokenStore
from ..store import Artifact, Workspace
from .base import Prepared, label_of
from .reading import ROOM, PairScorer, Reading


def check_options(teacher: Any) -> None:
    """Refuse a precision or length that no model can use; raises UsageError."""
    if teacher.compute not in CHOICES:
        raise UsageError(
            f"compute={teacher.compute} is not known", do=f"one of {', '.join(CHOICES)}"
        )
    if teacher.max_length is not None and teacher.max_length < 2 * ROOM:
        raise UsageError(f"max_length={teacher.max_length} is less than {2 * ROOM} tokens")


def prepare_token_odds(
    workspace: Workspace,
    teacher: Any,
    pool: Artifact,
    executor: Execution,
    *,
    head: str,
) -> Prepared:
    """Tokenise prompt and texts and say how the scorer is built.

    Raises BadInput for an unusable model or length, UsageError for words of several tokens.
    """
    model = resolve(teacher.model)
    teacher = replace(teacher, compute=settle_compute(teacher.compute, executor.progress))
    asked = teacher.asked(model)
    reading = Reading.of(asked, model)
    limits = hasattr(teacher, "query_length")
    stores = reading.tokens(workspace, pool, model, executor, limits_queries=limits)
    said = {
        "max_length": reading.max_length,
        "truncation": "document",
        "prompt": asked.text,
    }
    packed = head == "causal_lm" and model.text_config.get("model_type") in PACKED
    return Prepared(
        label=label_of(teacher, model),
        kind="logit",
        parameters={
            "model": model.fingerprint,
            "words": reading.words.tolist(),
            **declared(teacher.compute),
            **declared_passes(model.text_config),
            **reading.declared,
            **said,
        },
        make=PairScorer,
        options={
            "model": str(model.path),
            "fingerprint": model.fingerprint,
            "queries": str(stores["queries"].path),
            "corpus": str(stores["corpus"].path),
            "reading": reading,
            "compute": teacher.compute,
            "max_length": reading.max_length,
            "alone": "" if packed else head,
        },
        pair_work=reading.work(TokenStore(stores["queries"]), TokenStore(stores["corpus"])),
        metadata={
            "model": model.tag,
            "revision": model.fingerprint,
            "dtype": teacher.compute,
            **{key: str(value) for key, value in said.items()},
        },
        inputs={"query_tokens": stores["queries"], "doc_tokens": stores["corpus"]},
        gpus=int(on_gpu()),
    )
