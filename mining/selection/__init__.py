"""Selection: from a scored pool to groups; strategies choose negatives, filters remove some."""

from .base import FILTERS, STRATEGIES, Candidates, Filter, Strategy
from .select import select_groups

__all__ = ["FILTERS", "STRATEGIES", "Candidates", "Filter", "Strategy", "select_groups"]
