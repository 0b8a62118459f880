"""Studies: a recipe, its stages carried out, its systems judged and compared, cost beside gain."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _Verb(ModuleType):
    """`rankmill.study` is this folder, and the verb too: `rm.study("recipe.toml")`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Carry out a study: `rankmill.api.study`."""
        api = importlib.import_module("rankmill.api")  # which stands on this folder
        return api.study(*args, **kwargs)


sys.modules[__name__].__class__ = _Verb
