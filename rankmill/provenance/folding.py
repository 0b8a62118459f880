"""A graph with few boxes and arrows: artifacts of one kind that were made from the same kinds of
things are one node, however many samplers, losses and seeds there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rankmill.mining.parts.told import counted
from rankmill.provenance.graph import Graph, Node, connected

_PEAK = "peak_"  # lines of memory, of several the largest; all other numbers of a ledger add up
_NAMELESS = 12  # characters of a fingerprint, which stand for a name where there is none
Class = tuple[str, str, frozenset[int]]


def folded(graph: Graph) -> Graph:
    """Return the graph with equal nodes in one: equal are those of the same kind and state whose
    inputs are equal. Costs, rows and bytes add up, of memory it is the largest.

    An edge that a longer way stands for is left out, so what comes along is split anew: among those
    who use a node directly.
    """
    number: dict[Class, int] = {}
    place: dict[str, int] = {}
    members: list[list[Node]] = []
    for node in graph.nodes.values():  # inputs first
        own = node.kind, node.state, frozenset(place[source] for source in node.inputs.values())
        if own not in number:
            number[own] = len(members)
            members.append([])
        place[node.key] = number[own]
        members[place[node.key]].append(node)
    keys = [mine[0].key for mine in members]
    nodes = {key: _one(mine, place, keys) for key, mine in zip(keys, members, strict=True)}
    return connected(_without_shortcuts(nodes))


def _one(mine: Sequence[Node], place: Mapping[str, int], keys: Sequence[str]) -> Node:
    first = mine[0]
    inputs = {role: keys[place[source]] for node in mine for role, source in node.inputs.items()}
    if len(mine) == 1:
        return replace(first, inputs=inputs)
    return replace(
        first,
        name=_named(mine),
        rows=sum(node.rows for node in mine),
        bytes=sum(node.bytes for node in mine),
        cost=_together(mine),
        inputs=inputs,
    )


def _named(mine: Sequence[Node]) -> str:
    names = sorted({n.name for n in mine if n.name != n.key[:_NAMELESS]})
    return f"{len(mine)}: {', '.join(names)}" if names else counted(len(mine), "artifact")


def _together(mine: Sequence[Node]) -> Mapping[str, Any]:
    lines: dict[str, float] = {}
    for node in mine:
        for line, value in node.cost.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                before = lines.get(line, 0.0)
                lines[line] = max(before, value) if line.startswith(_PEAK) else before + value
    return lines


def _without_shortcuts(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """Return the nodes without the inputs that another input was made from, however far back."""
    behind: dict[str, set[str]] = {}
    kept: dict[str, Node] = {}
    for key, node in nodes.items():
        sources = set(node.inputs.values())
        further = set[str]().union(*(behind[source] for source in sources))
        behind[key] = sources | further
        direct = {role: source for role, source in node.inputs.items() if source not in further}
        kept[key] = replace(node, inputs=direct)
    return kept
