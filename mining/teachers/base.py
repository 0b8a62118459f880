"""What every teacher has in common: the family of names, score kinds, and how pairs are scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..actors import Execution
from ..errors import UsageError
from ..foreign import guarded, is_foreign
from ..inputs.given_paths import path_given
from ..models.folder import ModelFolder
from ..names import Call, Family, Identity
from ..parts.costs import LISTS
from ..store import Artifact, Workspace
from .contract import RANGES, Range

TEACHERS = Family(
    "teacher",
    __package__,
    {
        ".bi_encoder": "bi_encoder",
        ".causal_lm": "causal_lm",
        ".cross_encoder": "cross_encoder",
        ".endpoint.listwise": "listwise",
        ".endpoint.value": "endpoint",
        ".ensemble": "ensemble",
        ".files.imported": "imported stored",
        ".presets.value": "teacher",
        ".seq2seq": "seq2seq",
    },
    group="rankmill.teachers",
    plural="teachers",
    costs=LISTS,
)
MISSING = ("error", "drop_doc", "drop_query")
CUTS_UNKNOWN = {"cuts": "unknown"}
"""The parameter of scores whose cut pairs nobody counted; once they were stored as 0."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of pairs: float32 [n] as asked, and what they cost.

    `absent` (bool [n], None = none) marks pairs that the teacher has no score for; what stands in
    `scores` there is not read. `counts` of what was odd about its answers go into the manifest.
    """

    scores: np.ndarray
    usage: Mapping[str, float] = field(default_factory=dict)
    absent: np.ndarray | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


class Scorer(Protocol):
    """A loaded teacher. A score is a pure function of the pair: not of order, number or company."""

    def score(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Score pairs of ordinals (uint32 [n] each)."""
        ...

    def score_again(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Score once more in float32 pairs that came out as NaN or infinity."""
        ...


class Counting(Scorer, Protocol):
    """A teacher that knows which pairs are longer than it reads."""

    def truncated(self, query: np.ndarray, doc: np.ndarray) -> int:
        """Say how many of the pairs are longer than the teacher reads."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A teacher made ready for a collection: what identifies its scores, and how to load it.

    `label` is the canonical text with the model's content tag in place of its path. `parameters`
    decide the scores. `make(**options)` builds the scorer in whichever process runs the shards.
    `pair_work(query, doc)` is what each pair costs, in tokens for a model and 1 for a product.
    `inputs` are the artifacts that were made for it, so that their cost stays attached; `members`
    are scores among them whose direction is to be judged too. `span` is the declared range, by
    default that of the kind; `missing` what becomes of pairs without a score: "error", "drop_doc"
    or "drop_query". `cuts`: the scorer counts the pairs that it cuts (it is `Counting`); where it
    does not, the scores say nothing about it, which is not the same as 0. `given`: they come from
    elsewhere, such as a server, so that logits which look like probabilities are counted too, and
    what is odd is told in a warning. `timed=False`: a shard may take as long as it likes, one that
    waits for a server that counts requests, say.
    """

    label: str
    kind: str
    parameters: Mapping[str, Any]
    make: Callable[..., Scorer]
    options: Mapping[str, Any]
    pair_work: Callable[[np.ndarray, np.ndarray], np.ndarray]
    metadata: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Artifact] = field(default_factory=dict)
    members: tuple[Artifact, ...] = ()
    gpus: int = 0
    span: Range | None = None
    missing: str = "error"
    cuts: bool = True
    given: bool = False
    timed: bool = True

    @property
    def limits(self) -> Range:
        """The declared range of the scores."""
        return self.span or RANGES[self.kind]


Preparer = Callable[[Workspace, Any, Artifact, Execution], Prepared]
"""prepare(workspace, teacher, pool, executor) -> Prepared; the pool or run names the texts"""

PREPARERS: dict[type, Preparer] = {}


def prepares(teacher: type) -> Callable[[Preparer], Preparer]:
    """Decorate the function that makes teachers of a registered type ready."""

    def add(preparer: Preparer) -> Preparer:
        title = f"teacher {getattr(teacher, 'canonical_name', teacher.__name__)}"
        foreign = is_foreign(teacher)
        PREPARERS[teacher] = guarded(preparer, title, TEACHERS.group) if foreign else preparer
        return preparer

    return add


def check_missing(missing: str) -> None:
    """Refuse a policy for missing scores that is not known; raises UsageError."""
    if missing not in MISSING:
        raise UsageError(f"missing={missing} is not known", do=f"one of {', '.join(MISSING)}")


def check_written(teacher: Any) -> None:
    """Refuse, before any work, a teacher that is written as a call and cannot be one.

    What was stored, and paths of models, are let through.
    """
    written = isinstance(teacher, str) and not isinstance(teacher, Identity) and "(" in teacher
    if isinstance(teacher, Call):
        written = "version" not in dict(teacher.named)  # stored: the text of a plug-in's part
    if written and not path_given(str(teacher)).exists():
        TEACHERS.parse(teacher)


def label_of(teacher: Any, model: ModelFolder) -> str:
    """Return the canonical text with the content tag in place of the model's path."""
    from dataclasses import replace

    return TEACHERS.text(replace(teacher, model=model.tag))
