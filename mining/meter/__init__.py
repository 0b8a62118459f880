"""What work takes: seconds, memory, bytes, energy, counted so that nothing is counted twice."""

from .blocks import Block, account, measuring, postponing
from .cost import Cost

__all__ = ["Block", "Cost", "account", "measuring", "postponing"]
