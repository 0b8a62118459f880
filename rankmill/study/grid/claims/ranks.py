"""What claims say of the shape in which scores fall with rank: of students, of the teacher.

Figures 2 and 4 of the paper show mean curves; a mean of curves that fall exponentially at different
rates looks like a power law. So it is asked of every list by itself, by BIC.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rankmill.mining.runs.run import Run
from rankmill.mining.score_kinds import RANK, has_probability
from rankmill.mining.selection.targeted import log_probabilities
from rankmill.mining.statistics.summaries.power_law import FEWEST_RANKS, power_law_leads
from rankmill.mining.store import Artifact
from rankmill.study.grid.claims.values import Sides
from rankmill.study.grid.design import Cell
from rankmill.study.grid.hypotheses import ZERO, Contrast
from rankmill.study.grid.panels import Panel
from rankmill.study.results import Judged, Role
from rankmill.training.evaluation import Evaluation


def by_ranks(
    panels: Sequence[Panel], a: Sequence[Cell], b: Sequence[Cell], contrast: Contrast
) -> Iterator[Sides]:
    """Yield both sides on every panel that has cells of both, in the lead of the power law (BIC of
    the best other shape less its own) of every query's list; zero may stand in the place of b.

    Queries that a student ranks fewer than six documents for, or gives equal scores, are left out.
    """
    sides = [a] if contrast.against == ZERO else [a, b]
    for panel in panels:
        mine = [[cell for cell in side if cell in panel.cells] for side in sides]
        if not all(mine):
            continue
        tables = [[_leads(panel, cell, contrast.system) for cell in side] for side in mine]
        seeds = min(len(table) for side in tables for table in side)
        means = [np.mean([table[:seeds] for table in side], axis=0) for side in tables]
        means += [np.zeros_like(means[0])] * (2 - len(means))
        known = np.isfinite(means).all(axis=(0, 1))
        yield Sides(panel.title, means[0][:, known], means[1][:, known], int((~known).sum()))


def _leads(panel: Panel, cell: Cell, system: Role | None) -> np.ndarray:
    """Return the leads in the lists of a cell's students, or of its teacher, [seeds, queries]."""
    judged: list[Judged] = panel.judged(cell)
    if system is not None:
        one = panel.reference(cell, system)
        assert one is not None, "every variant of a study has a teacher and a start"
        judged = [one]
    return np.stack([_of_run(one.run, Evaluation(one.evaluation).query) for one in judged])


def _of_run(made: Artifact, queries: np.ndarray) -> np.ndarray:
    """Return the lead in every query's list, float64 [queries]; NaN where it has none, as where
    the scores are ranks."""
    run, kind = Run(made), str(made.metadata.get("kind"))
    if not len(run) or kind == RANK:
        return np.full(len(queries), np.nan)
    offsets, _, scores = run.lists(0, len(run))
    y = scores.astype(np.float64)
    if has_probability(kind):  # of similarities y itself: the softmax at any temperature is linear
        y = log_probabilities(y, kind)
    leads, lengths = np.full(len(run), np.nan), np.diff(offsets)
    for length in np.unique(lengths[lengths >= FEWEST_RANKS]).tolist():
        rows = np.flatnonzero(lengths == length)
        lists = y[offsets[rows][:, None] + np.arange(length)]
        leads[rows] = power_law_leads(-np.sort(-lists, axis=1))
    at = np.minimum(np.searchsorted(run.queries, queries), len(run) - 1)
    return np.where(run.queries[at] == queries, leads[at], np.nan)
