"""Paths as people give them: `~` is the home folder, where no shell has put it in before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .bounds.guards import brief


def path_given(path: str | Path) -> Path:
    """Return a path with `~` and `~name` at its beginning written out.

    A shell does so at the beginning of a word only: not inside `cross_encoder(model=~/x)`, nor in a
    recipe. What is there by the very name stays, and so does `~name` where nobody has that name.

    Raises UsageError for what is no path. An empty text is none: to the system it is the current
    folder, which nobody means who wrote "$DIR" with a variable that is not set.
    """
    if not isinstance(path, str | Path):
        raise UsageError(f"{path!r} is no path", do="give a text or a pathlib.Path")
    if not str(path):
        raise UsageError(
            f"{path!r} is no path: it is empty", do="write the path; the current folder is ."
        )
    plain = Path(path)
    if not str(path).startswith("~") or plain.exists():
        return plain
    try:
        return plain.expanduser()
    except RuntimeError:  # no such user, or no home
        return plain


def check_path(name: str, value: Any) -> None:
    """Refuse what is no path, and a path that no system can open."""
    if not isinstance(value, str | Path):
        raise UsageError(
            f"{name}={brief(value)} is no path", do=f'give a text or a pathlib.Path: {name}="…"'
        )
    if not str(value):
        raise UsageError(f"{name}={value!r} is no path: it is empty", do=f'write {name}="…"')
    if "\0" in str(value):
        raise UsageError(f"{name}={str(value)!r} is no path: it holds a NUL", do="leave it out")
    try:
        os.fsencode(value)
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{name}={str(value)!r} is no path: it holds half a character (a lone surrogate)",
            do="write the path in UTF-8: it was read from bytes in another encoding",
        ) from error
