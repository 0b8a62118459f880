"""The command cost: what artifacts cost, as a tree on the terminal, as JSON, as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankmill.cli import streams
from rankmill.cli.session import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, session
from rankmill.study import words

if TYPE_CHECKING:
    from rankmill.provenance.graph import Edge, Graph, Node
    from rankmill.study.costs.prices import Bill

_LINES = {
    "wall_s": "elapsed",
    "cpu_s": "CPU",
    "compile_s": "compile",
    "start_s": "imports",
    "overhead_s": "overhead",
    "gpu_s": "GPU",
}
_PEAKS = {
    "peak_rss_bytes": "peak memory",
    "peak_anonymous_bytes": "anonymous",
    "peak_gpu_bytes": "peak GPU",
}


def _price(help: str) -> Any:
    return typer.Option(help=help)


def cost(
    names: Annotated[
        list[str] | None, typer.Argument(help="Artifacts; all of them if none is named.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Draw it: FILE.svg, .html or .dot.")] = None,
    prices: Annotated[Path | None, typer.Option(help="Prices in TOML.")] = None,
    per_cpu_hour: Annotated[float | None, _price("Price of an hour of a core.")] = None,
    per_gpu_hour: Annotated[float | None, _price("Price of an hour of a GPU.")] = None,
    per_kwh: Annotated[float | None, _price("Price of a kWh.")] = None,
    watts_per_cpu: Annotated[float | None, _price("Of a busy core, for an estimate.")] = None,
    watts_per_gpu: Annotated[float | None, _price("Of a GPU, for an estimate.")] = None,
    grams_per_kwh: Annotated[float | None, _price("Grams of CO₂e per kWh.")] = None,
    currency: Annotated[str | None, _price("What prices are in, such as EUR.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Print what artifacts cost to make, with all that they were made from, as a tree.

    "brings" is what comes along from below, shared work split among its users: docs/cost.md.
    Example: rankmill cost nf-groups        rankmill cost nf-student --to cost.html --per-kwh 0.3
    """
    from rankmill.mining.store.files import replacing
    from rankmill.mining.store.places import check_place
    from rankmill.provenance.drawing import check_form, drawn
    from rankmill.provenance.graph import graph_of
    from rankmill.study.costs.prices import Prices, bill, read_prices

    said = {
        "per_cpu_hour": per_cpu_hour,
        "per_gpu_hour": per_gpu_hour,
        "per_kwh": per_kwh,
        "watts_per_cpu": watts_per_cpu,
        "watts_per_gpu": watts_per_gpu,
        "grams_per_kwh": grams_per_kwh,
        "currency": currency,
    }
    told: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    declared = replace(Prices() if prices is None else read_prices(prices), **told)
    form = "" if to is None else check_form(to)
    if to is not None:
        check_place(to)
    with session(workspace, json=json) as here:
        here.workspace.check_there()
        wanted = [here.workspace.find(n) for n in names or []] or list(here.workspace.artifacts())
        graph = graph_of(wanted)
        due = bill((node.cost for node in graph.nodes.values()), declared)
        notes = [*_sums(graph), *due.lines(), *_unknown(graph)]
        if to is not None:
            title = f"What {', '.join(names or ['this workspace'])} cost"
            with replacing(to) as stream:
                stream.write(drawn(graph, title, form, notes))
        if json:
            here.emit(_facts(graph, due))
            return
        streams.print_whole(_table(graph))
        for note in notes:
            streams.tell(note)
        if to is not None:
            streams.tell(str(to))


def _sums(graph: Graph) -> list[str]:
    """Say what all of it took, and how much of that is compiling and overhead."""
    seconds = [f"{graph.seconds:,.2f} s of processor and accelerator, every artifact once"]
    for line in ("compile_s", "start_s", "overhead_s"):
        if graph.total(line):
            seconds.append(f"{_LINES[line]} {graph.total(line):,.2f} s")
    return ["together: " + ", ".join(seconds)]


def _unknown(graph: Graph) -> Iterator[str]:
    """Say of which artifacts the cost is not known."""
    from rankmill.provenance.drawing import STATES

    for node in graph.unknown():
        yield f"not in the sums: {node.kind} {node.name} ({STATES[node.state]})"


def _facts(graph: Graph, due: Bill) -> dict[str, Any]:
    stages = [
        {
            "kind": node.kind,
            "name": node.name,
            "fingerprint": key,
            "inputs": dict(node.inputs),
            "ledger": node.state,
            **{line: node.cost.get(line, 0) for line in ("wall_s", "cpu_s", "gpu_s")},
            "peak_rss_bytes": node.cost.get("peak_rss_bytes", 0),
            **{k: v for k, v in node.cost.items() if k not in ("bytes", "usage")},
            "bytes": node.bytes,
            "usage": node.cost.get("usage", {}),
            "own_s": node.own,
            "brought_s": graph.brought(key),
        }
        for key, node in graph.nodes.items()
    ]
    edges = [
        {"from": e.source, "to": e.target, "roles": list(e.roles), "seconds": e.seconds}
        for e in graph.edges
    ]
    together = {line: graph.total(line) for line in _LINES} | {"seconds": graph.seconds}
    return {"stages": stages, "edges": edges, "together": together, "bill": due.as_json()}


# ---- the tree ------------------------------------------------------------------------------------


def _table(graph: Graph) -> Any:
    from rich.table import Table

    from rankmill.mining.store import ledger

    nodes = list(graph.nodes.values())
    lines = [line for line in _LINES if line not in ("start_s", "gpu_s") or graph.total(line)]
    peaks = [p for p in _PEAKS if p == "peak_rss_bytes" or graph.total(p)]
    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    table.add_column("made from", no_wrap=True)
    for heading in (*(_LINES[line] for line in lines), "brings", *(_PEAKS[p] for p in peaks)):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("stored", justify="right", no_wrap=True)
    table.add_column("counted")
    for stem, key, brings in _walk(graph):
        if not key:
            table.add_row(stem, *[""] * len(lines), f"{brings:.2f} s")
            continue
        node = graph.nodes[key]
        if node.state == ledger.WHOLE:
            known = [_seconds(node.cost.get(line)) for line in lines]
            memory = [words.size(float(node.cost.get(p) or 0)) for p in peaks]
        else:  # not known, which is not 0
            known, memory = ["–"] * len(lines), ["–"] * len(peaks)
        counted = ", ".join(_count(k, v) for k, v in node.cost.get("usage", {}).items())
        table.add_row(stem, *known, f"{brings:.2f} s", *memory, words.size(node.bytes), counted)
    table.add_section()
    largest = [
        words.size(max((float(n.cost.get(p) or 0) for n in nodes), default=0)) for p in peaks
    ]
    totals = [f"{graph.total(line):.2f} s" for line in lines]
    stored = words.size(sum(node.bytes for node in nodes))
    table.add_row("total", *totals, f"{graph.seconds:.2f} s", *largest, stored, "")
    return table


Line = tuple[str, str, float]


def _walk(graph: Graph) -> Iterator[Line]:
    """Yield the lines of the tree: text, node, and what it brings to the node above it.

    What stands further up already is named in one line, behind an arrow, of no node.
    """
    seen: set[str] = set()

    def below(key: str, stem: str, rest: str, brings: float) -> Iterator[Line]:
        node = graph.nodes[key]
        seen.add(key)
        yield f"{stem}{node.kind} {node.name}", key, brings
        again: list[Edge] = []
        edges = sorted(graph.into[key], key=lambda edge: -edge.seconds)
        for place, edge in enumerate(edges, 1):
            if edge.source in seen:
                again.append(edge)
                continue
            last = place == len(edges) and not again
            stems = ("└─ ", "   ") if last else ("├─ ", "│  ")
            yield from below(edge.source, rest + stems[0], rest + stems[1], edge.seconds)
        if again:
            shared = ", ".join(_called(graph.nodes[edge.source]) for edge in again)
            yield f"{rest}└─ ↑ {shared}", "", sum(edge.seconds for edge in again)

    for root in reversed(graph.roots):
        yield from below(root, "", "", graph.brought(root))


def _called(node: Node) -> str:
    return node.kind if node.key.startswith(node.name) else node.name


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def _count(name: str, value: float) -> str:
    if name == "flops":
        return f"{value:.3g} FLOP"
    return f"{name.replace('_', ' ')} {value:,.0f}"
