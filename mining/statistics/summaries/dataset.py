"""What only a whole data set has: the mean fall of scores with rank, the dimension of a space."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from ....native import resampled as native
from ...draws import generator
from ...errors import BadInput
from ...models.vectors import Vectors
from ...processors import in_threads
from ...score_kinds import has_probability
from ...store import Artifact
from ...store.tables import list_values
from ..neighbours import intrinsic_dimension
from .power_law import Decay, fit_decay

MOST_VECTORS = 5_000


def decay_of(scores: Artifact, *, first: int = 1, last: int = 100, seed: int = 0) -> Decay:
    """Fit the mean curve of a teacher's probabilities over the ranks it gives its candidates.

    P = σ(z) of logits, e^s of log-probabilities. Raises BadInput for similarities and ranks, which
    have none.
    """
    from ...selection.targeted import log_probabilities

    kind = scores.metadata["kind"]
    if not has_probability(kind):
        raise BadInput(
            f"a {kind} has no probability, so there is no curve of probabilities",
            where=scores.path,
            do="give scores of a teacher with logits, or fit a run's own positive scores",
        )
    curves, row = np.full((scores.rows, last), np.nan), 0
    for table in scores.tables():
        offsets, flat = list_values(table["logit"])
        s = log_probabilities(flat.astype(np.float64), kind)
        own = curves[row : row + table.num_rows]
        in_threads(partial(_falling, np.exp(s), offsets, own), offsets)
        row += table.num_rows
    return fit_decay(curves, first, last, seed=seed)


def _falling(
    values: np.ndarray, offsets: np.ndarray, out: np.ndarray, start: int, stop: int
) -> None:
    native.falling(values, offsets, start, stop, out)


def dimension_of(vectors: Artifact, *, seed: int = 0) -> dict[str, Any]:
    """Estimate TwoNN's dimension of an encoder's unit vectors, on a keyed draw of at most 5,000.

    Returns value, low, high (95 % bootstrap), rows, dropped copies, and `of`, how many there are.
    """
    stored = Vectors(vectors)
    rows = np.arange(len(stored))
    if len(rows) > MOST_VECTORS:
        rows = np.sort(generator(seed, "dataset.dimension").permutation(rows)[:MOST_VECTORS])
    drawn = stored.rows(rows).astype(np.float64)
    norm = np.sqrt((drawn * drawn).sum(axis=1, keepdims=True))
    drawn = drawn[norm[:, 0] > 0] / norm[norm[:, 0] > 0]
    return {**asdict(intrinsic_dimension(drawn, seed=seed)), "of": len(stored)}


def describe_artifact(artifact: Artifact, **options: Any) -> dict[str, Any]:
    """Summarise statistics, a teacher's scores or vectors as plain JSON values; see the parts."""
    from .summary import summarise

    if artifact.kind == "scores":
        decay = decay_of(artifact)
        return {"decay": {**asdict(decay), "best": decay.best}}
    if artifact.kind == "vectors":
        return {"intrinsic_dimension": dimension_of(artifact)}
    return summarise(artifact, **options)
