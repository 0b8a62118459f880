"""Teachers: what scores (query, document) pairs, and the store in which a pair is scored once."""

from ..score_kinds import SCORE_KINDS
from .base import TEACHERS
from .scores import score_pool, teacher_of

__all__ = ["SCORE_KINDS", "TEACHERS", "score_pool", "teacher_of"]
