"""Groups from groups: cuts of their queries, cells of designs, other sizes, other labels."""

from .augment import rescore_groups, subsample_groups
from .blocks import BlockedCell, cross_cells, groups_of_cell
from .cells import crossed_cells
from .cuts import CUTS, Cut, cut_groups
from .targets import TARGETS, Target, retarget_groups

__all__ = [
    "CUTS",
    "TARGETS",
    "BlockedCell",
    "Cut",
    "Target",
    "cross_cells",
    "crossed_cells",
    "cut_groups",
    "groups_of_cell",
    "rescore_groups",
    "retarget_groups",
    "subsample_groups",
]
