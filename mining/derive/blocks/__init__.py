"""Blocked designs: every query has one group in every locality × entropy cell."""

from .confounding import confounding
from .design import cross_cells, groups_of_cell
from .difficulty import difficulty
from .orthogonality import orthogonality
from .values import BlockedCell

__all__ = [
    "BlockedCell",
    "confounding",
    "cross_cells",
    "difficulty",
    "groups_of_cell",
    "orthogonality",
]
