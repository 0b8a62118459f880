"""Selection: strategies, filters and the stage that turns a scored pool into groups."""

from . import strategies  # noqa: F401  (registers the members)
from .base import FILTERS, STRATEGIES, Candidates, Filter, Strategy
from .select import select_groups

__all__ = ["FILTERS", "STRATEGIES", "Candidates", "Filter", "Strategy", "select_groups"]
