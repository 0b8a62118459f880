"""Stopping a cell early, by the declared rule: its interval lies below the best by the margin.

The rule sees the evaluations of one development set, of the seeds so far, and nothing else: so a
resumed study, and one whose further students happen to be there, stops the same cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rankmill.study.grid.declared import Race
from rankmill.training.significance import Interval, t_interval


@dataclass(frozen=True, slots=True)
class Stopped:
    """A cell that is not trained further: after how many seeds, against which cell, and on what
    evidence: the difference from the best, on `domain`."""

    cell: int
    after: int
    best: int
    domain: str
    measure: str
    difference: Interval
    margin: float


def stopped(
    race: Race, measure: str, values: Mapping[int, np.ndarray], judged_by: Mapping[int, str]
) -> list[Stopped]:
    """Return the cells to stop; `values`: of every cell still running, [seeds, queries], as many
    seeds for each.

    `judged_by`: what judges a cell; only cells that are judged alike are compared. The best is the
    cell with the largest mean, of equal ones the first.
    """
    behind = []
    for judge in dict.fromkeys(judged_by[cell] for cell in values):
        mine = [cell for cell in values if judged_by[cell] == judge]
        best = max(mine, key=lambda cell: values[cell].mean())
        for cell in mine:
            if cell == best:
                continue
            difference = t_interval(values[cell] - values[best], race.level)
            assert difference.high is not None
            if difference.high < -race.margin:
                seeds = len(values[cell])
                behind.append(
                    Stopped(cell, seeds, best, race.domain, measure, difference, race.margin)
                )
    return behind
