"""Selection: a scored pool to groups, cuts of their queries, other targets for the same groups."""

from . import conditions, filters, quotas, strategies, targeted, weighted  # noqa: F401  (registers)
from .augment import rescore_groups, subsample_groups
from .base import FILTERS, STRATEGIES, Candidates, Filter, Strategy
from .blocks import BlockedCell, cross_cells, groups_of_cell
from .cells import crossed_cells
from .cuts import CUTS, Cut, cut_groups
from .select import select_groups
from .targets import TARGETS, Target, retarget_groups

__all__ = [
    "CUTS",
    "FILTERS",
    "STRATEGIES",
    "TARGETS",
    "BlockedCell",
    "Candidates",
    "Cut",
    "Filter",
    "Strategy",
    "Target",
    "cross_cells",
    "crossed_cells",
    "cut_groups",
    "groups_of_cell",
    "rescore_groups",
    "retarget_groups",
    "select_groups",
    "subsample_groups",
]
