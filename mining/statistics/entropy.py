"""How sure the teacher is: entropy over the pairs of a group and over its list (docs/quantities.md
§3; §6, 1–5 and 21).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ...native import entropy as native
from ...native import softmax
from ..errors import UsageError
from ..names import Call, nearest, neutral, parse
from ..options import Option
from ..parts.costs import PAIRS
from ..parts.parameters import SCORE_SCALE, TEMPERATURE
from ..score_kinds import SCALES, check_scale, refuse_probabilities
from .base import SCALE, STATISTICS, Column, Rows, checked_temperature, column

_PAIRS = ("pos_pos", "pos_neg", "neg_neg")
_BOUNDS = ("pinsker", "sharp", "upper")
WITH_FLOOR = ("ranknet_soft", "listnet", "bce")
"""The losses whose least value depends on the teacher; a test holds them against `training`."""


@dataclass(frozen=True, slots=True)
class _OnScores:
    """The parameters of a statistic of teacher scores: temperature and score scale.

    `score` is `logprob` (s = log σ(z), the default, not printed), `logit` (z) or `raw` (as stored,
    the only one that a similarity has).
    """

    T: Annotated[float, TEMPERATURE] = 1.0
    score: Annotated[str, SCORE_SCALE] = neutral("logprob")

    def __post_init__(self) -> None:
        checked_temperature(self.T)
        check_scale(self.score)

    @property
    def needs(self) -> frozenset[str]:
        return frozenset()

    def pair_column(self, rows: Rows, name: str) -> Column:
        """Return one column of the pair kernel."""
        arguments = (rows.positive, SCALE, 1.0 / self.T)
        columns = native.PAIR_COLUMNS
        result = rows.run(native.pair_columns, len(columns), self.score, *arguments)
        return column(result, columns.index(name))

    def list_column(self, rows: Rows, name: str) -> Column:
        """Return one column of the list kernel."""
        columns, scale = softmax.LIST_COLUMNS, self.score
        result = rows.run(softmax.list_columns, len(columns), scale, SCALE, 1.0 / self.T)
        return column(result, columns.index(name))


@STATISTICS.register("pair_entropy", PAIRS)
@dataclass(frozen=True, slots=True)
class PairEntropy(_OnScores):
    """D3: mean over pairs i < j of h₂(σ((s_i − s_j)/T)), bits in [0, 1].

    `pairs` restricts it to pos_pos, pos_neg or neg_neg pairs; weighted by their numbers of pairs
    the parts give the whole. Null: fewer than two documents, no such pair, a score saturated on the
    scale.
    """

    pairs: Annotated[
        str | None, Option("Only pos_pos, pos_neg or neg_neg pairs; default: all.")
    ] = None

    def __post_init__(self) -> None:
        _OnScores.__post_init__(self)
        if self.pairs not in (None, *_PAIRS):
            raise UsageError(f"pairs={self.pairs} is unknown", do=nearest(str(self.pairs), _PAIRS))

    @property
    def unit(self) -> str:
        """Bits per pair."""
        return "bits"

    @property
    def needs(self) -> frozenset[str]:
        """Only a split by role needs labels."""
        return frozenset({"labels"} if self.pairs else ())

    def measure(self, rows: Rows) -> Column:
        """Return D3 of every row."""
        return self.pair_column(rows, self.pairs or "all")


@STATISTICS.register("misorder", PAIRS)
@dataclass(frozen=True, slots=True)
class Misorder(_OnScores):
    """D4: mean over pairs of min(p, 1 − p), probability in [0, ½].

    `bound` gives what the entropy alone says instead: `pinsker` and `sharp` from below, `upper`
    from above.
    """

    bound: Annotated[
        str | None, Option("What the entropy says instead: pinsker or sharp from below, upper.")
    ] = None

    def __post_init__(self) -> None:
        _OnScores.__post_init__(self)
        if self.bound not in (None, *_BOUNDS):
            raise UsageError(f"bound={self.bound} is unknown", do=nearest(str(self.bound), _BOUNDS))

    @property
    def unit(self) -> str:
        """Probability."""
        return "probability"

    def measure(self, rows: Rows) -> Column:
        """Return the misordering probability, or a bound of it, of every row."""
        if self.bound is None:
            return self.pair_column(rows, "misorder")
        bits, status = self.pair_column(rows, "all")
        return misorder_bound(bits, self.bound), status


@STATISTICS.register("list_entropy")
@dataclass(frozen=True, slots=True)
class ListEntropy(_OnScores):
    """−Σ q ln q with q = softmax(s/T), nats in [0, ln k]; `normalised` divides by ln k."""

    normalised: Annotated[bool | None, Option("Divide by ln k, so that 1 is the most.")] = None

    def __post_init__(self) -> None:
        _OnScores.__post_init__(self)
        object.__setattr__(self, "normalised", True if self.normalised else None)

    @property
    def unit(self) -> str:
        """Nats, or a share of ln k."""
        return "share of ln k" if self.normalised else "nats"

    def measure(self, rows: Rows) -> Column:
        """Return the list entropy of every row."""
        return self.list_column(rows, "normalised" if self.normalised else "nats")


@STATISTICS.register("effective_size")
@dataclass(frozen=True, slots=True)
class EffectiveSize(_OnScores):
    """1/Σq² with q = softmax(s/T): how many documents the teacher's softmax really spreads over."""

    @property
    def unit(self) -> str:
        """Documents, in [1, k]."""
        return "documents"

    def measure(self, rows: Rows) -> Column:
        """Return the effective number of documents of every row."""
        return self.list_column(rows, "effective_size")


@STATISTICS.register("loss_floor")
@dataclass(frozen=True, slots=True)
class LossFloor:
    """What a loss cannot go below on this group: of `ranknet_soft` the pair entropy, of `listnet`
    the list entropy, of `bce` the mean entropy of the documents, in nats. Others have floor 0.

    `score` is `raw` by default, the stored scores, for those are what losses read: the mean over
    groups is the floor that the trainer logs. `logprob` and `logit` tell what it would be after a
    retarget to that scale. Probabilities as stored are refused, as the losses refuse them; `bce`
    reads the same probability off every scale that has one.
    """

    loss: Annotated[Call | str, Option("Of which loss: ranknet_soft, listnet, bce, …")] = (
        "ranknet_soft"
    )
    score: Annotated[str, SCORE_SCALE] = "raw"

    def __post_init__(self) -> None:
        object.__setattr__(self, "loss", _with_floor(self.loss))
        if self.score not in SCALES:
            known = nearest(self.score, SCALES)
            raise UsageError(f"score={self.score} is not a score scale", do=known)

    @property
    def unit(self) -> str:
        """Nats, per pair, per list or per document."""
        return "nats"

    @property
    def needs(self) -> frozenset[str]:
        """Scores only."""
        return frozenset()

    def check(self, kind: str) -> None:
        """Refuse scores of a kind on which no loss has this floor."""
        assert isinstance(self.loss, Call)
        if self.score == "raw" and self.loss.name != "bce":
            refuse_probabilities(kind, str(self))

    def measure(self, rows: Rows) -> Column:
        """Return the floor of every row."""
        self.check(rows.kind)
        assert isinstance(self.loss, Call)
        T = float(dict(self.loss.named)["T"])
        if self.loss.name == "bce":
            return column(rows.run(native.item_entropy, 1, "logit", SCALE, 1.0 / T), 0)
        on = _OnScores(T, self.score)
        if self.loss.name == "listnet":
            return on.list_column(rows, "nats")
        bits, status = on.pair_column(rows, "all")
        return bits * math.log(2.0), status


def _with_floor(loss: Call | str) -> Call:
    """Return a loss with a floor in canonical form, `ranknet_soft(T=1)`; refuses the others."""
    call = loss if isinstance(loss, Call) else parse(loss)
    call = call if isinstance(call, Call) else Call(str(call))
    if call.name not in WITH_FLOOR:
        raise UsageError(
            f"loss={call.name} is not a loss whose floor depends on the teacher",
            do=f"{' or '.join(WITH_FLOOR)}; the floor of every other loss is 0 on every group",
        )
    given = dict(zip(("T",), call.positional, strict=False)) | dict(call.named)
    T = given.pop("T", 1.0)
    if given or len(call.positional) > 1 or isinstance(T, bool) or not isinstance(T, int | float):
        raise UsageError(
            f"loss={call} is more than a loss with its temperature",
            do=f"write loss_floor(loss={call.name}(T=1),score=raw), the scale outside",
        )
    checked_temperature(T)
    return Call(call.name, named=(("T", float(T)),))


def misorder_bound(bits: np.ndarray, bound: str) -> np.ndarray:
    """Bound the misordering probability by the pair entropy (D4); NaN stays NaN.

    bits float64 [n] in [0, 1]. `pinsker`: ½ − √((ln 2 − H_nat)/2), clipped at 0; `sharp`: the p in
    [0, ½] with h₂(p) = H; `upper`: H/2.
    """
    bits = np.asarray(bits, dtype=np.float64)
    if bound == "upper":
        return bits / 2.0
    if bound == "pinsker":
        missing = np.maximum(0.0, math.log(2.0) * (1.0 - bits))
        return np.maximum(0.0, 0.5 - np.sqrt(missing / 2.0))
    low, high = np.zeros_like(bits), np.full_like(bits, 0.5)
    for _ in range(60):
        middle = (low + high) / 2.0
        below = _binary_entropy(middle) < bits
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(np.isnan(bits), np.nan, (low + high) / 2.0)


def _binary_entropy(p: np.ndarray) -> np.ndarray:
    """h₂(p) in bits for 0 < p ≤ ½."""
    return -(p * np.log2(p) + (1.0 - p) * np.log1p(-p) / math.log(2.0))
