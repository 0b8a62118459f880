"""Teachers that score pairs of texts: all that a plug-in teacher must do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ..actors import Execution
from ..answers import wrong
from ..collection.rows import Corpus, Queries
from ..errors import PluginError, UsageError
from ..foreign import guarded
from ..names import nearest
from ..score_kinds import SCORE_KINDS
from ..store import Artifact, Workspace, open_artifact
from .base import CUTS_UNKNOWN, TEACHERS, Prepared, Scored

_WORK = 100  # of a pair, in tokens: a shard of some thousand pairs

ScorePairs = Callable[[Sequence[tuple[str, str]]], Any]
"""score([(query, document), …]) -> one number each; a pure function of each pair alone"""


class PairTeacher(Protocol):
    """A teacher that scores pairs of texts. `kind` says what its scores are, `logit` unless said.

    Instead of `score` it may have `scorer()`, which opens what scoring needs, once per process, and
    returns the function.
    """

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        """Return one number for every (query, document)."""
        ...


def prepare_pairs(
    workspace: Workspace, teacher: Any, pool: Artifact, executor: Execution
) -> Prepared:
    """Make a teacher with `score` or `scorer` ready; raises UsageError for one with neither."""
    if not (hasattr(teacher, "score") or hasattr(teacher, "scorer")):
        raise UsageError(
            f"{teacher} cannot score",
            do="give its class score(pairs), or a function decorated with prepares(…)",
        )
    kind = str(getattr(teacher, "kind", "logit"))
    if kind not in SCORE_KINDS:
        raise UsageError(f"{teacher}: kind={kind} is unknown", do=nearest(kind, SCORE_KINDS))
    return Prepared(
        label=str(teacher),
        kind=kind,
        parameters={**CUTS_UNKNOWN},
        make=PairScorer,
        options={"teacher": str(teacher), "pool": str(pool.path)},
        pair_work=lambda query, doc: np.full(len(doc), _WORK, np.int64),
        cuts=False,  # what such a teacher leaves unread only it knows
    )


class PairScorer:
    """Scores ordinals by their texts."""

    def __init__(self, teacher: str, pool: str):
        lists = open_artifact(pool)
        self.queries, self.corpus = Queries(lists.input("queries")), Corpus(lists.input("corpus"))
        self.title, value = f"teacher {teacher}", TEACHERS.stored(teacher)
        given = value.scorer() if hasattr(value, "scorer") else value.score
        if not callable(given):
            raise wrong(self.title, f"{given!r}, not a function", "let scorer return score(pairs)")
        self.pairs: ScorePairs = guarded(given, self.title, TEACHERS.group)

    def score(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Score pairs of ordinals; raises PluginError unless each has one number."""
        texts = list(zip(self.queries.texts(query), self.corpus.texts(doc), strict=True))
        given = self.pairs(texts)
        try:
            scores = np.asarray(given, np.float32)
        except (TypeError, ValueError) as error:
            raise self._refused(f"{type(given).__name__}, not numbers", len(doc)) from error
        if scores.shape != (len(doc),):
            raise self._refused(f"scores of shape {scores.shape}", len(doc))
        return Scored(scores)

    def score_again(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Score once more what came out as NaN or infinity."""
        return self.score(query, doc)

    def _refused(self, what: str, pairs: int) -> PluginError:
        return PluginError(f"{self.title} gave {what} for {pairs} pairs", do="give one number each")
