"""How far the queries of different cells differ in difficulty: 0 in blocks, not between others."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np

from ...errors import UsageError
from ...groups.format import Groups
from ...store import Artifact


def confounding(
    cells: Mapping[tuple[int, int], Artifact],
    query: np.ndarray,
    covariates: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """Compare a covariate of the queries between the cells of a design.

    `cells`: groups by (near, sure), a query at most once in each; `covariates`: values (float64)
    of the queries `query`, ascending, NaN where undefined. Returns {"queries": in any cell,
    "queries_in_all_cells", "covariates": {name: {"cells": {cell: mean}, "spread": largest minus
    smallest mean, "entropy_effect", "locality_effect": mean of the last level minus the first,
    what a design would take for an effect of the factor, "eta2": the share of variance between
    cells, "by_chance": (cells − 1)/(groups − 1), what η² would be on average if queries were
    assigned at random}}}.
    """
    if not cells:
        raise UsageError("there are no cells to compare")
    members = {place: _queries(groups) for place, groups in cells.items()}
    everywhere = reduce(np.intersect1d, members.values())
    summary: dict[str, Any] = {
        "queries": len(reduce(np.union1d, members.values())),
        "queries_in_all_cells": len(everywhere),
        "covariates": {},
    }
    for name, values in covariates.items():
        drawn = {place: values[np.searchsorted(query, own)] for place, own in members.items()}
        summary["covariates"][name] = compare_cells(drawn)
    return summary


def compare_cells(drawn: Mapping[tuple[int, int], np.ndarray]) -> dict[str, Any]:
    """Compare the values (float64, NaN for undefined) of a covariate between cells."""
    known = {place: values[~np.isnan(values)] for place, values in drawn.items()}
    if not all(len(values) for values in known.values()):
        return {"cells": {label_of_cell(*place): None for place in known}}
    means = {place: float(values.mean()) for place, values in known.items()}
    every = np.concatenate(list(known.values()))
    between = sum(len(v) * (means[place] - every.mean()) ** 2 for place, v in known.items())
    total = float(((every - every.mean()) ** 2).sum())
    flat = every.std() <= 1e-12 * max(1.0, np.abs(every).max())  # what is left is rounding
    return {
        "cells": {label_of_cell(*place): mean for place, mean in means.items()},
        "spread": max(means.values()) - min(means.values()),
        "locality_effect": _effect(means, 0),
        "entropy_effect": _effect(means, 1),
        "eta2": None if flat else float(between) / total,
        "by_chance": (len(known) - 1) / (len(every) - 1),
    }


def label_of_cell(near: int, sure: int) -> str:
    """Return what a cell is called in names of artifacts."""
    return f"near{near}-sure{sure}"


def _effect(means: Mapping[tuple[int, int], float], factor: int) -> float:
    last = max(place[factor] for place in means)
    ends = [[m for place, m in means.items() if place[factor] == level] for level in (0, last)]
    return float(np.mean(ends[1]) - np.mean(ends[0]))


def _queries(groups: Artifact) -> np.ndarray:
    return np.concatenate([part.query for part in Groups(groups).parts()])
