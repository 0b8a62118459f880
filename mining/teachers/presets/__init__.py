"""Presets: published teachers by name, each the plain value that its authors' code stands for."""

from .table import PRESETS
from .value import Preset

__all__ = ["PRESETS", "Preset"]
