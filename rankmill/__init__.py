"""rankmill: prepare data for ranking distillation, measure every group, know what each step cost.

`import rankmill as rm` is light: the verbs of `rankmill.api` are loaded when one is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rankmill.api import *  # noqa: F403

    __version__: str


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata

        return metadata.version("rankmill")
    if not name.startswith("_") and not _is_module(name):
        from importlib import import_module

        api = import_module("rankmill.api")
        if name in api.__all__:
            return getattr(api, name)
    raise AttributeError(f"module 'rankmill' has no attribute {name!r}")


def _is_module(name: str) -> bool:
    """Say whether `from rankmill import name` means a file or folder: then no verb is loaded."""
    from importlib import util

    verbs_too = ("report", "study")
    return name not in verbs_too and util.find_spec(f"{__name__}.{name}") is not None


def __dir__() -> list[str]:
    from rankmill.api import __all__ as verbs

    return sorted([*verbs, "__version__"])
