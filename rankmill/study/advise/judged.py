"""How well predictions did so far: every collection left out once, its best design looked for.

A rule chooses one design in every block of the collection that was left out; its *loss* is what the
chosen one is worth less than the best there, averaged over the blocks of a collection. Collections
are the unit: intervals and tests are over them. What a design is worth is its gain, or its gain per
cost (`by`): costs are divided by their geometric mean in the block, since machines and budgets
differ; a gain that is not above 0 is no better for being cheap, and stands as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rankmill.study.advise.predict import fit, gain_error
from rankmill.study.advise.records import Piloted, Record, blocks_of, by_corpus
from rankmill.training.bounded import cut
from rankmill.training.significance import Interval, holm, paired_t, t_interval

LEAST_COLLECTIONS = _LEAST = 3
ADVICE, BM25, CHANCE = "advice", "always BM25", "a design at random"
FAMILIES = {BM25: "bm25", "always random": "random", "always anchors": "anchors"}
THEORY = "Theorem 2.1"
NOTABLE = 0.05
BY = ("rate", "gain")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule lost, in the unit of `by`, over the collections in which it had a design.

    `behind`: how much more it lost than the advice did, on the same collections; None for the
    advice itself, and where fewer than three have both. `p_adjusted`: after Holm over the rules.
    """

    name: str
    collections: int
    lost: Interval
    behind: Interval | None = None
    p_adjusted: float | None = None

    @property
    def beaten(self) -> bool:
        """Whether the advice is shown to lose less."""
        return (
            self.behind is not None
            and self.p_adjusted is not None
            and self.p_adjusted < NOTABLE
            and self.behind.mean > 0
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """How predictions did on collections left out one by one.

    `rules`: the advice first. `correlation`: Spearman's ρ of predicted with observed worth over the
    designs of a block, blocks of three designs or more; equal predictions count 0. `error`: root
    mean squared error of predicted gains; of pilots that of differences from a block's mean.
    """

    collections: tuple[str, ...]
    rules: tuple[Rule, ...]
    correlation: Interval | None
    error: float

    @property
    def against_bm25(self) -> Rule | None:
        """The rule that the advice must beat to be worth following; None where no block has it."""
        return next((rule for rule in self.rules if rule.name == BM25), None)

    @property
    def beats_bm25(self) -> bool:
        """Whether the advice is shown to lose less than «always BM25»."""
        return self.against_bm25 is not None and self.against_bm25.beaten


Predicted = tuple[Sequence[Record], np.ndarray]  # a block and what is predicted of its designs


def judge(records: Sequence[Record], features: Sequence[str], by: str = "rate") -> Judgement | None:
    """Judge predictions from `features`; None with fewer than three collections."""
    every = by_corpus(records)
    if len(every) < LEAST_COLLECTIONS:
        return None
    told: dict[str, list[Predicted]] = {}
    errors = []
    for corpus, own in every.items():
        predictor = fit([one for one in records if one.corpus != corpus], features)
        errors.append(gain_error(predictor, own))
        told[corpus] = [(block, predictor.gains(block)) for block in blocks_of(own).values()]
    return _judged(told, features, by, math.sqrt(float(np.mean(errors))))


def judge_pilots(piloted: Sequence[Piloted], by: str = "rate") -> Judgement | None:
    """Judge what pilots say of students of more documents; nothing is fitted, so nothing has to be
    left out. None with fewer than three collections."""
    told: dict[str, list[Predicted]] = {}
    errors: dict[str, list[float]] = {}
    for one in piloted:
        corpus, gains = one.block[0].corpus, np.array(one.gains)
        told.setdefault(corpus, []).append((one.block, gains))
        wrong = (gains - gains.mean()) - (_gains(one.block) - _gains(one.block).mean())
        errors.setdefault(corpus, []).append(float(np.mean(wrong**2)))
    if len(told) < LEAST_COLLECTIONS:
        return None
    return _judged(told, (), by, math.sqrt(float(np.mean([np.mean(e) for e in errors.values()]))))


def _judged(
    told: Mapping[str, Sequence[Predicted]], features: Sequence[str], by: str, error: float
) -> Judgement:
    """Judge predictions of the blocks of every collection beside the other rules."""
    lost: dict[str, dict[str, float]] = {}
    agreed = []
    for corpus, own in told.items():
        rhos = [
            spearman(worths(block, gains, by), worths(block, _gains(block), by))
            for block, gains in own
            if len(block) >= LEAST_COLLECTIONS
        ]
        if rhos:
            agreed.append(float(np.mean(rhos)))
        for name, rule in _rules(features, by).items():
            mean = _mean_loss(own, rule, by)
            if mean is not None:
                lost.setdefault(name, {})[corpus] = mean
    rho = _within(t_interval(np.array(agreed)), -1.0, 1.0) if len(agreed) >= _LEAST else None
    collections = tuple(own[0][0][0].collection for own in told.values())
    return Judgement(collections, _with_tests(lost), rho, error)


Chooses = Callable[[Sequence[Record], np.ndarray], float | None]


def _rules(features: Sequence[str], by: str) -> dict[str, Chooses]:
    """Return by name what gives the worth of the design that a rule takes of a block, the advice
    first; None where the block has no such design."""

    def advised(block: Sequence[Record], gains: np.ndarray) -> float | None:
        return _value(block, chosen(block, worths(block, gains, by)), by)

    def always(family: str) -> Chooses:
        return lambda block, gains: _of_family(block, family, by)

    return {
        ADVICE: advised,
        **{name: always(family) for name, family in FAMILIES.items()},
        THEORY: lambda block, gains: _by_theory(block, features, by),
        CHANCE: lambda block, gains: float(worths(block, _gains(block), by).mean()),
    }


def _mean_loss(own: Sequence[Predicted], rule: Chooses, by: str) -> float | None:
    """Return what a rule loses over the blocks of a collection; None where one lacks its design."""
    losses = []
    for block, gains in own:
        value = rule(block, gains)
        if value is None:
            return None
        losses.append(float(worths(block, _gains(block), by).max()) - value)
    return float(np.mean(losses))


def _with_tests(lost: Mapping[str, Mapping[str, float]]) -> tuple[Rule, ...]:
    own, rules = lost[ADVICE], []
    p_values: list[float] = []
    for name, losses in lost.items():
        several = len(losses) >= 2
        values = np.array(list(losses.values()))
        few = Interval(
            float(values.mean()), None, None, over="collections", reason="one collection"
        )
        mean = _within(t_interval(values), 0.0, math.inf) if several else few
        both = np.array([losses[key] - own[key] for key in losses])
        if name == ADVICE or len(both) < LEAST_COLLECTIONS:
            rules.append(Rule(name, len(losses), mean))
            continue
        p_values.append(paired_t(both))
        behind = replace(t_interval(both), over="collections")
        rules.append(Rule(name, len(losses), mean, behind))
    adjusted = iter(holm(p_values))
    return tuple(
        rule if rule.behind is None else replace(rule, p_adjusted=next(adjusted)) for rule in rules
    )


def _within(interval: Interval, least: float, most: float) -> Interval:
    """Return an interval over collections that ends where the quantity does, and says so."""
    return replace(cut(interval, (least, most)), over="collections")


# ---- what rules choose ---------------------------------------------------------------------------


def worths(block: Sequence[Record], gains: np.ndarray, by: str) -> np.ndarray:
    """Return what designs with these gains are worth, float64 [designs]."""
    if by == "gain":
        return gains
    cost = np.array([one.cost for one in block])
    relative = cost / np.exp(np.log(cost).mean())
    return np.where(gains > 0, gains / relative, gains)


def chosen(block: Sequence[Record], predicted: np.ndarray) -> int:
    """Return the place of the design that is chosen: of equal ones the cheapest, then by name."""
    places = range(len(block))
    return min(places, key=lambda at: (-predicted[at], block[at].cost, block[at].design))


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's ρ with mean ranks for ties; 0 where a side does not vary."""
    x, y = (np.sign(side[:, None] - side[None, :]).sum(axis=1) for side in (one, other))
    size = math.sqrt(float((x * x).sum()) * float((y * y).sum()))
    return float((x * y).sum()) / size if size else 0.0


def theory_term(one: Record, features: Sequence[str]) -> float:
    """Return the sum of Theorem 2.1's terms, Δ·√(ln n/n) + H/2 (docs/quantities.md §5); NaN where
    Δ, H or n is not known."""
    entropy = next((f for f in features if f.startswith("pair_entropy(")), "")
    locality = next((f for f in features if f.partition("(")[0] in ("diameter", "radius")), "")
    h, d = one.statistics.get(entropy, math.nan), one.statistics.get(locality, math.nan)
    if not one.queries > 0:
        return math.nan
    return d * math.sqrt(math.log(one.queries) / one.queries) + h / 2


def _gains(block: Sequence[Record]) -> np.ndarray:
    return np.array([one.gain for one in block])


def _value(block: Sequence[Record], at: int, by: str) -> float:
    return float(worths(block, _gains(block), by)[at])


def _of_family(block: Sequence[Record], family: str, by: str) -> float | None:
    """Return the mean worth of a family's designs: the rule does not say which of them."""
    values = worths(block, _gains(block), by)
    mine = [float(values[at]) for at, one in enumerate(block) if one.family == family]
    return float(np.mean(mine)) if mine else None


def _by_theory(block: Sequence[Record], features: Sequence[str], by: str) -> float | None:
    terms = np.array([theory_term(one, features) for one in block])
    if np.isnan(terms).any():
        return None
    return _value(block, chosen(block, -terms), by)
