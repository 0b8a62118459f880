"""What every statistic has in common: its family of names, the rows it measures, and how kernels
run on them.

A statistic is a value: `pair_entropy(T=2)` names a column, a recipe entry and a definition. It asks
`Rows` for what it needs; kernels that serve several statistics run once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ...native import scales
from ..errors import BadInput, BadPair, UsageError
from ..names import Family, nearest
from ..parts.costs import GROUPS
from ..processors import in_threads
from ..score_kinds import RANK, SCORE_KINDS

STATISTICS = Family(
    "statistic",
    __package__,
    {
        ".agreement": "margin positive_rank score_variance suspects teacher_agrees ties",
        ".density_ratio": "coverage density_ratio importance_ess mixing_guard",
        ".disagreement": "inverted_pairs jensen_shannon kendall_tau",
        ".entropy": "effective_size list_entropy loss_floor misorder pair_entropy",
        ".hygiene": "hygiene",
        ".locality": "diameter radius",
        ".origins": "found_by negative_rank overlap removed source_entropy",
        ".shape": "intrinsic_dim log_density power_law",
        ".student": "student_collapsed student_kl student_tau student_variance",
    },
    group="rankmill.statistics",
    plural="statistics",
    costs=GROUPS,
)

REASONS = {
    scales.SATURATED: "saturated",  # P = 0 or 1: no finite value on the scale asked for
    scales.TOO_SHORT: "too_short",
    scales.NO_SUCH_PAIR: "no_such_pair",
    scales.NO_POSITIVE: "no_positive_first",
    scales.ZERO_VECTOR: "zero_vector",
    7: "no_probability",  # a similarity has no P = σ(z)
    8: "duplicate_document",
    9: "unknown_inclusion",  # the strategy has no closed form
    10: "empty_target",
    11: "sample_outside_target",  # every importance weight is 0
    12: "not_found",  # no source concerned found any of the documents
    13: "zero_distances",  # all documents are copies of each other
    14: "constant",  # a flat curve has no share of variance to explain
    15: "no_mixture",  # the strategy draws nothing from a target
    16: "only_ranks",  # the teacher gives an order, and an order has no distances
    17: "no_positive",  # no document of the candidate list is judged relevant
    20: "drawn_list",  # what can be chosen depends on a drawn list, in no closed form
}
NO_PROBABILITY, DUPLICATE_DOCUMENT, UNKNOWN_INCLUSION = 7, 8, 9
EMPTY_TARGET, SAMPLE_OUTSIDE_TARGET = 10, 11
NOT_FOUND, ZERO_DISTANCES, CONSTANT, NO_MIXTURE, ONLY_RANKS, NONE_RELEVANT = range(12, 18)
DRAWN_LIST = 20

ORDER = "order"  # scores as stored, of whatever kind, for what looks at their order alone
_CODES = {
    ("logit", "logprob"): scales.LOGIT_TO_LOGPROB,
    ("logit", "logit"): scales.AS_STORED,
    ("log-prob", "logprob"): scales.AS_STORED,
    ("log-prob", "logit"): scales.LOGPROB_TO_LOGIT,
    ("probability", "logprob"): scales.PROB_TO_LOGPROB,
    ("probability", "logit"): scales.PROB_TO_LOGIT,
}

Column = tuple[np.ndarray, np.ndarray]
"""(values float64 [rows], status uint8 [rows]); a value counts where its status is DEFINED."""


class Statistic(Protocol):
    """One column: what it is called, in which unit, and its values over rows."""

    @property
    def unit(self) -> str:
        """Return the unit for the column's metadata: bits, nats, probability, count, …."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """Return what besides scores is needed: labels, vectors, query_vectors."""
        ...

    def measure(self, rows: Rows) -> Column:
        """Return values and status of every row."""
        ...


@dataclass(slots=True)
class Rows:
    """Groups or candidate lists to be measured, as flat read-only views.

    scores float32 [items], offsets int64 [n+1], positive uint8 [items], doc uint32 [items], query
    uint32 [n]; `kind` of the scores; `vectors` and `query_vectors` gather rows of an encoder's
    vectors, where declared; `selection` knows how the groups were selected, `texts` what is written
    in their documents, `student` what a student scores them, `others` by label what
    other teachers do.

    A group's positive is its first document. The lists of a pool (`pooled`) are in order of
    documents: theirs is the positive that the teacher scores highest, of equal scores the first.
    """

    query: np.ndarray
    offsets: np.ndarray
    doc: np.ndarray
    scores: np.ndarray
    positive: np.ndarray
    kind: str
    vectors: Any = None
    query_vectors: Any = None
    selection: Any = None
    texts: Any = None
    pooled: bool = False
    student: Any = None
    others: Any = None
    _known: dict[Hashable, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in SCORE_KINDS:
            known = nearest(self.kind, SCORE_KINDS)
            raise BadInput(f"score kind {self.kind!r} is unknown", do=known)
        for name in ("offsets", "scores", "positive"):
            view = getattr(self, name).view()
            # Read-only, so that one compiled form serves mapped files and arrays in memory.
            view.flags.writeable = False
            setattr(self, name, view)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def without_probability(self) -> int:
        """Return the reason why scores of this kind have no probability."""
        return ONLY_RANKS if self.kind == RANK else NO_PROBABILITY

    @property
    def without_positive(self) -> int:
        """Return the reason why a row has no positive of its own."""
        return NONE_RELEVANT if self.pooled else scales.NO_POSITIVE

    def own_positive(self) -> np.ndarray:
        """Return where every row's positive stands in the flat arrays, int64 [n]; −1 for none."""
        return self.once("own positive", self._own_positive)

    def _own_positive(self) -> np.ndarray:
        place = np.flatnonzero(self.positive)
        owner = np.searchsorted(self.offsets, place, side="right") - 1
        if self.pooled:  # ascending in (owner, place) before; the highest score of an owner first
            order = np.lexsort((-self.scores[place], owner))
            place, owner = place[order], owner[order]
            kept = np.append(True, owner[1:] != owner[:-1])[: len(owner)]
        else:
            kept = place == self.offsets[owner]
        positive = np.full(len(self), -1, np.int64)
        positive[owner[kept]] = place[kept]
        positive.flags.writeable = False
        return positive

    def once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return the result of `compute`, run at most once per key."""
        if key not in self._known:
            self._known[key] = compute()
        return self._known[key]

    def run(self, kernel: Callable[..., None], width: int, scale: str, *arguments: Any) -> Any:
        """Run a kernel (values, offsets, *arguments, start, stop, out, status) once over all rows.

        Returns (out float64 [n, width], status uint8 [n, width]). Raises BadInput for a NaN or
        infinite score, naming the row.
        """
        key = (kernel.__name__, scale, *(a for a in arguments if not isinstance(a, np.ndarray)))
        return self.once(key, lambda: self._run(kernel, width, scale, arguments))

    def _run(self, kernel: Callable[..., None], width: int, scale: str, arguments: Any) -> Any:
        out = np.full((len(self), width), np.nan)
        status = np.full((len(self), width), self.without_probability, dtype=np.uint8)
        code = scale_code(self.kind, scale)
        if code is None:
            return out, status
        before = [code if a is SCALE else a for a in arguments]

        def work(start: int, stop: int) -> None:
            kernel(self.scores, self.offsets, *before, start, stop, out, status)

        in_threads(work, self.offsets)
        self._refuse_not_finite(status[:, 0])
        return out, status

    def check_finite(self) -> None:
        """Raise BadInput for a NaN or infinite score, as kernels of scores have it done."""
        wrong = np.flatnonzero(~np.isfinite(self.scores))
        status = np.full(len(self), scales.DEFINED, np.uint8)
        status[np.searchsorted(self.offsets, wrong, side="right") - 1] = scales.NOT_FINITE
        self._refuse_not_finite(status)

    def _refuse_not_finite(self, status: np.ndarray) -> None:
        for row in np.flatnonzero(status == scales.NOT_FINITE)[:1]:
            items = slice(self.offsets[row], self.offsets[row + 1])
            at = int(np.flatnonzero(~np.isfinite(self.scores[items]))[0])
            raise BadPair(
                f"the teacher score of {{doc}} is {self.scores[items][at]}",
                query=self.query[row],
                doc=self.doc[items][at],
                do="score this pair again; a missing score must not be written as a number",
            )


SCALE = object()
"""Stands in a kernel's arguments where the code of the score scale goes."""


def scale_code(kind: str, scale: str) -> int | None:
    """Return the kernels' code for reading scores of `kind` on `scale`; None where no such scale
    exists.
    """
    if scale == ORDER or (scale == "raw" and kind != RANK):
        return scales.AS_STORED
    return _CODES.get((kind, scale))


def checked_temperature(value: float) -> None:
    """Refuse a temperature that is not a positive finite number."""
    if not 0.0 < value < float("inf") or 1.0 / value == float("inf"):
        raise UsageError(f"T={value} is not a temperature", do="give a number above 0")


def column(result: tuple[np.ndarray, np.ndarray], index: int) -> Column:
    """Return one column of a kernel's result."""
    return result[0][:, index], result[1][:, index]
