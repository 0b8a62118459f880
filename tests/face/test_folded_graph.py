"""The graph of a report: few boxes and arrows, and every second still in it once."""

from __future__ import annotations

import pytest

from rankmill.provenance.folding import folded
from rankmill.provenance.graph import GONE, Graph, Node, connected

WHOLE = "whole"
PEAKS = ("peak_rss_bytes", "peak_anonymous_bytes", "peak_file_bytes", "peak_gpu_bytes")


def node(key: str, kind: str, seconds: float, *inputs: str, name: str = "") -> Node:
    cost = {"cpu_s": seconds, "wall_s": seconds, "host": "h"}
    cost |= {peak: 100 * seconds for peak in PEAKS}
    roles = {f"in{place}": source for place, source in enumerate(inputs)}
    return Node(key, kind, name or key[:12], 10, 1000, cost, WHOLE, roles)


def graph(*nodes: Node) -> Graph:
    return connected({one.key: one for one in nodes})


@pytest.fixture
def made() -> Graph:
    """Two runs of one corpus, a fusion of them, a pool, and four groups drawn from it."""
    return graph(
        node("corpus", "corpus", 8.0, name="docs"),
        node("bm25", "run", 2.0, "corpus", name="docs-bm25"),
        node("dense", "run", 6.0, "corpus", name="docs-dense"),
        node("fusion", "run", 1.0, "bm25", "dense", "corpus"),
        node("pool", "pool", 3.0, "bm25", "dense", "fusion", "corpus"),
        *(node(f"group{n}", "groups", 1.0, "pool", "corpus") for n in range(4)),
    )


def test_equal_nodes_are_one(made: Graph) -> None:
    few = folded(made)
    assert [(n.kind, n.name) for n in few.nodes.values()] == [
        ("corpus", "docs"),
        ("run", "2: docs-bm25, docs-dense"),
        ("run", "fusion"),  # of other things than the first two
        ("pool", "pool"),
        ("groups", "4 artifacts"),
    ]
    runs = few.nodes["bm25"]
    assert (runs.rows, runs.bytes) == (20, 2000)
    assert runs.own == 8.0
    assert [runs.cost[peak] for peak in PEAKS] == [600.0] * 4  # the larger of the two


def test_what_a_longer_way_stands_for_has_no_arrow(made: Graph) -> None:
    few = folded(made)
    assert {(e.source, e.target) for e in few.edges} == {
        ("corpus", "bm25"), ("bm25", "fusion"), ("fusion", "pool"), ("pool", "group0"),
    }  # fmt: skip


def test_every_second_comes_along_once(made: Graph) -> None:
    few = folded(made)
    assert few.seconds == made.seconds == 24.0
    assert few.roots == ["group0"]
    assert few.brought("group0") == pytest.approx(24.0)
    assert [edge.seconds for edge in few.edges] == pytest.approx([8.0, 16.0, 17.0, 20.0])


def test_what_is_gone_is_not_taken_for_what_is_there() -> None:
    lost = Node("lost", "run", "lost", 0, 0, {}, GONE)
    few = folded(graph(lost, node("kept", "run", 1.0)))
    assert len(few.nodes) == 2
    assert {n.state for n in few.nodes.values()} == {GONE, WHOLE}


def test_an_empty_graph_stays_empty() -> None:
    assert folded(connected({})).nodes == {}
