"""Where the nodes of a graph stand: layers from left to right, few crossings, short edges.

The usual four steps (Sugiyama, Tagawa and Toda, 1981): a node's layer is one behind the last of its
inputs; an edge over several layers gets a bend in each; each layer is ordered by the mean place of
its neighbours, to and fro; then nodes move towards their neighbours as far as the order allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SWEEPS = 12
Item = tuple[str, ...]  # a node (key,), or the bend of an edge (source, target, layer)


@dataclass(frozen=True, slots=True)
class Place:
    """Layer, counted from the left, and height in units of one node."""

    layer: int
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of nodes, and of the bends of each edge from source to target."""

    nodes: Mapping[str, Place]
    bends: Mapping[tuple[str, str], Sequence[Place]]
    layers: int
    height: float


def arrange(nodes: Sequence[str], edges: Sequence[tuple[str, str]], bend: float = 0.45) -> Layout:
    """Place nodes (inputs before what is made of them) and edges (source, target).

    `bend`: the height that an edge takes where it passes other nodes.
    """
    layer = _layers(nodes, edges)
    columns: list[list[Item]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for node in nodes:
        columns[layer[node]].append((node,))
    links: list[tuple[Item, Item]] = []
    for source, target in edges:
        way: list[Item] = [(source,)]
        for between in range(layer[source] + 1, layer[target]):
            item = (source, target, str(between))
            columns[between].append(item)
            way.append(item)
        way.append((target,))
        links += zip(way[:-1], way[1:], strict=True)
    near = _neighbours(links)
    _order(columns, near)
    heights = _heights(columns, near, bend)
    placed = {
        item: Place(number, heights[item])
        for number, column in enumerate(columns)
        for item in column
    }
    bends = {
        (s, t): [placed[s, t, str(between)] for between in range(layer[s] + 1, layer[t])]
        for s, t in edges
    }
    tall = max((place.height for place in placed.values()), default=0.0)
    return Layout({node: placed[node,] for node in nodes}, bends, len(columns), tall + 1)


def _layers(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return the layer of each node; one without inputs stands right before its first use."""
    behind: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        behind[target].append(source)
    layer: dict[str, int] = {}
    for node in nodes:
        layer[node] = 1 + max((layer[source] for source in behind[node]), default=-1)
    for node in nodes:
        used = [layer[target] for source, target in edges if source == node]
        if not behind[node] and used:
            layer[node] = min(used) - 1
    return layer


def _neighbours(links: Sequence[tuple[Item, Item]]) -> dict[Item, tuple[list[Item], list[Item]]]:
    near: dict[Item, tuple[list[Item], list[Item]]] = {}
    for source, target in links:
        near.setdefault(source, ([], []))[1].append(target)
        near.setdefault(target, ([], []))[0].append(source)
    return near


def _order(columns: list[list[Item]], near: Mapping[Item, tuple[list[Item], list[Item]]]) -> None:
    """Order each column by the mean place of its neighbours in the one before, then behind."""
    for sweep in range(_SWEEPS):
        side = sweep % 2  # 0: left to right, looking at inputs
        place = {item: i for column in columns for i, item in enumerate(column)}
        for column in columns if side == 0 else reversed(columns):
            key = {}
            for item in column:
                others = near.get(item, ([], []))[side]
                key[item] = sum(place[o] for o in others) / len(others) if others else place[item]
            column.sort(key=lambda item: (key[item], item))
            place |= {item: i for i, item in enumerate(column)}


def _heights(
    columns: list[list[Item]],
    near: Mapping[Item, tuple[list[Item], list[Item]]],
    bend: float,
) -> dict[Item, float]:
    """Return heights that keep the order and the room of each item, near those of neighbours."""
    room = {item: 1.0 if len(item) == 1 else bend for column in columns for item in column}
    height: dict[Item, float] = {}
    for column in columns:
        at = 0.0
        for item in column:
            height[item] = at
            at += room[item]
    for _ in range(_SWEEPS):
        for column in (*columns, *reversed(columns)):
            wished = {}
            for item in column:
                others = [o for side in near.get(item, ([], [])) for o in side]
                mean = sum(height[o] for o in others) / len(others) if others else height[item]
                wished[item] = mean
            for item, at in _apart(column, wished, room).items():
                height[item] = at
    least = min(height.values(), default=0.0)
    return {item: at - least for item, at in height.items()}


def _apart(
    column: Sequence[Item], wished: Mapping[Item, float], room: Mapping[Item, float]
) -> dict[Item, float]:
    """Return the heights nearest to those wished that leave each item its room, in order.

    Items that would overlap form a block, which stands at the mean of what its members wish (pool
    adjacent violators: the least squares under the order).
    """
    before, at = {}, 0.0
    for i, item in enumerate(column):
        at += (room[column[i - 1]] + room[item]) / 2 if i else 0.0
        before[item] = at
    blocks: list[tuple[float, list[Item]]] = []
    for item in column:
        blocks.append((wished[item] - before[item], [item]))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (high, one), (low, other) = blocks[-2:]
            mean = (high * len(one) + low * len(other)) / (len(one) + len(other))
            blocks[-2:] = [(mean, one + other)]
    return {item: shift + before[item] for shift, block in blocks for item in block}
