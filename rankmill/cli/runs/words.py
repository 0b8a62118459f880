"""What is said of a stage under way, from its facts: on the terminal, in lines, by `watch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rankmill.study.words import duration

Facts = Mapping[str, Any]


def line(facts: Facts) -> str:
    """Return a stage under way in one line: name, share, rate, time left."""
    return f"{facts['title']}: {', '.join(pieces(facts))}"


def pieces(facts: Facts, *, brief: bool = False) -> list[str]:
    """Return what there is to say of a stage under way, the most important first; `brief`: as
    short as it can be said."""
    items, left = facts["items"], facts["seconds_left"]
    if not facts["count"]:  # nobody knows how much there is
        return [duration(facts["seconds"])]
    if not facts["work_done"]:
        waited = duration(facts["seconds"])
        return [waited] if brief else [f"none of {counted(facts['count'], items)} yet", waited]
    said = [f"{int(100 * facts['share'])} %"]
    if not brief:
        said[0] += f" of {counted(facts['count'], items)}"
    said.append(rate(facts["rate"], items, brief=brief))
    said.append("" if left is None else f"{duration(left)} left")
    said.append("" if brief else facts["said"])
    return [piece for piece in said if piece]


def ended(facts: Facts) -> str:
    """Return what a stage that is over has come to."""
    done, count, items = facts["count_done"], facts["count"], facts["items"]
    if not count:
        return f"{facts['title']}: {duration(facts['seconds'])}"
    over = facts["share"] >= 1.0
    said = counted(count, items) if over else f"stopped at {done:,} of {counted(count, items)}"
    told = [said + (" in " if over else " after ") + duration(facts["seconds"])]
    if over and count > 1:
        told.append(rate(facts["rate"], items))
    return f"{facts['title']}: {', '.join(filter(None, [*told, facts['said']]))}"


def found(facts: Facts) -> str:
    """Return how much of a stage earlier runs have left, "" for nothing."""
    parts = facts["shards"] + facts["shards_found"]
    if not facts["shards_found"]:
        return ""
    return f"{facts['title']}: {facts['shards_found']:,} of {counted(parts, 'parts')} already there"


def counted(count: int, items: str) -> str:
    """Return `1 query`, `12,345 pairs`."""
    return f"{count:,} {one_of(items) if count == 1 else items}"


def rate(each_second: float, items: str, *, brief: bool = False) -> str:
    """Return `812 pairs/s`, of what takes longer than a second `4.2 s per pair`."""
    if each_second <= 0:
        return ""
    if each_second < 1:
        each = duration(1 / each_second)
        return each if brief else f"{each} per {one_of(items)}"
    number = f"{each_second:,.0f}" if each_second >= 10 else f"{each_second:.1f}"
    return f"{number}/s" if brief else f"{number} {items}/s"


def one_of(items: str) -> str:
    """Return the singular: `query` of `queries`."""
    if items.endswith("ies"):
        return items.removesuffix("ies") + "y"
    return {"units of work": "unit of work"}.get(items) or items.removesuffix("s")


_PLURALS = {"corpus": "corpora", "index": "indexes"}


def kinds(there: Mapping[str, int]) -> str:
    """Return `corpus, 2 runs, scores`: how many artifacts of which kinds."""
    said = []
    for kind, count in there.items():
        many = _PLURALS.get(kind) or (kind if kind.endswith("s") else f"{kind}s")
        said.append(kind if count == 1 else f"{count:,} {many}")
    return ", ".join(said)
