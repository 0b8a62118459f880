"""Scoring the pairs of a pool, and the shared score store: a pair is scored once per teacher.

Before a shard is scored, its pairs are looked up in every scores artifact of the same teacher over
the same texts: finished ones, and the parts of those that were stopped before their end. Because a
score is a pure function of the pair, a looked-up score has the bits that scoring again would give,
and the artifact is the same either way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..actors import INLINE, Execution
from ..collection.handles import Collection
from ..errors import BadInput, UsageError
from ..inputs.given_paths import path_given
from ..models.folder import resolve
from ..names import Call, parse, unless_neutral
from ..store import Artifact, Shard, Stage, Workspace, split_by_work
from ..store.manifest import fingerprint_of
from ..store.parts.begun import records_below
from ..store.tables import SCORES, list_values
from .base import CUTS_UNKNOWN, PREPARERS, TEACHERS, Prepared
from .contract import check_arrival, range_text, tell_arrival
from .direction import check_choice, check_direction
from .lookup import PairLists
from .pairs import prepare_pairs
from .presets import PRESETS, Preset
from .score_worker import KILLED, NOT_FINITE, Poisoned, ScoreWorker

_SHARD_WORK = 1 << 19  # tokens: about a minute of a small cross-encoder on two cores
_TEXTS = ("corpus", "queries")
_NO_SCORE = ("allow", *CUTS_UNKNOWN)  # parameters that change no score
_KINDS = {  # by the architecture that the config names
    "ForSequenceClassification": "cross_encoder",
    "ForCausalLM": "causal_lm",
    "ForConditionalGeneration": "seq2seq",
}


def teacher_of(text: Any) -> Any:
    """Return a teacher value from its canonical text, or from a model's path alone.

    A checkpoint with a classification head becomes a cross-encoder, a language model one that is
    asked for yes or no, an encoder-decoder one for true or false, any other a bi-encoder. A preset
    becomes the value that it stands for.
    """
    if isinstance(text, Preset):
        return text.plain()
    if TEACHERS.owns(text):
        return text
    if isinstance(text, str) and not text.strip():
        raise UsageError(
            f"{text!r} is no teacher",
            do="write for example cross_encoder(model=PATH); `rankmill list teachers` shows them",
        )
    parsed = parse(text) if isinstance(text, str) and not path_given(text).exists() else str(text)
    if isinstance(parsed, Call) or parsed in TEACHERS.names():
        value = TEACHERS.parse(text)
        return value.plain() if isinstance(value, Preset) else value
    if parsed in PRESETS and not path_given(str(parsed)).exists():
        raise UsageError(
            f"{parsed} is a preset, and no model is named",
            do=f"write teacher({parsed},model=PATH)",
        )
    model = resolve(str(parsed))
    for ending, kind in _KINDS.items():
        if any(head.endswith(ending) for head in model.heads):
            return TEACHERS.member(kind)(str(parsed))
    return TEACHERS.member("bi_encoder")(str(parsed))


def score_pool(
    workspace: Workspace,
    teacher: Any,
    pool: Artifact,
    *,
    collection: Collection | None = None,
    allow: int = 0,
    direction: str = "judged",
    arrival: bool = True,
    executor: Execution = INLINE,
) -> Artifact:
    """Score every (query, document) pair of a pool, or of a run, with a teacher.

    `teacher`: a value, its canonical text, or a model's path. Returns a "scores" artifact whose
    rows are those of the pool, documents ascending; the score kind is in `metadata["kind"]`.
    The ledger counts `pairs_asked`, `pairs_scored` and `pairs_reused`.

    A score that is not finite is computed once more in float32; when that is not finite either, its
    query is quarantined, as is a query that kills its worker three times; at most `allow` queries
    may be. Raises Incomplete when more are, and BadInput for an unusable model, a pool of another
    collection, scores outside the range that the teacher declares, scores that no teacher in good
    health gives (`check_arrival`) and, but for `direction="trusted"`, those that clearly run the
    wrong way (`check_direction`); it changes no byte. `arrival=False` takes all of those too, for a
    student that is to be diagnosed.
    """
    check_choice(direction)
    value = teacher_of(teacher)
    _check_request(pool, collection, allow)
    prepare = PREPARERS.get(type(value), prepare_pairs)
    prepared = prepare(workspace, value, pool, executor)
    scores = workspace.build(_stage(workspace, prepared, pool, allow), executor)
    if arrival:
        if prepared.given:
            tell_arrival(scores)
        check_arrival(scores)
        for made in (*prepared.members, scores):
            check_direction(made, pool, direction, executor)
    return scores


def _stage(workspace: Workspace, prepared: Prepared, pool: Artifact, allow: int) -> Stage:
    parameters, inputs = _request(prepared, pool, allow)
    return Stage(
        kind="scores",
        parameters=parameters,
        inputs=inputs,
        schema=SCORES,
        shards=lambda: split_by_work(_work_per_row(pool, prepared.pair_work), _SHARD_WORK),
        worker=ScoreWorker,
        options={
            "pool": str(pool.path),
            "make": prepared.make,
            "scorer": dict(prepared.options),
            "earlier": [str(a.path) for a in earlier_scores(workspace, prepared, pool)],
            "begun": begun_scores(workspace, prepared, pool, allow),
            "limits": prepared.limits,
            "missing": prepared.missing,
            "cuts": prepared.cuts,
            "given": prepared.kind if prepared.given else None,
        },
        metadata={
            "teacher": prepared.label,
            "kind": prepared.kind,
            "range": range_text(prepared.limits),
            **prepared.metadata,
        },
        gpus=prepared.gpus,
        quarantine=frozenset({NOT_FINITE, KILLED}),
        allow=allow,
        poisoned=Poisoned(pool, prepared.cuts),
        timed=prepared.timed,
        unit="tokens",
        items="pairs",
        count=_Pairs(pool),
    )


class _Pairs:
    """How many pairs the rows of a pool have."""

    def __init__(self, pool: Artifact):
        self.pool = pool
        self._before: np.ndarray | None = None  # of each row, how many pairs stand before it

    def __call__(self, shard: Shard) -> int:
        """Count the pairs of pool rows start…stop−1."""
        if self._before is None:
            lengths = [np.diff(list_values(table["doc"])[0]) for table in self.pool.tables()]
            self._before = np.concatenate([[0], np.cumsum(np.concatenate([[], *lengths]))])
        return int(self._before[shard.stop] - self._before[shard.start])


def _check_request(pool: Artifact, collection: Collection | None, allow: int) -> None:
    corpus = pool.input("corpus").fingerprint
    if collection is not None and collection.corpus.artifact.fingerprint != corpus:
        raise BadInput(
            "the pool was made from another collection",
            where=pool.path,
            do="name the collection that the pool was mined from",
        )
    if allow < 0:
        raise UsageError(f"allow={allow} is negative", do="say how many queries may be missing")


def _request(
    prepared: Prepared, pool: Artifact, allow: int
) -> tuple[dict[str, Any], dict[str, Artifact]]:
    """Return the parameters and the inputs of the scores of a pool."""
    inputs = {role: pool.input(role) for role in _TEXTS}
    parameters = {**_identity(prepared), **unless_neutral(allow=(allow, 0))}
    return parameters, {"pool": pool, **inputs, **prepared.inputs}


def _identity(prepared: Prepared) -> dict[str, Any]:
    return {"teacher": prepared.label, "kind": prepared.kind, **prepared.parameters}


def earlier_scores(workspace: Workspace, prepared: Prepared, pool: Artifact) -> list[Artifact]:
    """Return the finished scores of the same teacher over the same corpus and queries."""
    return _alike(workspace, _identity(prepared), pool.inputs)


def scores_alike(scores: Artifact) -> list[Artifact]:
    """Return the other finished scores of its workspace by the same teacher, of the same corpus and
    queries: those that its pairs were looked up in, and those that looked theirs up in it."""
    alike = _alike(scores.workspace, scores.parameters, scores.inputs)
    return [one for one in alike if one.fingerprint != scores.fingerprint]


def _alike(
    workspace: Workspace, identity: Mapping[str, Any], inputs: Mapping[str, Any]
) -> list[Artifact]:
    wanted = {k: v for k, v in identity.items() if k not in _NO_SCORE}
    texts = {role: inputs[role] for role in _TEXTS}
    return [
        artifact
        for artifact in workspace.artifacts("scores")
        if {k: v for k, v in artifact.parameters.items() if k not in _NO_SCORE} == wanted
        and {role: artifact.inputs.get(role) for role in texts} == texts
    ]


def begun_scores(
    workspace: Workspace, prepared: Prepared, pool: Artifact, allow: int
) -> list[tuple[str, str]]:
    """Return (folder, fingerprint) of scores of other pools that were stopped before their end.

    Only a manifest says what an artifact is, and these have none yet: so their fingerprints are
    those of the same request for every other pool, or run, that the workspace holds. With an
    object store, parts may be elsewhere: there a stopped run is only continued by itself.
    """
    if workspace.mirror is not None:
        return []
    texts, begun = {role: pool.inputs[role] for role in _TEXTS}, []
    for kind in ("pool", "run"):
        for other in workspace.artifacts(kind):
            same = {role: other.inputs.get(role) for role in texts} == texts
            if not same or other.fingerprint == pool.fingerprint:
                continue
            fingerprint = fingerprint_of("scores", *_request(prepared, other, allow))
            folder = workspace.folder("scores", fingerprint)
            if not workspace.has("scores", fingerprint) and records_below(folder):
                begun.append((str(folder), fingerprint))
    return begun


def _work_per_row(
    pool: Artifact, pair_work: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return what scoring each row of the pool costs: int64 [rows]."""
    lists, work = PairLists(pool), []
    for part in pool.parts:
        queries, offsets, doc = lists.rows(part.start, part.start + part.rows)
        each = pair_work(np.repeat(queries, np.diff(offsets)), doc).astype(np.int64)
        total = np.concatenate([[0], np.cumsum(each)])
        work.append(np.diff(total[offsets]))
    return np.concatenate(work) if work else np.zeros(0, np.int64)
