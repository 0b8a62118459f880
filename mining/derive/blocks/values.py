"""The value that names one cell of a blocked design, and what the search reads from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ....native import blocks as native
from ...errors import UsageError
from ...options import Option
from ...parts.costs import VECTORS
from ...parts.parameters import ENTROPY, LEVELS, LOCALITY, NEAR, SURE
from ...score_kinds import refuse_ranks
from ...selection.base import STRATEGIES, Candidates
from ...selection.strategies import FromScores
from ...statistics import STATISTICS
from ...statistics.base import scale_code
from ...statistics.entropy import PairEntropy
from ...statistics.locality import Diameter, Radius

_ROLES = {None: native.ALL_PAIRS, "pos_neg": native.POS_NEG, "neg_neg": native.NEG_NEG}
_RADII = {"mean": native.MEAN_RADIUS, "max": native.MAX_RADIUS}
MOST_STEPS = 1_000_000
LEAST_STEP = 1e-6  # distances are float32: a smaller step may be rounding


@STRATEGIES.register("blocked_cell", VECTORS)
@dataclass(frozen=True, slots=True)
class BlockedCell(FromScores):
    """One cell of a design in which every query has a group in each of bins × bins cells.

    `near` counts locality levels from the nearest, `sure` entropy levels from the lowest, 0 …
    bins − 1. Levels are the query's own: those of locality lie around the middle of what its groups
    can have, the outer ones `span` of that range apart; those of entropy likewise within what is
    found at *every* locality level, so all cells of one `near` share a locality target and all of
    one `sure` an entropy target. A group comes within `tolerance` of the step between neighbouring
    levels, in both; steps below `locality_step` and `entropy_step` (bits) are no contrast. `steps`
    swaps are tried per search. The probability of a document has no closed form: NaN.
    """

    near: Annotated[int, NEAR]
    sure: Annotated[int, SURE]
    locality: Annotated[str, LOCALITY] = "radius"
    entropy: Annotated[str, ENTROPY] = "pair_entropy"
    bins: Annotated[int, LEVELS] = 2
    span: Annotated[float, Option("Share of a query's range between its outer levels.")] = 0.5
    tolerance: Annotated[float, Option("How far a group may be off, in steps between levels.")] = (
        0.1
    )
    locality_step: Annotated[float, Option("Least step between levels of locality.")] = 0.01
    entropy_step: Annotated[float, Option("Least step between levels of entropy.", unit="bits")] = (
        0.01
    )
    steps: Annotated[int, Option("Swaps tried per search.", unit="swaps")] = 10_000

    def __post_init__(self) -> None:
        for name in ("locality", "entropy"):
            text = STATISTICS.text(STATISTICS.parse(getattr(self, name)))
            object.__setattr__(self, name, text)
        self._check_measures()
        if not 2 <= self.bins <= 16:
            raise UsageError(f"bins={self.bins} makes no cells", do="give 2 to 16")
        if not (0 <= self.near < self.bins and 0 <= self.sure < self.bins):
            raise UsageError(
                f"near={self.near},sure={self.sure} is no cell of {self.bins} × {self.bins}",
                do=f"count from 0 to {self.bins - 1}",
            )
        if not 0.0 < self.span <= 1.0:
            raise UsageError(
                f"span={self.span} is no share of a range", do="give a number above 0, at most 1"
            )
        if not 0.0 < self.tolerance < 0.5:
            raise UsageError(
                f"tolerance={self.tolerance} is no share of a step that keeps cells apart",
                do="give a number above 0 and below 0.5",
            )
        for name in ("locality_step", "entropy_step"):
            if not LEAST_STEP <= getattr(self, name) < math.inf:
                raise UsageError(
                    f"{name}={getattr(self, name)} is no contrast", do="give 0.01, at least 1e-6"
                )
        if not 1 <= self.steps <= MOST_STEPS:
            raise UsageError(f"steps={self.steps} is too few or many", do="give 1 to 1,000,000")

    def _check_measures(self) -> None:
        locality, entropy = STATISTICS.parse(self.locality), STATISTICS.parse(self.entropy)
        radius = isinstance(locality, Radius) and locality.to == "positive"
        if not radius and not (isinstance(locality, Diameter) and locality.q == 1.0):
            raise UsageError(
                f"locality={self.locality} cannot be aimed at",
                do="choose radius, radius(of=max) or diameter, of either metric",
            )
        if not isinstance(entropy, PairEntropy) or entropy.pairs not in _ROLES:
            raise UsageError(
                f"entropy={self.entropy} cannot be aimed at",
                do="choose pair_entropy(T=…,score=…,pairs=pos_neg), or neg_neg in the place of it",
            )

    @property
    def design(self) -> str:
        """The text of what all cells share: that of the first cell."""
        return str(self.at(0, 0))

    def at(self, near: int, sure: int) -> BlockedCell:
        """Return another cell of the same design."""
        shared = {name: getattr(self, name) for name in self.__slots__}
        return BlockedCell(**{**shared, "near": near, "sure": sure})

    @property
    def cells(self) -> list[tuple[int, int]]:
        """(near, sure) of every cell, in the order of the design's rows."""
        return [(near, sure) for near in range(self.bins) for sure in range(self.bins)]

    @property
    def needs(self) -> frozenset[str]:
        """Vectors of the documents."""
        return frozenset({"vectors"})

    def bind(self, labels: Sequence[str]) -> BlockedCell:
        """Refuse to be chosen query by query."""
        raise UsageError(
            f"{self} is one cell of a design whose blocks are chosen whole",
            do="make all its cells: rm.cross(pool, scores, encoder=…) or `rankmill cross`",
        )

    def reach(self, candidates: Candidates, size: int) -> np.ndarray:
        """Return the allowed candidates."""
        return np.flatnonzero(candidates.allowed)

    def inclusion(self, candidates: Candidates, reach: np.ndarray, size: int) -> np.ndarray:
        """Unknown."""
        return np.full(len(reach), np.nan)

    def choose(
        self, candidates: Candidates, reach: np.ndarray, size: int, draws: np.random.Generator
    ) -> np.ndarray:
        """Never asked: see `bind`."""
        raise AssertionError("blocks are chosen whole")

    def scale_for(self, kind: str) -> int:
        """Return the kernels' code for reading scores of `kind` as the entropy does.

        Raises UsageError where there is no such scale.
        """
        refuse_ranks(kind, self.entropy)
        entropy: PairEntropy = STATISTICS.parse(self.entropy)
        code = scale_code(kind, entropy.score)
        if code is None:
            raise UsageError(
                f"{self.entropy} has no value for scores of kind {kind}",
                do="for similarities write entropy=pair_entropy(T=0.05,score=raw)",
            )
        return code

    def search_arguments(self) -> tuple[int, bool, int]:
        """Return (kind of locality, cosine, role of the pairs) as the kernel wants them."""
        locality, entropy = STATISTICS.parse(self.locality), STATISTICS.parse(self.entropy)
        kind = _RADII[locality.of] if isinstance(locality, Radius) else native.DIAMETER
        return kind, locality.metric == "cosine", _ROLES[entropy.pairs]
