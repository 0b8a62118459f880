"""Groups for other trainers: one file per layout, each written whole or not at all.

`export_groups` writes; `EXPORTS` are the formats by canonical text.
"""

from .base import EXPORTS, Format
from .export import SIDECAR, Exported, export_groups, format_of

__all__ = ["EXPORTS", "SIDECAR", "Exported", "Format", "export_groups", "format_of"]
