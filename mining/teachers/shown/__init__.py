"""What a teacher reads, shown before anything is scored."""

from .pair import ShownPair, ShownText, show_first_pair

__all__ = ["ShownPair", "ShownText", "show_first_pair"]
