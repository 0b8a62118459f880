"""Paths as people give them: `~` is the home folder, where no shell has put it in before."""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError


def path_given(path: str | Path) -> Path:
    """Return a path with `~` and `~name` at its beginning written out.

    A shell does so at the beginning of a word only: not inside `cross_encoder(model=~/x)`, nor in a
    recipe. What is there by the very name stays, and so does `~name` where nobody has that name.
    """
    if not isinstance(path, str | Path):
        raise UsageError(f"{path!r} is no path", do="give a text or a pathlib.Path")
    plain = Path(path)
    if not str(path).startswith("~") or plain.exists():
        return plain
    try:
        return plain.expanduser()
    except RuntimeError:  # no such user, or no home
        return plain
