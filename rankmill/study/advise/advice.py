"""What is advised: designs in order, on what evidence, and how well such advice did so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rankmill.mining.parts.told import Told
from rankmill.study import words
from rankmill.study.advise.candidates import Candidate
from rankmill.study.advise.judged import ADVICE, BM25, LEAST_COLLECTIONS, Judgement, Rule
from rankmill.study.advise.pilots import Asked, Pilot
from rankmill.study.advise.predict import Predictor
from rankmill.study.advise.records import Evidence
from rankmill.training.significance import Interval

PILOTS, PREDICTED, COST = "pilots", "statistics", "cost"
"""What designs are ordered by."""


@dataclass(frozen=True, slots=True)
class Design:
    """A candidate with what is known of it.

    `training`: seconds that training a student on it takes, None where nothing tells; `predicted`:
    gain by its statistics, `reach` what the 95 % interval of the errors so far has to each side;
    `worth`: what the order goes by, None where it goes by cost; `fits`: within the budget, None
    without one.
    """

    candidate: Candidate
    training: float | None
    predicted: float | None = None
    reach: float | None = None
    pilot: Pilot | None = None
    worth: float | None = None
    fits: bool | None = None

    @property
    def cost(self) -> float:
        """Seconds of processor and accelerator of one student alone, as far as they are known."""
        return self.candidate.spent + (self.training or 0.0)

    @property
    def gain(self) -> float | None:
        """What the pilot gained, else what is predicted."""
        return self.predicted if self.pilot is None else self.pilot.gain.mean

    @property
    def per_hour(self) -> float | None:
        """Gain per hour of processor and accelerator; None where gain or training is not known."""
        if self.gain is None or self.training is None:
            return None
        return 3600 * self.gain / self.cost

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        one, pilot = self.candidate, self.pilot
        told: dict[str, Any] = {
            "sampler": one.sampler,
            "size": one.size,
            "family": one.family,
            "groups": one.groups.fingerprint,
            "groups_rows": one.groups.rows,
            "statistics": dict(one.statistics),
            "seconds": {
                "mining": one.mining,
                "teacher": one.teacher,
                "groups": one.drawing,
                "training": self.training,
                "all": self.cost,
            },
            "predicted_gain": self.predicted,
            "predicted_reach": self.reach,
            "gain_per_hour": self.per_hour,
            "worth": self.worth,
            "within_budget": self.fits,
        }
        if pilot is not None:
            told["pilot"] = {
                "gain": pilot.gain.mean,
                **words.bounds(pilot.gain),
                "training_seconds": pilot.seconds,
                "verdict": pilot.verdict,
            }
        return told


@dataclass(frozen=True, repr=False)
class Advice(Told):
    """Designs in the order that is advised, with the evidence and the judgement of it.

    `ordered_by`: pilots, statistics or cost; `by`: rate or gain; `features`: the statistics that
    predictions rest on; `judgement` of these, `of_pilots` that of pilots: None where fewer than
    three collections are known.
    """

    about: str
    measure: str
    by: str
    ordered_by: str
    designs: Sequence[Design]
    evidence: Evidence
    features: Sequence[str]
    predictor: Predictor | None
    judgement: Judgement | None
    of_pilots: Judgement | None
    documents: int
    budget: float | None
    pilots: Asked | None
    notes: Sequence[str]

    def __repr__(self) -> str:
        from rankmill.objects.speech import in_python

        return in_python("\n".join([*self.sentences(), *self.lines()]))

    @property
    def first(self) -> Design | None:
        """The design that comes first of those within the budget; None where none is."""
        return next((one for one in self.designs if one.fits is not False), None)

    @property
    def beats_bm25(self) -> bool | None:
        """Whether such advice is shown to lose less than «always BM25»; None where it is not
        judged."""
        judged = self._of_order
        return None if judged is None else judged.beats_bm25

    @property
    def _of_order(self) -> Judgement | None:
        """The judgement of what the order rests on."""
        return {PREDICTED: self.judgement, PILOTS: self.of_pilots}.get(self.ordered_by)

    def sentences(self) -> Iterator[str]:
        """Yield what is advised, and whether it deserves to be followed."""
        yield self._said_first()
        judged = self._of_order
        if judged is not None:
            yield self._trusted(judged)
        elif self.ordered_by == PILOTS:
            yield (
                "How well a pilot tells the student of a larger budget is not judged: "
                f"{LEAST_COLLECTIONS} collections at least whose study varies train.documents and "
                "has a development set are needed. Pilots were judged on development queries."
            )

    def _said_first(self) -> str:
        first = self.first
        if first is None:
            return f"No design is within the budget of {words.duration(self.budget or 0.0)}."
        name, cost = first.candidate.name, self._cost(first)
        if self.ordered_by == COST:
            known = len({one.corpus for one in self.evidence.records})
            return (
                f"No gain is predicted and no order of gains is given: the evidence has {known} "
                f"other collection{'' if known == 1 else 's'}, {LEAST_COLLECTIONS} at least are "
                "needed to judge a prediction. Designs stand by known cost alone, their statistics "
                f"beside it; cheapest: “{name}”, {cost}."
            )
        if self.ordered_by == PREDICTED and not self._tells_apart:
            return (
                "The statistics predict no difference between these designs; they stand by cost: "
                f"“{name}”, {first.gain:+.4f} {self.measure} ({self._interval(first)}) over the "
                f"untrained student as any other, {cost}."
            )
        gain = "predicted" if self.ordered_by == PREDICTED else "pilot's"
        per = "gain" if self.by == "gain" else "gain per cost"
        return (
            f"First by {gain} {per}: “{name}”, {first.gain:+.4f} {self.measure} "
            f"({self._interval(first)}) over the untrained student, {cost}."
        )

    @property
    def _tells_apart(self) -> bool:
        return self.predictor is not None and any(self.predictor.weights)

    def _interval(self, one: Design) -> str:
        if one.pilot is not None:
            return f"{words.between(one.pilot.gain, '+')} {one.pilot.gain.scope}"
        return f"± {one.reach:.4f} by the errors so far"

    def _cost(self, one: Design) -> str:
        said = f"{words.duration(one.cost)} of processor and accelerator"
        return said if one.training is not None else f"{said} without its training"

    def _trusted(self, judged: Judgement) -> str:
        rule, own = judged.against_bm25, judged.rules[0]
        count = f"{len(judged.collections)} collections"
        count += " left out one by one" if judged is self.judgement else ""
        if rule is None or rule.behind is None:
            few = 0 if rule is None else rule.collections
            return (
                f"Such advice does not beat «{BM25}», as far as is known: {few} of the {count} "
                f"have such a design in every block, and {LEAST_COLLECTIONS} at least are needed."
            )
        facts = (
            f"over {count} the advice lost {_lost(own)} of {self._unit()} against the best design "
            f"there, «{BM25}» {_lost(rule)}; difference {rule.behind.mean:+.4f} "
            f"({words.between(rule.behind, '+')}, p {words.p_value(rule.p_adjusted or 0.0)} after "
            "Holm)"
        )
        if judged.beats_bm25:
            return f"Such advice beats «{BM25}»: {facts}."
        return f"Such advice does not beat «{BM25}»: {facts}. {self._instead()}"

    def _instead(self) -> str:
        """Say which design «always BM25» is here."""
        every = [one for one in self.designs if one.candidate.family == "bm25"]
        mine = [one for one in every if one.fits is not False]
        if not mine:
            within = " that is within the budget" if every else ""
            return f"No design of this pool{within} is one of BM25."
        cheapest = min(mine, key=lambda one: one.cost)
        return f"Nothing here speaks against “{cheapest.candidate.name}”."

    def _unit(self) -> str:
        return self.measure if self.by == "gain" else f"{self.measure} per mean design cost"

    def lines(self) -> Iterator[str]:
        """Yield what stands below the table of designs: evidence, judgement, notes."""
        yield from self._of_evidence()
        for judged, how in (
            (self.judgement, "predictions, judged on collections left out one by one"),
            (self.of_pilots, "pilots, judged by the students of more documents in the evidence"),
        ):
            if judged is not None:
                yield f"{how}, lost in {self._unit()}:"
                yield from _judged(judged)
        for note in self.notes:
            yield f"note: {note}"

    def _of_evidence(self) -> Iterator[str]:
        evidence = self.evidence
        if not evidence.folders:
            yield "evidence: none (--evidence FOLDER, of rankmill study RECIPE --to FOLDER)"
            return
        blocks = len({one.block for one in evidence.records})
        yield (
            f"evidence: {len(evidence.records)} rows of designs in {blocks} "
            f"block{'s' * (blocks != 1)} of "
            f"{', '.join(evidence.collections) or 'no other collection'}, from "
            f"{', '.join(evidence.folders)}"
        )
        if self.predictor is not None:
            weights = zip(self.features, self.predictor.weights, strict=True)
            said = ", ".join(f"{name} {weight:+.4f}" for name, weight in weights)
            yield (
                f"predicted from {said or 'nothing: no statistic is known of all designs'} "
                f"(gain per standard deviation within a pool; λ {self.predictor.strength:g})"
            )

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "about": self.about,
            "measure": self.measure,
            "by": self.by,
            "ordered_by": self.ordered_by,
            "says": list(self.sentences()),
            "beats_always_bm25": self.beats_bm25,
            "documents": self.documents,
            "budget_seconds": self.budget,
            "designs": [one.as_json() for one in self.designs],
            "evidence": {
                "folders": list(self.evidence.folders),
                "collections": self.evidence.collections,
                "designs": len(self.evidence.records),
                "features": list(self.features),
                "predictor": None if self.predictor is None else _finite(asdict(self.predictor)),
            },
            "judgement": _as_json(self.judgement),
            "judgement_of_pilots": _as_json(self.of_pilots),
            "pilots": None if self.pilots is None else asdict(self.pilots),
            "notes": list(self.notes),
        }


def _judged(judged: Judgement) -> Iterator[str]:
    for rule in judged.rules:
        yield f"  {rule.name:<20} {_rule(rule)}"
    rho = judged.correlation
    if rho is not None:
        said = f"{rho.mean:+.2f} ({words.between(rho, '+', '.2f')})"
        yield f"  Spearman's ρ of predicted with observed order, over collections: {said}"


def _as_json(judged: Judgement | None) -> dict[str, Any] | None:
    if judged is None:
        return None
    return {
        "collections": list(judged.collections),
        "spearman": _plain(judged.correlation),
        "error": judged.error,
        "rules": [
            {
                "rule": rule.name,
                "collections": rule.collections,
                "lost": _plain(rule.lost),
                "more_than_advice": _plain(rule.behind),
                "p_holm": rule.p_adjusted,
                "beaten": None if rule.name == ADVICE else rule.beaten,
            }
            for rule in judged.rules
        ],
    }


def _lost(rule: Rule) -> str:
    return f"{rule.lost.mean:.4f}"


def _rule(rule: Rule) -> str:
    said = f"{rule.lost.mean:.4f} ({words.between(rule.lost)}) over {rule.collections} collections"
    if rule.behind is None or rule.p_adjusted is None:
        return said
    verdict = "beaten by the advice" if rule.beaten else "not beaten by the advice"
    return f"{said}; {verdict} (p {words.p_value(rule.p_adjusted)} after Holm)"


def _plain(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {"mean": interval.mean, **words.bounds(interval, trained=False)}


def _finite(told: dict[str, Any]) -> dict[str, Any]:
    """An infinite strength is the text inf: JSON has no infinity."""
    strength = told["strength"]
    return told | {"strength": strength if strength < float("inf") else "inf"}
