"""Groups that no list of a recipe can fill: refused before anything is mined."""

from __future__ import annotations

from typing import Any

from rankmill.mining.errors import UsageError
from rankmill.study.recipe import Recipe, with_labels


def check_sizes(recipe: Recipe, documents: int | None = None) -> None:
    """Raise UsageError for groups with more negatives than a sampler's lists can have documents.

    Lists are as long as `mine.depth` and `pool.depth` allow, windows as wide as the sampler says;
    what filters remove, nobody knows yet. `documents`: the most that the corpus has, where it was
    looked at; one of them is the positive.
    """
    size, positives = recipe.option("groups", "size"), recipe.option("groups", "positives")
    if positives == "together":  # how many positives a group holds, the judgements say
        return
    depth = recipe.option("mine", "depth")
    if (least := recipe.option("pool", "depth")) is not None:
        depth = min(depth, least)
    if documents is not None:
        depth = min(depth, documents)
    filled = str(recipe.option("groups", "when_short")).startswith("fill")
    for name, text in recipe.strategies.items():
        most, of = _longest(recipe, text, depth)
        if filled:
            most, of = depth * len(recipe.sources), "all sources together"
        if documents is not None and documents - 1 < most:
            most, of = documents - 1, f"the corpus of {documents:,} documents"
        if size - 1 > most:
            raise UsageError(
                f"groups of {size:,} documents need {size - 1:,} negatives, and {name!r} draws "
                f"from {most:,} at most: {of}",
                where=f"{recipe.where}: groups.size, groups.samplers.{name}",
                do=f"choose groups.size={most + 1} or less, or mine deeper (mine.depth={depth})"
                if most
                else "let the window begin before the lists end, or mine deeper "
                f"(mine.depth={depth})",
            )


def _longest(recipe: Recipe, text: str, depth: int) -> tuple[int, str]:
    """Return how many documents a sampler can reach at most, and what that is."""
    from rankmill.mining.selection import STRATEGIES

    strategy: Any = STRATEGIES.parse(with_labels(text, STRATEGIES, {}))
    whole = depth * len(recipe.sources)
    source = getattr(strategy, "source", None)
    if source is None or hasattr(strategy, "target"):
        return whole, f"{len(recipe.sources)} sources, {depth:,} of each"
    last = getattr(strategy, "last", None)
    first = getattr(strategy, "first", 1) or 1
    end = depth if last is None else min(last, depth)
    window = f"the first {end:,}" if first == 1 else f"ranks {first:,} to {end:,}"
    return max(end - first + 1, 0), f"{window} of {source}"
