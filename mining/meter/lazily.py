"""Modules that are imported when something of them is first used: a command that finds everything
done loads none of them."""

from __future__ import annotations

import importlib
from typing import Any


class Lazily:
    """Stands for a module until an attribute of it is asked for.

    For modules whose functions all use a heavy library: `else: torch = Lazily("torch")` beside an
    import below `if TYPE_CHECKING`. A function that is alone with it imports it itself.
    """

    def __init__(self, name: str):
        self.name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self.name), attribute)
        setattr(self, attribute, value)  # the next time it is found without a call
        return value
