"""Which source of a pool a `source=` parameter means."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import BadInput, UsageError
from ..names import nearest


def label_of(source: str | None, labels: Sequence[str], what: str) -> str:
    """Return the pool column that a `source=` parameter means.

    A label in full, or the name before its bracket where only one label has it. None is allowed for
    a pool of one source. Raises UsageError naming the labels.
    """
    known = f"the pool has: {', '.join(labels) or 'no source'}"
    if source is None:
        if len(labels) == 1:
            return labels[0]
        raise UsageError(f"{what} must name its source: the pool has {len(labels)}", do=known)
    if source in labels:
        return source
    matching = [label for label in labels if label.partition("(")[0] == source]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UsageError(f"{what}: {len(matching)} sources are called {source}", do=known)
    raise BadInput(
        f"{what}: the pool has no source {source!r}", where=known, do=nearest(source, list(labels))
    )
