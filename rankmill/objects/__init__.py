"""What the verbs of Python return, and how verbs and methods are made from requests."""

from __future__ import annotations

from rankmill.objects.base import Object, as_object
from rankmill.objects.judged import Comparison, Evaluation
from rankmill.objects.kinds import (
    Collection,
    Groups,
    Pool,
    Run,
    Scores,
    Statistics,
    Student,
)
from rankmill.objects.verbs import verb

__all__ = [
    "Collection",
    "Comparison",
    "Evaluation",
    "Groups",
    "Object",
    "Pool",
    "Run",
    "Scores",
    "Statistics",
    "Student",
    "as_object",
    "verb",
]
