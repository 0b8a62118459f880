"""Training groups: their format, the files of other tools, and groups made of groups."""

from .format import Groups

__all__ = ["Groups"]
