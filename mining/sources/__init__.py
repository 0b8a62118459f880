"""Sources: ways to propose candidates. Each mines a run, which the pool then joins."""

from .base import MINERS, SOURCES, mines
from .mine import mine, run_of

__all__ = ["MINERS", "SOURCES", "mine", "mines", "run_of"]
