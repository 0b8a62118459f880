"""Import modules of a package without running what its `__init__` imports."""

from __future__ import annotations

import importlib.util
import sys
import types


def without_init(*names: str) -> None:
    """Make packages importable without their `__init__`, outer ones first."""
    for name in names:
        found = importlib.util.find_spec(name)
        assert found is not None, name
        package = types.ModuleType(name)
        package.__path__ = list(found.submodule_search_locations or ())
        sys.modules[name] = package
