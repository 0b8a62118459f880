"""Do the terms of Theorem 2.1 order designs as their students turn out? (docs/quantities.md §5)

Predicted: each term of the reconstruction, and their sum with declared weights. Observed: the mean
risk of the students, which is minus an effectiveness measure or a pair-wise risk as it is. The two
orders are compared by rank correlation; no number here is a bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..mining.draws import generator
from ..mining.errors import BadInput, UsageError
from ..mining.ordered import product
from ..mining.parts.told import Told, aligned_rows, shortly
from ..mining.statistics.summaries.terms import AMOUNTS, Design, Sums, columns_for, design_of
from ..mining.store import Artifact
from .evaluation import Evaluation
from .measures import parse_measures
from .pair_risk import PairRisk

PREDICTIONS = ("locality", "entropy", "combined")
RESAMPLES = 1000
ENOUGH = 5  # designs: of four, even the same order has a chance of 2/4! = .083
_LEAST = 3  # designs that have a rank correlation worth printing


@dataclass(frozen=True, slots=True)
class Agreement:
    """Rank correlations of predicted with observed risk over designs, with 95 % intervals.

    Positive: the designs with the larger term have the worse students. The intervals are
    percentiles of a bootstrap over queries, of training and of evaluation: they hold for these
    designs, not for others. None where a side does not vary.
    """

    kendall: float | None
    kendall_low: float | None
    kendall_high: float | None
    spearman: float | None
    spearman_low: float | None
    spearman_high: float | None


@dataclass(frozen=True, slots=True, repr=False)
class Terms(Told):
    """The table: designs by name, `orders` from the lowest risk up, and how far they agree.

    `predicted`: by each of PREDICTIONS the value of every design; `observed`: the mean of `measure`
    of the designs that were evaluated. `chance`: how often two unrelated orders of so many designs
    agree or disagree wholly, 2/D!; from .05 up there are `too_few`.
    """

    designs: Mapping[str, Design]
    n: str
    weights: tuple[float, float]
    predicted: Mapping[str, Mapping[str, float]]
    orders: Mapping[str, tuple[str, ...]]
    measure: str | None = None
    observed: Mapping[str, float] | None = None
    agreement: Mapping[str, Agreement] | None = None
    chance: float | None = None
    too_few: bool | None = None

    def lines(self) -> Iterator[str]:
        """Yield a line for each design, and the orders that the terms give, lowest risk first."""
        names = list(self.predicted)
        rows = [["design", *names, *([str(self.measure)] if self.observed else [])]]
        for design in self.designs:
            told = [shortly(self.predicted[name].get(design)) for name in names]
            observed = [shortly(self.observed.get(design))] if self.observed else []
            rows.append([design, *told, *observed])
        yield from aligned_rows(rows)
        for name, order in self.orders.items():
            yield f"order by {name}: {' < '.join(order)}"


def order_designs(
    statistics: Mapping[str, Artifact],
    against: Mapping[str, Sequence[Artifact]] | None = None,
    *,
    measure: str = "nDCG@10",
    locality: str | None = None,
    entropy: str | None = None,
    n: str = "queries",
    weights: tuple[float, float] = (1.0, 1.0),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Terms:
    """Order designs by the reconstruction's terms and compare with how their students did.

    `statistics`: by design, of its groups. `against`: by design, the evaluations of students that
    were trained on it, one per training seed (averaged). `locality`, `entropy`: the columns of Δ
    and H; `n`: what is counted under the root; `weights`: of the two terms in `combined`, which
    stand for the unknown C·L·√VC and ζ.

    Raises UsageError for a name in `against` that is no design, weights that are not positive,
    BadInput for statistics without the columns and evaluations by different judgements.
    """
    _check(statistics, against or {}, weights)
    first = next(iter(statistics.values()))
    chosen = columns_for(first, locality, entropy)
    made = {
        name: design_of(artifact, locality=chosen[0], entropy=chosen[1], n=n)
        for name, artifact in statistics.items()
    }
    designs = {name: design for name, (design, _) in made.items()}
    rows = np.array([[d.locality, d.entropy] for d in designs.values()])
    predicted = {
        kind: dict(zip(designs, values.tolist(), strict=True))
        for kind, values in zip(PREDICTIONS, _with_sum(rows, weights).T, strict=True)
    }
    orders = {kind: _ordered(values) for kind, values in predicted.items()}
    if not against:
        return Terms(designs, n, weights, predicted, orders)
    named = parse_measures(measure)[0]
    risks = _risks(against, str(named), isinstance(named, PairRisk))
    means = {name: float(values.mean()) for name, values in risks.items()}
    orders["observed"] = _ordered(means)
    chance = 2 / math.factorial(len(risks))
    agreement = None
    if len(risks) >= _LEAST:
        sums = [made[name][1] for name in risks]
        agreement = _agreements(sums, np.stack([*risks.values()]), weights, resamples, seed)
    observed = {s: v if isinstance(named, PairRisk) else -v for s, v in means.items()}
    few = len(risks) < ENOUGH
    return Terms(
        designs, n, weights, predicted, orders, str(named), observed, agreement, chance, few
    )


def _check(
    statistics: Mapping[str, Artifact],
    against: Mapping[str, Sequence[Artifact]],
    weights: tuple[float, float],
) -> None:
    if len(statistics) < 2:
        raise UsageError("there is nothing to order", do="name the statistics of two designs")
    for name in against:
        if name not in statistics:
            raise UsageError(f"{name!r} is not a design", do=f"designs are {', '.join(statistics)}")
    if not all(0 < w < math.inf for w in weights):
        raise UsageError(
            f"weights {weights[0]:g},{weights[1]:g} are not positive", do="such as --weights 1,1"
        )


def _ordered(values: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(sorted(values, key=lambda name: (values[name], name)))


def _with_sum(rows: np.ndarray, weights: tuple[float, float]) -> np.ndarray:
    """Add the weighted sum as a third column: [designs, 3] as PREDICTIONS."""
    return np.column_stack([rows, weights[0] * rows[:, 0] + weights[1] * rows[:, 1]])


def _risks(
    against: Mapping[str, Sequence[Artifact]], measure: str, is_risk: bool
) -> dict[str, np.ndarray]:
    """Return the risk of every design per query, its seeds averaged; the same queries for all."""
    read = {name: [Evaluation(artifact) for artifact in made] for name, made in against.items()}
    every = [e for made in read.values() for e in made]
    for one in every:
        if one.artifact.inputs["qrels"] != every[0].artifact.inputs["qrels"]:
            raise BadInput(
                "the evaluations are by different judgements",
                where=one.artifact.path,
                do="evaluate all students on one split of one collection",
            )
    tables = {s: np.stack([e.values(measure) for e in made]) for s, made in read.items()}
    missing = np.any([np.isnan(table).any(axis=0) for table in tables.values()], axis=0)
    if missing.all():
        raise BadInput(
            f"{measure} is undefined for every query", do="order by another measure: --measure"
        )
    sign = 1.0 if is_risk else -1.0
    return {s: sign * table[:, ~missing].mean(axis=0) for s, table in tables.items()}


def _agreements(
    sums: Sequence[Sums],
    risks: np.ndarray,
    weights: tuple[float, float],
    resamples: int,
    seed: int,
) -> dict[str, Agreement]:
    """Correlate every prediction with the observed risk [designs, queries], and its resamples.

    A resample draws training queries, the same for all designs, and evaluation queries.
    """
    queries = np.unique(np.concatenate([s.query for s in sums]))
    places = [np.searchsorted(queries, s.query) for s in sums]

    def correlated(train: np.ndarray, judged: np.ndarray) -> np.ndarray:
        rows = [s.terms(train[at]) for s, at in zip(sums, places, strict=True)]
        observed = product(risks, judged) / judged.sum()
        return _correlations(_with_sum(np.array(rows), weights), observed)

    draws = generator(seed, "terms.bootstrap")
    point = correlated(np.ones(len(queries)), np.ones(risks.shape[1]))
    drawn = [
        correlated(_resampled(draws, len(queries)), _resampled(draws, risks.shape[1]))
        for _ in range(resamples)
    ]
    return {
        kind: Agreement(*_interval(point[k, 0], [d[k, 0] for d in drawn]),
                        *_interval(point[k, 1], [d[k, 1] for d in drawn]))
        for k, kind in enumerate(PREDICTIONS)
    }  # fmt: skip


def _resampled(draws: np.random.Generator, count: int) -> np.ndarray:
    return np.bincount(draws.integers(0, count, count), minlength=count).astype(np.float64)


def _correlations(predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return Kendall's τ-b and Spearman's ρ of each column with `observed`: [columns, 2].

    Both from the signs of all differences: their sum over j is twice the rank of i, centred. NaN
    where a side does not vary.
    """
    out = np.full((predicted.shape[1], 2), np.nan)
    y = _signs(observed)
    for k, column in enumerate(predicted.T):
        if np.isfinite(column).all():
            x = _signs(column)
            out[k] = _cosine(x.ravel(), y.ravel()), _cosine(x.sum(axis=1), y.sum(axis=1))
    return out


def _signs(values: np.ndarray) -> np.ndarray:
    return np.sign(values[:, None] - values[None, :])


def _cosine(x: np.ndarray, y: np.ndarray) -> float:
    """Return ⟨x, y⟩/(‖x‖·‖y‖) of whole numbers; NaN where one is 0."""
    size = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    return float((x * y).sum()) / size if size else math.nan


def _interval(value: float, drawn: Sequence[float]) -> tuple[float | None, ...]:
    known = np.asarray(drawn)[~np.isnan(drawn)]
    if np.isnan(value) or not known.size:
        return None, None, None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(value), float(low), float(high)


__all__ = ["AMOUNTS", "Agreement", "Terms", "order_designs"]
