"""How a teacher reads a pair: prompt and words as text, `Asked`, and as ids, `Reading`."""

from .ids import Reading
from .scorer import PairScorer
from .text import ROOM, Asked

__all__ = ["ROOM", "Asked", "PairScorer", "Reading"]
