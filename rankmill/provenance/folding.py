"""A graph with few boxes: artifacts of one kind that were made from the same kinds of things are
one node, however many samplers, losses and seeds there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rankmill.provenance.graph import Edge, Graph, Node

_LARGEST = "peak_rss_bytes"  # of several the largest; all other numbers of a ledger add up
Class = tuple[str, str, frozenset[int]]


def folded(graph: Graph) -> Graph:
    """Return the graph with equal nodes in one: equal are those of the same kind and state whose
    inputs are equal. Costs, rows and bytes add up, of memory it is the largest."""
    number: dict[Class, int] = {}
    place: dict[str, int] = {}
    members: list[list[Node]] = []
    for node in graph.nodes.values():  # inputs first
        behind = frozenset(place[source] for source in node.inputs.values())
        own = node.kind, node.state, behind
        if own not in number:
            number[own] = len(members)
            members.append([])
        place[node.key] = number[own]
        members[place[node.key]].append(node)
    keys = [mine[0].key for mine in members]
    nodes = {key: _one(key, mine, place, keys) for key, mine in zip(keys, members, strict=True)}
    edges: dict[tuple[str, str], Edge] = {}
    for edge in graph.edges:
        ends = keys[place[edge.source]], keys[place[edge.target]]
        before = edges.get(ends)
        roles = dict.fromkeys([*(before.roles if before else ()), *edge.roles])
        seconds = edge.seconds + (before.seconds if before else 0.0)
        edges[ends] = Edge(*ends, tuple(roles), seconds)
    into: dict[str, Sequence[Edge]] = {
        key: [edge for edge in edges.values() if edge.target == key] for key in nodes
    }
    used = {edge.source for edge in edges.values()}
    return Graph(nodes, list(edges.values()), [key for key in nodes if key not in used], into)


def _one(key: str, mine: Sequence[Node], place: Mapping[str, int], keys: Sequence[str]) -> Node:
    first = mine[0]
    if len(mine) == 1:
        name = first.name
    else:
        name = f"{len(mine)}: {', '.join(sorted({node.name for node in mine}))}"
    inputs = {role: keys[place[source]] for node in mine for role, source in node.inputs.items()}
    rows, stored = sum(node.rows for node in mine), sum(node.bytes for node in mine)
    return Node(key, first.kind, name, rows, stored, _together(mine), first.state, inputs)


def _together(mine: Sequence[Node]) -> Mapping[str, Any]:
    lines: dict[str, float] = {}
    for node in mine:
        for line, value in node.cost.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                before = lines.get(line, 0.0)
                lines[line] = max(before, value) if line == _LARGEST else before + value
    return lines
