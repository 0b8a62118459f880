"""How far locality and entropy are orthogonal in the blocks that were found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from ...errors import BadInput
from ...pair_keys import distinct, pair_keys
from ...statistics.summaries.summary import histogram
from ...store import Artifact
from ...store.tables import list_values
from .design import cell_of


def orthogonality(design: Artifact) -> dict[str, Any]:
    """Return what the design achieved, as plain JSON values.

    {"blocks", "asked", "dropped": {reason: queries}, "cells": [{near, sure, groups,
    documents_seen, distinct_pairs, distinct_documents, positives, and mean, standard deviation and
    mean target of locality and entropy}], "correlation", "ordered", "overlap",
    "shared_negatives": mean Jaccard overlap of the negatives of two cells of a query}. Nothing in
    it is defined without a block: then only the first three are there.
    """
    if design.kind != "design":
        raise BadInput(f"a {design.kind} is not a design", where=design.path)
    cell = cell_of(design)
    table = pa.concat_tables(design.tables())
    cells = len(cell.cells)
    blocks = table.num_rows // cells
    dropped = {reason: len(queries) for reason, queries in design.dropped.items()}
    summary: dict[str, Any] = {"blocks": blocks, "asked": blocks + sum(dropped.values())}
    summary["dropped"] = dropped
    if not blocks:
        return summary
    locality, entropy = (
        table[name].to_numpy().reshape(blocks, cells) for name in ("locality", "entropy")
    )
    summary["cells"] = [_cell(table, near, sure) for near, sure in cell.cells]
    summary["correlation"] = correlations(locality, entropy)
    summary["ordered"] = float(ordered(locality, entropy, cell.bins).mean())
    summary["overlap"] = _overlaps(locality, entropy, cell.locality, cell.entropy, cell.bins)
    summary["shared_negatives"] = _shared(table, blocks, cells)
    return summary


def correlations(locality: np.ndarray, entropy: np.ndarray) -> dict[str, float | None]:
    """Correlate locality and entropy, float64 [blocks, cells] each, over groups and within blocks.

    `within_pearson` correlates the deviations from the block's means, `within_spearman` the ranks
    (mean rank for ties) that groups have inside their block. None where one of both does not vary.
    """
    from scipy.stats import rankdata  # slow to import

    flat = [rankdata(values).reshape(values.shape) for values in (locality, entropy)]
    inside = [rankdata(values, axis=1) for values in (locality, entropy)]
    return {
        "pearson": _pearson(locality, entropy),
        "spearman": _pearson(flat[0], flat[1]),
        "within_pearson": _pearson(_deviations(locality), _deviations(entropy)),
        "within_spearman": _pearson(_deviations(inside[0]), _deviations(inside[1])),
    }


def ordered(locality: np.ndarray, entropy: np.ndarray, bins: int) -> np.ndarray:
    """Say of which blocks (bool) all cells lie as intended: at every entropy level locality rises
    from near to far, and at every locality level entropy rises. Arrays float64 [blocks, bins²]."""
    locality = locality.reshape(-1, bins, bins)
    entropy = entropy.reshape(-1, bins, bins)
    farther = np.diff(locality, axis=1).min(axis=(1, 2)) > 0
    return np.asarray(farther & (np.diff(entropy, axis=2).min(axis=(1, 2)) > 0))


def overlap(name: str, one: np.ndarray, other: np.ndarray) -> float:
    """Return Σ min(p, q) over the declared histogram bins of a statistic: 0 apart, 1 alike."""
    counts = [np.array(histogram(name, values)["counts"]) for values in (one, other)]
    return float(np.minimum(*(count / count.sum() for count in counts)).sum())


def _overlaps(
    locality: np.ndarray, entropy: np.ndarray, near: str, sure: str, bins: int
) -> dict[str, list[float]]:
    """Overlap of neighbouring levels: of what was to differ, and of what was to be equal."""
    by_near = {near: locality.reshape(-1, bins, bins), sure: entropy.reshape(-1, bins, bins)}

    def neighbours(name: str, axis: int) -> list[float]:
        levels = np.moveaxis(by_near[name], axis, 0)
        return [overlap(name, levels[i].ravel(), levels[i + 1].ravel()) for i in range(bins - 1)]

    return {
        "locality_between_locality_levels": neighbours(near, 1),
        "locality_between_entropy_levels": neighbours(near, 2),
        "entropy_between_entropy_levels": neighbours(sure, 2),
        "entropy_between_locality_levels": neighbours(sure, 1),
    }


def _cell(table: pa.Table, near: int, sure: int) -> dict[str, Any]:
    mine = (table["near"].to_numpy() == near) & (table["sure"].to_numpy() == sure)
    rows = table.filter(pa.array(mine))
    doc = list_values(rows["doc"])[1].reshape(len(rows), -1)
    pairs = pair_keys(rows["query"].to_numpy()[:, None], doc)
    summary: dict[str, Any] = {
        "near": near,
        "sure": sure,
        "groups": len(rows),
        "documents_seen": int(doc.size),
        "distinct_pairs": len(distinct(pairs)),
        "distinct_documents": len(distinct(doc)),
        "positives": int(rows["positives"].to_numpy().astype(np.int64).sum()),
    }
    for name in ("locality", "entropy"):
        values = rows[name].to_numpy()
        summary[name] = float(values.mean())
        summary[f"{name}_sd"] = float(values.std())
        summary[f"{name}_target"] = float(rows[f"{name}_target"].to_numpy().mean())
    return summary


def _shared(table: pa.Table, blocks: int, cells: int) -> float:
    """Mean Jaccard overlap of the negatives over all pairs of cells of a block."""
    doc = list_values(table["doc"])[1].reshape(blocks, cells, -1)
    positives = table["positives"].to_numpy().reshape(blocks, cells)[:, 0]
    negative = np.arange(doc.shape[2]) >= positives[:, None]
    size = negative.sum(axis=1)
    overlaps = []
    for a in range(cells):
        for b in range(a + 1, cells):
            same = doc[:, a, :, None] == doc[:, b, None, :]
            both = (same & negative[:, :, None] & negative[:, None, :]).sum(axis=(1, 2))
            overlaps.append(both / (2 * size - both))
    return float(np.mean(overlaps))


def _deviations(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=1, keepdims=True)


def _pearson(one: np.ndarray, other: np.ndarray) -> float | None:
    if any(v.std() <= 1e-12 * max(1.0, np.abs(v).max()) for v in (one, other)):
        return None  # what is left is rounding
    one, other = one.ravel() - one.mean(), other.ravel() - other.mean()
    return float((one * other).sum() / np.sqrt((one * one).sum() * (other * other).sum()))
