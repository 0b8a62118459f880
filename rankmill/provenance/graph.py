"""The provenance graph of artifacts, with the cost of making each and what comes along each edge.

A node's own cost is that of its ledger. Along an edge comes what making its source cost with all
behind it; what several nodes of the graph use is split equally among them. So what comes into a
node, with its own cost, is what goes out of it, and what reaches the last nodes is the cost of the
whole graph, every artifact counted once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from rankmill.mining.errors import RankmillError
from rankmill.mining.store import ledger

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact

GONE = "gone"  # an artifact that another was made from, no longer in the workspace
SECONDS = ("cpu_s", "compile_s", "start_s", "overhead_s", "gpu_s")


@dataclass(frozen=True, slots=True)
class Node:
    """An artifact: its ledger, and in which state that is (whole, missing, damaged; gone: the
    artifact itself is)."""

    key: str
    kind: str
    name: str
    rows: int
    bytes: int
    cost: Mapping[str, Any]
    state: str
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> float:
        """Processor and accelerator seconds of making it, without what it was made from."""
        return sum(float(self.cost.get(line) or 0.0) for line in SECONDS)


@dataclass(frozen=True, slots=True)
class Edge:
    """`target` was made from `source`, in these roles; `seconds` come along."""

    source: str
    target: str
    roles: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by key, inputs first; edges; the last nodes."""

    nodes: Mapping[str, Node]
    edges: Sequence[Edge]
    roots: Sequence[str]
    into: Mapping[str, Sequence[Edge]]

    @property
    def seconds(self) -> float:
        """What all of it cost, every artifact once: seconds of processor and accelerator."""
        return sum(node.own for node in self.nodes.values())

    def total(self, line: str) -> float:
        """Return the sum of one line of the ledgers."""
        return sum(float(node.cost.get(line) or 0.0) for node in self.nodes.values())

    def brought(self, key: str) -> float:
        """Return a node's own seconds with those that come into it."""
        return self.nodes[key].own + sum(edge.seconds for edge in self.into[key])

    def unknown(self) -> list[Node]:
        """Return the nodes whose cost is not known, and so is in no sum."""
        return [node for node in self.nodes.values() if node.state != ledger.WHOLE]


def graph_of(wanted: Sequence[Artifact]) -> Graph:
    """Return the graph of artifacts and all that they were made from.

    An input that is no longer in the workspace, or cannot be opened, is a node that says so.
    """
    aliases: dict[str, str] = {}
    for one in wanted[:1]:
        aliases = {alias.fingerprint: name for name, alias in one.workspace.names().items()}
    nodes: dict[str, Node] = {}
    for artifact in wanted:
        _visit(artifact, nodes, aliases)
    return connected(nodes)


def connected(nodes: Mapping[str, Node]) -> Graph:
    """Return the graph of nodes, inputs first, with what comes along each edge."""
    users: dict[str, list[str]] = {key: [] for key in nodes}
    for node in nodes.values():
        for source in dict.fromkeys(node.inputs.values()):
            users[source].append(node.key)
    leaving: dict[str, Fraction] = {}
    edges, into = [], dict[str, list[Edge]]()
    for node in nodes.values():  # inputs first
        coming = {s: leaving[s] / len(users[s]) for s in dict.fromkeys(node.inputs.values())}
        leaving[node.key] = Fraction(node.own) + sum(coming.values(), Fraction())
        into[node.key] = [
            Edge(source, node.key, _roles(node, source), float(seconds))
            for source, seconds in coming.items()
        ]
        edges += into[node.key]
    return Graph(nodes, edges, [key for key in nodes if not users[key]], into)


def _roles(node: Node, source: str) -> tuple[str, ...]:
    return tuple(role for role, key in node.inputs.items() if key == source)


def _visit(artifact: Artifact, nodes: dict[str, Node], aliases: Mapping[str, str]) -> None:
    if artifact.fingerprint in nodes:
        return
    for role, key in artifact.inputs.items():
        if key in nodes:
            continue
        try:
            behind = artifact.input(role)
        except RankmillError:
            kind = artifact.manifest["inputs"][role]["kind"]
            nodes[key] = Node(key, kind, aliases.get(key, key[:12]), 0, 0, {}, GONE)
        else:
            _visit(behind, nodes, aliases)
    nodes[artifact.fingerprint] = Node(
        artifact.fingerprint,
        artifact.kind,
        aliases.get(artifact.fingerprint, artifact.fingerprint[:12]),
        artifact.rows,
        artifact.bytes,
        artifact.cost(),
        ledger.state(artifact.path),
        artifact.inputs,
    )
