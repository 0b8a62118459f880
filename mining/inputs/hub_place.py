"""Where the local cache of the Hugging Face Hub is, what of it is known, and whether the network
may be used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .given_paths import path_given

_ON = ("1", "true", "yes", "on")


def cache_folder() -> Path:
    """Return the cache as the environment names it now, else where the library keeps it."""
    from huggingface_hub import constants

    if given := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return path_given(given).absolute()
    if home := os.environ.get("HF_HOME"):
        return path_given(home).absolute() / "hub"
    return Path(constants.HF_HUB_CACHE)


def is_offline() -> bool:
    """Say whether the user forbids the network."""
    from huggingface_hub import constants

    return os.environ.get("HF_HUB_OFFLINE", "").lower() in _ON or bool(constants.HF_HUB_OFFLINE)


def recorded_names(name: str, revision: str, kind: str) -> list[str] | None:
    """Return all names of a repository as the cache has them since a download; None for none.

    `kind`: of the repository, "model" or "dataset".
    """
    import huggingface_hub
    from huggingface_hub import errors

    recorded = getattr(huggingface_hub, "get_cached_repo_tree", None)  # since 2.0
    if recorded is None:
        return None
    try:
        files = recorded(name, repo_type=kind, revision=revision, cache_dir=cache_folder())
    except errors.CachedRepoTreeNotFoundError:
        return None
    return [one.path for one in files]


def revisions_held(name: str, kind: str) -> list[str]:
    """Return the branches, tags and commits of a repository that the cache holds."""
    held = cache_folder() / f"{kind}s--{name.replace('/', '--')}"
    return _names(held / "refs", nested=True) + _names(held / "snapshots")


def models_in_cache() -> list[str]:
    """Return the models that the cache holds something of, OWNER/NAME each."""
    kept = (n for n in _names(cache_folder()) if n.startswith("models--"))
    return [name.removeprefix("models--").replace("--", "/", 1) for name in kept]


def failures() -> tuple[type[Exception], ...]:
    """Return what the library raises where something cannot be fetched."""
    from huggingface_hub.errors import HfHubHTTPError

    # The class below HfHubHTTPError is that of the library which speaks HTTP: failed connections.
    connection: Any = HfHubHTTPError.__mro__[1]
    return HfHubHTTPError, connection, OSError


def _names(folder: Path, nested: bool = False) -> list[str]:
    if not folder.is_dir():
        return []
    paths = folder.rglob("*") if nested else folder.iterdir()
    return sorted(p.relative_to(folder).as_posix() for p in paths if not nested or p.is_file())
