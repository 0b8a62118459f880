"""Which design to train on, before any student is trained: `rankmill advise` (docs/advise.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rankmill.mining.errors import UsageError

if TYPE_CHECKING:
    from rankmill.mining.actors import Execution
    from rankmill.mining.store import Artifact, Workspace
    from rankmill.study.advise.advice import Advice, Design
    from rankmill.study.advise.candidates import Candidate
    from rankmill.study.advise.pilots import Asked, Pilot
    from rankmill.study.advise.records import Evidence

__all__ = ["Question", "advise_on", "seconds_in"]

_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}


def seconds_in(text: str) -> float:
    """Read a duration such as 90s, 45min, 2h or 1.5d; raises UsageError for another text."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*(s|min|m|h|d)", text.strip())
    if match is None or not float(match[1]) > 0:
        raise UsageError(f"budget {text!r} is not a time", do="write 90s, 45min, 2h or 1.5d")
    return float(match[1]) * _UNITS[match[2]]


@dataclass(frozen=True)
class Question:
    """What advice is asked for: see `rankmill.api.advise`."""

    evidence: Sequence[Path] = ()
    samplers: Sequence[str] = ()
    sizes: Sequence[int] = (16,)
    encoder: str | None = None
    documents: int = 100_000
    budget: str | None = None
    measure: str = "nDCG@10"
    by: str = "rate"
    pilots: Asked | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        from rankmill.mining.names import nearest
        from rankmill.study.advise.judged import BY
        from rankmill.training.measures import parse_measures

        if self.by not in BY:
            raise UsageError(f"by={self.by} is unknown", do=nearest(self.by, BY))
        if self.documents < 1:
            raise UsageError(f"documents={self.documents} must be at least 1")
        if self.budget is not None:
            seconds_in(self.budget)
        parse_measures(self.measure)


def advise_on(
    about: Artifact,
    question: Question,
    workspace: Workspace,
    scores: Artifact | None,
    executor: Execution,
) -> Advice:
    """Return the advice about a pool, or about the one pool of a collection."""
    from rankmill.about import collection_of
    from rankmill.study.advise.candidates import candidates_of, pooled_of
    from rankmill.study.advise.pilots import check_pilots, pilots_of
    from rankmill.study.advise.records import SIZE, read_evidence

    pooled = pooled_of(about, scores, workspace)
    collection = collection_of(pooled.pool)
    if question.pilots is not None:
        check_pilots(question.pilots, collection, pooled.pool)
    known = read_evidence(question.evidence, question.measure, collection.corpus.artifact.root_hash)
    features, notes = _shared(known, question.encoder)
    columns = [one.removeprefix("log ") for one in features if one != SIZE] or None
    candidates, refused = candidates_of(
        pooled,
        question.samplers,
        question.sizes,
        columns,
        encoder=question.encoder,
        seed=question.seed,
        executor=executor,
    )
    notes += [*known.left_out, *(f"left out: {one}" for one in refused)]
    pilots = {}
    if question.pilots is not None:
        named = question.pilots, collection, candidates, question.measure, question.seed
        pilots = pilots_of(*named, executor)
    return _advice(pooled.pool, question, known, features, candidates, pilots, notes)


def _shared(known: Evidence, encoder: str | None) -> tuple[list[str], list[str]]:
    """Return the statistics that all designs of the evidence have, one of each kind: H, Δ, ln κ and
    the size; and what is left out of them, in words."""
    from rankmill.study.advise.records import SIZE, blocks_of

    records = [one for several in blocks_of(known.records).values() for one in several]
    if not records:
        return [], []
    common = [n for n in records[0].statistics if all(n in one.statistics for one in records)]
    every = {name for one in records for name in one.statistics}
    chosen, notes = [], []
    kinds = {"H": ("pair_entropy",), "Δ": ("diameter", "radius"), "κ": ("log density_ratio",)}
    for symbol, names in kinds.items():
        mine = [one for one in common if one.partition("(")[0] in names]
        # Δ is the diameter where there is one; statistics of all pairs come before those of some.
        mine.sort(key=lambda one: (names.index(one.partition("(")[0]), "pairs=" in one))
        if mine and symbol == "Δ" and encoder is None:
            notes.append(f"Δ ({mine[0]}) is not used: no encoder is named (--encoder)")
        elif mine:
            chosen.append(mine[0])
        elif any(one.partition("(")[0] in names for one in every):
            notes.append(f"{symbol} is not used: not all designs of the evidence have the same")
    if len({one.statistics[SIZE] for one in records}) > 1:
        chosen.append(SIZE)
    return chosen, notes


def _advice(
    pool: Artifact,
    question: Question,
    known: Evidence,
    features: Sequence[str],
    candidates: Sequence[Candidate],
    pilots: Mapping[str, Pilot],
    notes: list[str],
) -> Advice:
    from rankmill.study.advise.advice import COST, PILOTS, PREDICTED, Advice, Design
    from rankmill.study.advise.judged import judge, judge_pilots
    from rankmill.study.advise.predict import fit
    from rankmill.study.advise.records import by_corpus

    records = [candidate.record(candidate.spent) for candidate in candidates]
    used = [f for f in features if all(f in one.statistics for one in records)]
    notes += [f"{f} is not used: not all designs here have it" for f in features if f not in used]
    training = _training(question, known, candidates, pilots, notes)
    designs = [
        Design(one, training.get(one.name), pilot=pilots.get(one.name)) for one in candidates
    ]
    judgement, predictor = judge(known.records, used, question.by), None
    if judgement is not None:
        predictor = fit(known.records, used)
        reach = _reach(judgement.error, len(by_corpus(known.records)))
        gains = predictor.gains(records)
        designs = [
            replace(one, predicted=float(gain), reach=reach)
            for one, gain in zip(designs, gains, strict=True)
        ]
    ordered_by = PILOTS if pilots else PREDICTED if judgement is not None else COST
    return Advice(
        about=f"pool {pool.fingerprint[:12]}",
        measure=question.measure,
        by=question.by,
        ordered_by=ordered_by,
        designs=_ordered(designs, question, ordered_by),
        evidence=known,
        features=used,
        predictor=predictor,
        judgement=judgement,
        of_pilots=judge_pilots(known.piloted, question.by) if pilots else None,
        documents=question.documents,
        budget=None if question.budget is None else seconds_in(question.budget),
        pilots=question.pilots,
        notes=notes,
    )


def _reach(error: float, collections: int) -> float:
    """Return how far the 95 % interval of a prediction reaches to each side, by its errors on
    collections left out."""
    from scipy import stats

    return float(stats.t.ppf(0.975, collections - 1)) * error


def _training(
    question: Question,
    known: Evidence,
    candidates: Sequence[Candidate],
    pilots: Mapping[str, Pilot],
    notes: list[str],
) -> dict[str, float]:
    """Return by design the seconds that a student of `documents` trains, in proportion to those of
    its pilot, else of the students in the evidence; nothing where neither tells."""
    import numpy as np

    if pilots and question.pilots is not None:
        times = question.documents / question.pilots.documents
        notes.append(
            f"training of {question.documents:,} documents: {times:.3g} × that of each pilot, from "
            "its ledger"
        )
        return {name: times * pilot.seconds for name, pilot in pilots.items()}
    rates = [one.training / one.documents for one in known.records if one.documents > 0]
    if not rates:
        if question.budget is not None:
            raise UsageError(
                "nothing says how long a student trains, so no budget can be kept",
                do="name evidence (--evidence FOLDER), or train pilots (--pilot 4k)",
            )
        notes.append("costs are without training: no evidence and no pilot says how long it takes")
        return {}
    rate = float(np.median(rates))
    notes.append(
        f"training of {question.documents:,} documents at {1000 * rate:.3g} s per 1,000: the "
        "median of the students in the evidence, on the machines that trained them"
    )
    return {one.name: rate * question.documents for one in candidates}


def _ordered(designs: Sequence[Design], question: Question, ordered_by: str) -> list[Design]:
    """Return the designs with their worth, those within the budget first."""
    import numpy as np

    from rankmill.study.advise.advice import COST
    from rankmill.study.advise.judged import worths

    budget = None if question.budget is None else seconds_in(question.budget)
    fits = [None if budget is None else one.cost <= budget for one in designs]
    values: list[float | None] = [None] * len(designs)
    if ordered_by != COST:
        gains = np.array([one.gain for one in designs], np.float64)
        records = [one.candidate.record(one.cost) for one in designs]
        values = list(map(float, worths(records, gains, question.by)))
    made = [
        replace(one, worth=value, fits=fit)
        for one, value, fit in zip(designs, values, fits, strict=True)
    ]
    return sorted(
        made, key=lambda one: (one.fits is False, -(one.worth or 0.0), one.cost, one.candidate.name)
    )
