"""The provenance graph as a picture: SVG, a page with the SVG and its numbers, or Graphviz's DOT.

Boxes are artifacts with what making them took; the thicker an arrow, the more seconds come along.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from rankmill.mining.errors import UsageError
from rankmill.mining.parts.told import counted
from rankmill.mining.store import ledger
from rankmill.provenance.graph import GONE, Edge, Graph, Node
from rankmill.provenance.layout import Layout, Place, arrange
from rankmill.study.words import size

FORMS = (".svg", ".html", ".dot")
_BOX, _TALL, _ACROSS, _DOWN, _EDGE = 176, 62, 268, 84, 24  # pixels
_NAMED = 24  # characters of a name that a box has room for
_LABELLED = 0.005  # of the whole: an arrow that brings less has its seconds in a tool tip only
STATES = {
    ledger.MISSING: "no ledger",
    ledger.DAMAGED: "ledger damaged",
    GONE: "no longer there",
}
_STYLE = """
.provenance{--ink:#1f2430;--soft:#5b6270;--line:#8a93a5;--paper:#fff;--box:#f6f8fb;--heat:#0072B2;
font-family:system-ui,"DejaVu Sans",sans-serif;background:var(--paper)}
@media(prefers-color-scheme:dark){.provenance{--ink:#e8eaf0;--soft:#a9b0bf;--line:#6f7890;
--paper:#14171f;--box:#1d222d;--heat:#56B4E9}}
.provenance .paper{fill:var(--paper)}.provenance text{fill:var(--ink);font-size:12px}
.provenance .kind{font-weight:700}.provenance .small,.provenance .brings{fill:var(--soft);
font-size:11px}.provenance .brings{paint-order:stroke;stroke:var(--paper);stroke-width:4px;
text-anchor:middle}.provenance .box{fill:var(--box);stroke:var(--line)}
.provenance .unknown .box{stroke-dasharray:5 3}.provenance .heat{fill:var(--heat)}
.provenance .edge{fill:none;stroke:var(--line);stroke-opacity:.75}
.provenance .head{fill:var(--line)}.provenance .title{font-size:15px;font-weight:700}
"""


def check_form(path: Path) -> str:
    """Return which picture a file name asks for; raises UsageError for another."""
    if path.suffix.lower() not in FORMS:
        raise UsageError(
            f"{path} is to be a picture of the costs, and its name ends in none of "
            f"{', '.join(FORMS)}",
            do="write --to cost.svg, say",
        )
    return path.suffix.lower()


def drawn(graph: Graph, title: str, form: str, notes: Sequence[str] = ()) -> str:
    """Return the text of a picture in one of FORMS; `notes`: lines below it on a page."""
    if form == ".dot":
        return dot(graph, title)
    return svg(graph, title) if form == ".svg" else page(graph, title, notes)


def seconds(value: float) -> str:
    """Write seconds of processor and accelerator, short."""
    if value >= 3600:
        return f"{value / 3600:.1f} h"
    if value >= 60:
        return f"{value / 60:.1f} min"
    return f"{value:.1f} s" if value >= 0.95 else f"{value * 1000:.0f} ms"


# ---- SVG -----------------------------------------------------------------------------------------


def svg(graph: Graph, title: str) -> str:
    """Draw the graph from left to right."""
    layout = arrange(list(graph.nodes), [(e.source, e.target) for e in graph.edges])
    wide = 2 * _EDGE + (layout.layers - 1) * _ACROSS + _BOX
    wide = max(wide, 560)
    tall = 2 * _EDGE + 48 + math.ceil(layout.height * _DOWN)
    whole = max(graph.seconds, 1e-9)
    ordered = sorted(graph.edges, key=lambda e: e.seconds)  # the thick ones on top
    ways = [_way(edge, layout) for edge in ordered]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="provenance" role="img" '
        f'viewBox="0 0 {wide} {tall}" width="{wide}" height="{tall}">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        '<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>',
        f'<rect class="paper" width="{wide}" height="{tall}"/>',
        f'<text class="title" x="{_EDGE}" y="{_EDGE + 6}">{escape(title)}</text>',
        f'<text class="small" x="{_EDGE}" y="{_EDGE + 25}">Box: compute time that making it took. '
        "Arrow: compute time passed on; shared work is split among those who use it.</text>",
        *(_arrow(edge, way, whole, graph) for edge, way in zip(ordered, ways, strict=True)),
        *(_box(node, layout.nodes[key], whole) for key, node in graph.nodes.items()),
        *_labels(ordered, ways, whole),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


Point = tuple[float, float]


def _corner(place: Place) -> Point:
    return _EDGE + place.layer * _ACROSS, _EDGE + 48 + place.height * _DOWN


def _way(edge: Edge, layout: Layout) -> list[Point]:
    """Return the points that an arrow passes: from box to box, through its bends."""
    (x, y), (u, v) = (_corner(layout.nodes[key]) for key in (edge.source, edge.target))
    points = [(x + _BOX, y + _TALL / 2)]
    for place in layout.bends[edge.source, edge.target]:
        left, top = _corner(place)
        points += [(left, top + _TALL / 2), (left + _BOX, top + _TALL / 2)]
    return [*points, (u, v + _TALL / 2)]


def _arrow(edge: Edge, way: Sequence[Point], whole: float, graph: Graph) -> str:
    d = f"M{way[0][0]:.1f} {way[0][1]:.1f}"
    for (x, y), (u, v) in zip(way[:-1], way[1:], strict=True):
        middle = (x + u) / 2
        d += f"C{middle:.1f} {y:.1f} {middle:.1f} {v:.1f} {u:.1f} {v:.1f}"
    width = 1 + 9 * math.sqrt(edge.seconds / whole)
    source, target = graph.nodes[edge.source], graph.nodes[edge.target]
    says = f"{source.kind} {source.name} to {target.kind} {target.name} ({', '.join(edge.roles)}): "
    says += seconds(edge.seconds)
    return (
        f'<path class="edge" d="{d}" stroke-width="{width:.1f}" marker-end="url(#tip)">'
        f"<title>{escape(says)}</title></path>"
    )


def _labels(edges: Sequence[Edge], ways: Sequence[Sequence[Point]], whole: float) -> list[str]:
    """Write what comes along each arrow before its tip, where two would overlap further back."""
    written, taken = [], list[Point]()
    for edge, way in reversed(list(zip(edges, ways, strict=True))):
        if edge.seconds < _LABELLED * whole:
            continue
        spots = [_between(way[-2], way[-1], part) for part in (0.62, 0.4, 0.5, 0.75, 0.3)]
        spots += [_between(way[0], way[1], part) for part in (0.3, 0.5)]
        free = [p for p in spots if all(abs(p[0] - x) > 44 or abs(p[1] - y) > 13 for x, y in taken)]
        x, y = (free or spots)[0]
        taken.append((x, y))
        written.append(
            f'<text class="brings" x="{x:.1f}" y="{y + 4:.1f}">{seconds(edge.seconds)}</text>'
        )
    return written


def _between(one: Point, other: Point, part: float) -> Point:
    """Return the point of the curve between two points."""
    (x, y), (u, v) = one, other
    rest = 1 - part
    across = x * rest**3 + 3 * (x + u) / 2 * part * rest + u * part**3
    return across, y * rest**2 * (1 + 2 * part) + v * part**2 * (1 + 2 * rest)


def _box(node: Node, place: Place, whole: float) -> str:
    x, y = _corner(place)
    unknown = node.state in STATES
    heat = 0.0 if unknown else (_BOX - 2) * min(1.0, node.own / whole)
    says = STATES.get(node.state, seconds(node.own))
    stored = "" if node.state == GONE else f" · {size(node.bytes)} stored"
    peak = float(node.cost.get("peak_rss_bytes") or 0)
    tip = f"{node.kind} {node.name}: {says}, {counted(node.rows, 'row')}, peak memory {size(peak)}"
    return (
        f'<g class="{"unknown" if unknown else "known"}" transform="translate({x:.1f} {y:.1f})">'
        f"<title>{escape(tip)}</title>"
        f'<rect class="box" width="{_BOX}" height="{_TALL}" rx="6"/>'
        f'<rect class="heat" x="1" y="{_TALL - 5}" width="{heat:.1f}" height="4" rx="2"/>'
        f'<text class="kind" x="9" y="18">{escape(node.kind)}</text>'
        f'<text class="small" x="9" y="34">{escape(_short(node.name))}</text>'
        f'<text x="9" y="50">{escape(says)}<tspan class="small">{stored}</tspan></text></g>'
    )


def _short(name: str) -> str:
    return name if len(name) <= _NAMED else name[: _NAMED - 1] + "…"


# ---- a page --------------------------------------------------------------------------------------

_PAGE = """
body{margin:0 auto;padding:1rem;max-width:100rem;font:15px/1.45 system-ui,"DejaVu Sans",sans-serif;
color:#1f2430;background:#fff}figure{margin:1rem 0;overflow-x:auto}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}th,td{padding:.25rem .75rem .25rem 0;
text-align:left;border-bottom:1px solid #d9dde5}.n{text-align:right;white-space:nowrap}
.wide{overflow-x:auto}
@media(prefers-color-scheme:dark){body{color:#e8eaf0;background:#14171f}
th,td{border-color:#343b4b}}
@media print{figure svg{max-width:100%;height:auto}}
"""


def page(graph: Graph, title: str, notes: Sequence[str] = ()) -> str:
    """Return a page of its own: the picture, then every node and every edge with its numbers."""
    lines = ("wall_s", "cpu_s", "compile_s", "start_s", "overhead_s", "gpu_s")
    heads = (
        "elapsed",
        "processor",
        "compiling",
        "imports",
        "overhead",
        "accelerator",
        "peak memory",
        "stored",
    )
    rows = [
        f"<tr><th>{escape(n.kind)}</th><td>{escape(n.name)}</td>"
        + (
            "".join(f'<td class="n">{_seconds(n.cost.get(line))}</td>' for line in lines)
            if n.state not in STATES
            else f'<td class="n" colspan="6">{STATES[n.state]}</td>'
        )
        + f'<td class="n">{size(float(n.cost.get("peak_rss_bytes") or 0))}</td>'
        f'<td class="n">{size(n.bytes)}</td></tr>'
        for n in graph.nodes.values()
    ]
    sums = "".join(f'<td class="n">{_seconds(graph.total(line))}</td>' for line in lines)
    rows.append(f"<tr><th>together</th><td></td>{sums}<td></td><td></td></tr>")
    names = {key: f"{n.kind} {n.name}" for key, n in graph.nodes.items()}
    edges = [
        f"<tr><td>{escape(names[e.source])}</td><td>{escape(names[e.target])}</td>"
        f'<td>{escape(", ".join(e.roles))}</td><td class="n">{_seconds(e.seconds)}</td></tr>'
        for e in sorted(graph.edges, key=lambda e: -e.seconds)
    ]
    numbers = "".join(f'<th class="n">{head}</th>' for head in heads)
    said = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_PAGE}</style><h1>{escape(title)}</h1>{said}\n"
        f"<figure>{svg(graph, title)}</figure>\n"
        f'<div class="wide"><table><tr><th>stage</th><th>name</th>{numbers}</tr>\n'
        + "\n".join(rows)
        + '</table></div>\n<div class="wide"><table><tr><th>from</th><th>to</th><th>as</th>'
        '<th class="n">brings</th></tr>\n' + "\n".join(edges) + "</table></div></html>\n"
    )


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f} s"


# ---- DOT -----------------------------------------------------------------------------------------


def dot(graph: Graph, title: str) -> str:
    """Write the graph for Graphviz: dot -Tpdf cost.dot."""
    lines = ["digraph provenance {", f"  label={_quoted(title)}; rankdir=LR; node [shape=box];"]
    for key, node in graph.nodes.items():
        says = STATES.get(node.state, seconds(node.own))
        label = f"{node.kind}\n{node.name}\n{says}"
        lines.append(f"  {_quoted(key[:12])} [label={_quoted(label)}];")
    whole = max(graph.seconds, 1e-9)
    for edge in graph.edges:
        ends = f"{_quoted(edge.source[:12])} -> {_quoted(edge.target[:12])}"
        width = 1 + 9 * math.sqrt(edge.seconds / whole)
        lines.append(f'  {ends} [label="{seconds(edge.seconds)}", penwidth={width:.1f}];')
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    inside = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inside}"'
