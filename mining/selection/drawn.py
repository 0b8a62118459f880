"""What lists that a source draws mean for the probability of a document (docs/inclusion.md).

A list of the random source is drawn anew for every query, so the probability of a document is that
of both draws, the list and the group. A uniform draw from a uniform draw is a uniform draw: what a
strategy takes evenly from such a list it takes evenly from the population, all documents of the
corpus that may be negatives.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..runs.run import Run
from ..store import Artifact
from .base import DRAWN, FIXED, MIXED, Candidates

_MADE_FROM = ("run", "pool", "scores")


def origin_of(run: Run) -> str:
    """Say what a run's lists are: DRAWN if they hold their own inclusion, MIXED if they were made
    from lists that do (fused, re-ranked, cleared), FIXED otherwise. Imported runs are FIXED: how
    another tool made them is not known."""
    if run.drawn:
        return DRAWN
    return MIXED if _made_from_draws(run.artifact) else FIXED


def _made_from_draws(artifact: Artifact) -> bool:
    for role in sorted(artifact.inputs):
        kind = artifact.manifest["inputs"][role]["kind"]
        if kind not in _MADE_FROM:
            continue
        made_from = artifact.input(role)
        if (kind == "run" and Run(made_from).drawn) or _made_from_draws(made_from):
            return True
    return False


def origins_of(pool: Artifact) -> dict[str, str]:
    """Return what the lists of a pool's sources are, by label."""
    roles = sorted(role for role in pool.inputs if role.startswith("run["))
    runs = [Run(pool.input(role)) for role in roles]
    return {run.label: origin_of(run) for run in runs}


def spare_chances(
    candidates: Candidates, spare: np.ndarray, missing: int
) -> tuple[np.ndarray, float]:
    """Return π (float64 [spare]) where `missing` documents are drawn evenly from the spare ones of
    the pool, and π of a document that is not in this pool.

    How many spare documents there are depends on how many the drawn list adds to those that are in
    every pool: g of the G that only a draw can bring, hypergeometric over lists, given that they
    suffice. NaN where the pool holds lists made from drawn ones.
    """
    origins = list(candidates.origin.values())
    if MIXED in origins or origins.count(DRAWN) > 1:
        return np.full(len(spare), np.nan), float("nan")
    if DRAWN not in origins:
        return np.full(len(spare), missing / max(1, len(spare))), 0.0
    label = next(name for name, origin in candidates.origin.items() if origin == DRAWN)
    alone = candidates.by_draw_alone
    always = int((~alone[spare]).sum())
    others = candidates.population - int((candidates.allowed & ~alone).sum())
    length = int((candidates.rank[label] > 0).sum())
    added, weight = hypergeometric(candidates.documents, others, length)
    enough = always + added >= max(1, missing)
    weight = np.where(enough, weight, 0.0) / weight[enough].sum()
    each = weight * missing / np.maximum(1, always + added)
    beyond = float((each * added).sum() / others) if others else 0.0
    return np.where(alone[spare], beyond, each.sum()), beyond


def hypergeometric(population: int, marked: int, drawn: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how many marked ones can be among `drawn` of the population (int64), and with what
    probability each (float64), from the ratios of neighbouring terms."""
    low, high = max(0, drawn - (population - marked)), min(marked, drawn)
    count = np.arange(low, high + 1)
    c = count[:-1].astype(np.float64)
    ratio = (marked - c) * (drawn - c) / ((c + 1) * (population - marked - drawn + c + 1))
    log_weight = np.concatenate([[0.0], np.cumsum(np.log(ratio))])
    weight = np.exp(log_weight - log_weight.max())
    return count, weight / weight.sum()


def unsteady(candidates: Candidates, reads: frozenset[str]) -> bool:
    """Say whether a choice that depends on these columns depends on what was drawn."""
    return unsteady_lists(candidates.origin, reads)


def unsteady_lists(origin: Mapping[str, str], reads: frozenset[str]) -> bool:
    """Say of lists of these origins what `unsteady` says."""
    return any(origin.get(label, FIXED) != FIXED for label in reads)
