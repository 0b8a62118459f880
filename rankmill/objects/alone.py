"""Pieces that work without the rest: one's own triples as groups, near copies among texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill.handles import workspace_at
from rankmill.mining.actors import Execution
from rankmill.mining.errors import UsageError
from rankmill.mining.store.aliases import check_name
from rankmill.objects.door import door
from rankmill.objects.kinds import Groups
from rankmill.objects.showing import showing

if TYPE_CHECKING:
    import polars

    from rankmill.mining.store import Workspace


@door
def from_triples(
    triples: Any,
    *,
    test: Any = None,
    kind: str | None = None,
    size: int | None = None,
    on: Sequence[str] = ("duplicate_document=drop",),
    workspace: Workspace | str | Path | None = None,
    name: str | None = None,
    executor: Execution | None = None,
    progress: bool | None = None,
) -> Groups:
    """Return training triples of one's own as groups, to be audited, exported or trained on.

    `triples`: tuples (query, positive, negative, …), dictionaries, or a table with columns such as
    query or anchor, positive, negative or negative_1, …; where they have scores, `kind` says what
    those are, logit or similarity, say. Without scores a positive has 1 and a negative 0.
    `test`: pairs (query, positive) that are held out, {query: positive}, or a table: the audit
    looks for them among the triples. `size`: documents per group, where rows differ. `on`: what is
    done with odd rows (docs/data.md); by default one whose negative is its own positive is left out
    and counted in `groups.counts`.

    Example:
        groups = rm.from_triples([("who sings", "birds", "fish")], test={"who sang": "birds"})
        groups.audit()["leakage"]
    """
    from rankmill.mining.groups.triples import groups_of_triples

    place = workspace_at(workspace)
    if name is not None:
        check_name(name)
    options: dict[str, Any] = {"test": test, "kind": kind, "size": size, "on": on}
    with showing(executor, progress) as shown:
        made = groups_of_triples(place, triples, **options, executor=shown or Execution())
    if name is not None:
        place.alias(name, made)
    return Groups.of(made)


@door
def near_copies(
    texts: Sequence[str], others: Sequence[str] | None = None, *, overlap: float = 0.8
) -> polars.DataFrame:
    """Return the pairs of texts that are nearly the same: `one` and `other`, their places in the
    lists, and their `overlap`, the Jaccard overlap of their folded character shingles.

    Folded means: case, punctuation and white space of any script do not count, nor does the width
    of letters; where a script has no spaces (Chinese, Japanese, Thai, …) none is put in.

    Within `texts`, or between them and `others`: a training set and a test set. Found through
    MinHash and measured exactly; a pair of overlap 0.8 is missed three times in a thousand.

    Example:
        rm.near_copies(["Birds sing loudly.", "birds sing loudly"])
    """
    import numpy as np
    import polars

    from rankmill.mining.text.near_copies import folded, near_pairs, shingled

    if not 0.7 <= overlap <= 1:
        raise UsageError(
            f"overlap={overlap} must be at least 0.7, and at most 1", do="leave it out for 0.8"
        )
    whole = [*texts, *(others or ())]
    side = None if others is None else np.arange(len(whole)) >= len(texts)
    left, right, measured = near_pairs(shingled(folded(whole)), overlap, side=side)
    shift = 0 if others is None else len(texts)
    columns = {"one": left.astype(np.int64), "other": right.astype(np.int64) - shift}
    return polars.DataFrame(columns | {"overlap": measured}).sort("one", "other")
