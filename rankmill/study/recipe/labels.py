"""Short names that a recipe gives its sources, written out: as specifications or as labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rankmill.mining import names
from rankmill.mining.errors import UsageError

MADE_OF = frozenset({"of"})  # parameters of a source that hold sources
DRAWN_FROM = frozenset({"source", "sources", "target", "a", "b"})  # those of what reads a pool


def written_out(text: str, sources: Mapping[str, str], seen: tuple[str, ...] = ()) -> str:
    """Return a source's text with the short names of sources that it is made of written out."""

    def written(word: str) -> Any:
        if word not in sources:
            return word
        if word in seen:
            raise UsageError(f"source {word!r} is made of itself", where=" → ".join(seen))
        return names.parse(written_out(sources[word], sources, (*seen, word)))

    from rankmill.mining.sources import SOURCES

    return names.text_of(_with(names.parse(text), SOURCES, MADE_OF, written))


def with_labels(text: str, family: names.Family, labels: Mapping[str, str]) -> str:
    """Return a text with the labels of runs where it names sources by the recipe's short names."""
    parsed = names.parse(text)
    return names.text_of(_with(parsed, family, DRAWN_FROM, lambda word: labels.get(word, word)))


def cut_with_labels(text: str, labels: Mapping[str, str]) -> str:
    """Return a cut's text with the labels of runs where its statistics name sources by the recipe's
    short names."""
    from rankmill.mining.derive import CUTS
    from rankmill.mining.statistics import STATISTICS

    def labelled(column: str) -> str:
        if column.partition("(")[0] not in STATISTICS.names():
            return column  # no statistic: nothing measures it
        said = with_labels(column, STATISTICS, labels)
        if said == with_labels(column, STATISTICS, {}):
            return column
        return STATISTICS.text(STATISTICS.parse(said))

    return str(CUTS.parse(text).renamed(labelled))


def _with(value: Any, family: names.Family, keys: frozenset[str], change: Any) -> Any:
    """Return a parsed value with the words under some parameters changed, positional ones too."""
    if not isinstance(value, names.Call):
        return value
    value = family.named(value)
    named = tuple(
        (key, (_words if key in keys else _with)(part, family, keys, change))
        for key, part in value.named
    )
    return names.Call(value.name, value.positional, named)


def _words(value: Any, family: names.Family, keys: frozenset[str], change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_words(v, family, keys, change) for v in value)
    return _with(value, family, keys, change)
