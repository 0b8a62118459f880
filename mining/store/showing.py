"""Rows of artifacts as people read them: what shows them knows collections, and stands above."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from ..errors import RankmillError

if TYPE_CHECKING:
    from .artifact import Artifact


class ShowsRows(Protocol):
    """What resolves ordinals to ids and texts: it knows collections, which stand on artifacts."""

    def first_rows(self, artifact: Artifact, count: int | None) -> pa.Table:
        """Return the first `count` rows, all for None."""
        ...

    def all_rows(self, artifact: Artifact, *, texts: bool = False) -> Iterator[dict[str, Any]]:
        """Yield every row as a dictionary; `texts`: with those of lists of documents."""
        ...

    def html(self, artifact: Artifact, rows: int = 5, title: str | None = None) -> str:
        """Return the first rows as a notebook shows them, under a title."""
        ...


_shows_rows: list[Callable[[], ShowsRows]] = []


def show_rows_by(load: Callable[[], ShowsRows]) -> None:
    """Say what shows the rows of artifacts; it is loaded when the first are shown."""
    _shows_rows[:] = [load]


def shown() -> ShowsRows:
    """Return what shows rows; raises RankmillError where nothing does."""
    if not _shows_rows:
        raise RankmillError(
            "nothing is loaded that shows the rows of artifacts",
            do="import rankmill.api first (import rankmill does so with the first verb)",
        )
    return _shows_rows[0]()
