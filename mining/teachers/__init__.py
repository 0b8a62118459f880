"""Teachers: what scores (query, document) pairs, and the store in which a pair is scored once."""

from .base import SCORE_KINDS, TEACHERS
from .bi_encoder import BiEncoder
from .cross_encoder import CrossEncoder
from .scores import score_pool, teacher_of

__all__ = ["SCORE_KINDS", "TEACHERS", "BiEncoder", "CrossEncoder", "score_pool", "teacher_of"]
