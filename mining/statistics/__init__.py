"""Statistics of groups and candidate lists, as values, columns and an artifact."""

from . import (  # noqa: F401  (registers the members)
    agreement,
    density_ratio,
    entropy,
    hygiene,
    locality,
    origins,
    shape,
    student,
)
from .base import STATISTICS, Rows, Statistic
from .measure import default_statistics, measure, measure_groups, measure_pool
from .summary import summarise

__all__ = [
    "STATISTICS",
    "Rows",
    "Statistic",
    "default_statistics",
    "measure",
    "measure_groups",
    "measure_pool",
    "summarise",
]
