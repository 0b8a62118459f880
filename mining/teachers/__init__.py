"""Teachers: what scores (query, document) pairs, and the store in which a pair is scored once."""

from ..score_kinds import SCORE_KINDS
from .base import TEACHERS
from .bi_encoder import BiEncoder
from .causal_lm import CausalLm
from .cross_encoder import CrossEncoder
from .scores import score_pool, teacher_of
from .seq2seq import Seq2Seq

__all__ = [
    "SCORE_KINDS",
    "TEACHERS",
    "BiEncoder",
    "CausalLm",
    "CrossEncoder",
    "Seq2Seq",
    "score_pool",
    "teacher_of",
]
