"""What is looked at before the first stage of a recipe, so that nothing fails after hours of work:
collections, models, files, sizes of groups, splits."""

from __future__ import annotations

from rankmill.study.before.data import Glimpses, Looked, look_at_data
from rankmill.study.before.missing import is_here, refuse_missing
from rankmill.study.before.sizes import check_sizes
from rankmill.study.before.splits import check_splits_told
from rankmill.study.recipe import Recipe


def look_first(
    recipe: Recipe,
    *,
    fetch: bool = False,
    data: bool = True,
    seen: Glimpses | None = None,
    collected: bool = False,
) -> Looked:
    """Raise for what can be seen to fail: groups larger than any list, splits that the collection
    does not have, in one list all that is not there (collections, files, models, and models
    without the trained head that is asked for), and what the data that are there cannot give:
    depths beyond the corpus, fields, positives. Returns what was not looked at, and what is to say.

    `fetch`: models of the Hub are brought now; else they are only looked for when there is no
    network. Without `data` a recipe is looked at whose collections and files may be elsewhere.
    `recipe` has the folders of students in place of their names. `seen`: what was seen before of
    collections, which is added to. `collected`: collections are not looked at, since the caller
    compares what was read of them before (`data.compare_held`).
    """
    check_sizes(recipe)
    check_splits_told(recipe)
    refuse_missing(recipe, fetch=fetch, data=data)
    if collected:
        return Looked()
    return look_at_data(recipe, is_here, {} if seen is None else seen)
