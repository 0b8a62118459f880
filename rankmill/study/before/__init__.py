"""What is looked at before the first stage of a recipe, so that nothing fails after hours of work:
models, sizes of groups, splits."""

from __future__ import annotations

from rankmill.study.before.models import check_models
from rankmill.study.before.sizes import check_sizes
from rankmill.study.before.splits import check_splits_told
from rankmill.study.recipe import Recipe


def look_first(recipe: Recipe, *, fetch: bool = False) -> None:
    """Raise for what can be seen to fail: a model that is not there or has no trained head, groups
    larger than any list, splits that the collection does not have.

    `fetch`: models of the Hub are brought now; else they are only looked for when there is no
    network. `recipe` has the folders of students in place of their names.
    """
    check_sizes(recipe)
    check_splits_told(recipe)
    check_models(recipe, fetch=fetch)
