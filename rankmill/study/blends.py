"""Blends in recipes: `mixed = "blend(of=[bm25,random],weights=[3,1])"` among the samplers.

Its students are trained on the groups of the samplers that it names, or of groups of the workspace,
each with its share of the examples (docs/training.md, Blends). It draws nothing itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from rankmill.mining.errors import UsageError
from rankmill.mining.names import Family

BLENDS = Family("blend of samplers")


@BLENDS.register("blend")
@dataclass(frozen=True, slots=True)
class SamplerBlend:
    """Groups of several samplers; `weights`: shares of the examples in any unit, default equal."""

    of: tuple[str, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.of) < 2:
            raise UsageError(
                f"a blend of {len(self.of)}: it needs two samplers or more",
                do="write blend(of=[a,b],weights=[3,1])",
            )
        if twice := next((name for name in self.of if self.of.count(name) > 1), None):
            raise UsageError(f"{twice!r} is named twice", do="give it a larger weight")
        if self.weights is not None:
            if len(self.weights) != len(self.of):
                raise UsageError(
                    f"{len(self.weights)} weights for {len(self.of)} samplers",
                    do="give one for each",
                )
            self._counts(self.weights)

    @property
    def shares(self) -> dict[str, float]:
        """The share of the examples of each part by its name, exactly as they are drawn."""
        counts = self._counts(self.weights or (1.0,) * len(self.of))
        return {name: n / sum(counts) for name, n in zip(self.of, counts, strict=True)}

    @staticmethod
    def _counts(weights: tuple[float, ...]) -> tuple[int, ...]:
        from rankmill.training.blend import counts_of

        return counts_of(weights)


def is_blend(text: str) -> bool:
    """Say whether the text of a sampler is a blend of others."""
    return text.partition("(")[0].strip() == BLENDS.names()[0]
