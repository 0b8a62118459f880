"""Artifacts as the report lists them: what each cost, and what it was made with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rankmill.report import content
from rankmill.study.costs.gains import FIRST

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.provenance.graph import Graph, Node


def stage_costs(graph: Graph) -> list[content.StageCost]:
    """Return what making each artifact cost, of those whose ledger knows."""
    return [_cost(node) for node in graph.nodes.values() if node.cost.get("wall_s")]


def _cost(node: Node) -> content.StageCost:
    entry = node.cost
    usage = entry["usage"]
    return content.StageCost(
        stage=node.kind,
        name=node.name,
        wall_s=entry["wall_s"],
        cpu_s=entry["cpu_s"],
        gpu_s=entry["gpu_s"] or None,
        peak_bytes=entry["peak_rss_bytes"] or None,
        stored_bytes=node.bytes,
        pairs=_whole(usage.get("pairs_scored", usage.get("pairs"))),
        tokens=_whole(usage.get("tokens")),
        first_s=sum(float(entry.get(line) or 0.0) for line in FIRST) or None,
        overhead_s=entry.get("overhead_s"),
    )


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def provenance(artifacts: Sequence[Artifact], graph: Graph) -> list[content.Provenance]:
    """Return what each artifact was made with, and its hash; `graph`: theirs."""
    return [
        content.Provenance(
            graph.nodes[a.fingerprint].name,
            a.kind,
            json.dumps(a.parameters, ensure_ascii=False, sort_keys=True),
            a.root_hash,
            a.rows,
        )
        for a in artifacts
    ]
