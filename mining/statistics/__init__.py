"""Statistics of groups and candidate lists, as values, columns and an artifact."""

from .base import STATISTICS, Rows, Statistic
from .measure import default_statistics, measure, measure_groups, measure_pool
from .summaries.summary import summarise

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
