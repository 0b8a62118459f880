"""Colours, axes and the way of a figure into the page: one deterministic inline SVG per panel.

Panels are small and single, so that a narrow screen stacks them instead of shrinking them. Legends
are HTML beside the pictures, so nothing inside a picture can overlap. Text stays text in the page's
own font; the layout is measured with the wider DejaVu Sans.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

# Okabe and Ito, distinguishable with any common colour blindness; yellow is left out (too light).
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# A second round where neither dash nor marker tells it from the first: brown, purple, olive.
FURTHER = ("#8C564B", "#6A3D9A", "#7A7A00")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.6)))  # a second and third round
MARKERS = ("o", "s", "D")
INK, SOFT, GRID = "#1f2430", "#5b6270", "#e4e7ec"
TEACHER, START, OTHER = "#1f2430", "#8a909c", "#5b6270"  # roles; samplers have the palette

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rankmill",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.edgecolor": "#b6bcc8",
    "axes.labelcolor": SOFT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "text.parse_math": False,  # names may hold a dollar sign
}


@dataclass(frozen=True, slots=True)
class Look:
    """Colour, dash and marker of one sampler, the same on every picture."""

    color: str
    dash: Any = "-"
    marker: str = "o"


def looks(samplers: tuple[str, ...]) -> dict[str, Look]:
    """Give every sampler its look, by its place in the list."""
    given = {}
    for place, name in enumerate(samplers):
        again, color = divmod(place, len(PALETTE))
        given[name] = Look(
            PALETTE[color], DASHES[again % len(DASHES)], MARKERS[again % len(MARKERS)]
        )
    return given


def colors(names: Sequence[str]) -> dict[str, Look]:
    """Give every name a colour of its own, up to nine, where markers say something else."""
    every = (*PALETTE, *FURTHER)
    return {name: Look(every[place % len(every)]) for place, name in enumerate(names)}


@dataclass(slots=True)
class Picture:
    """One panel: a heading, the drawing, what it shows in words, and a remark beneath it.

    Narrow pictures stand three in a row where there is room, the others two.
    """

    title: str
    alternative: str
    remark: str = ""
    narrow: bool = False
    svg: str = field(default="", repr=False)


@contextmanager
def panel(
    title: str,
    alternative: str,
    width: float = 4.6,
    height: float = 3.1,
) -> Iterator[tuple[Picture, Axes]]:
    """Draw on fresh axes (inches); leaving the block renders them into the picture.

    Ink, lines and paper are the page's own, light or dark. Axes get at least two different labels.
    """
    with matplotlib.rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03)
        figure = Figure(figsize=(width, height), layout=layout)
        axes = figure.add_subplot()
        picture = Picture(title, alternative, narrow=width < 4)
        yield picture, axes
        for axis in (axes.xaxis, axes.yaxis):
            readable(axis)
        picture.svg = adapting(render(figure, picture.alternative))


def render(figure: Figure, alternative: str) -> str:
    """Return the figure as an SVG element that scales with its column; same figure, same text."""
    sink = io.StringIO()
    figure.savefig(
        sink,
        format="svg",
        transparent=True,
        metadata={"Date": None, "Creator": None, "Type": None, "Format": None},
    )
    svg = sink.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", svg, flags=re.S)  # in the page's
    svg = re.sub(r" font-family: [^;\"]*;", "", svg)  # the page's own font
    head = f'<svg role="img" aria-label="{escape(alternative, quote=True)}"'
    svg = re.sub(r'^<svg[^>]*?viewBox="([^"]*)"[^>]*>', rf'{head} viewBox="\1">', svg, count=1)
    return re.sub(r"\n\s*", "\n", svg)


_OF_THE_PAGE = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    GRID: "var(--grid)",
    "#b6bcc8": "var(--rule)",
    "#ffffff": "var(--paper)",
}


def adapting(svg: str) -> str:
    """Return an SVG whose ink, lines and paper are those of the page it stands in."""
    for color, own in _OF_THE_PAGE.items():
        svg = svg.replace(color, own)
    return svg


def readable(axis: Axis) -> None:
    """Give an axis of numbers other ticks where it would have one label, or two that are equal."""
    if _labels(axis) is None or _told_apart(axis):
        return
    if axis.get_scale() == "log":
        for steps in ((1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)):
            log_axis(axis, steps=steps)
            if _told_apart(axis):
                return
    axis.set_minor_locator(NullLocator())
    for count in (4, 6, 9):
        axis.set_major_locator(MaxNLocator(count))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))
        if _told_apart(axis):
            return


def _labels(axis: Axis) -> list[str] | None:
    """Return the labels within the limits; None where they are names and no numbers."""
    if isinstance(axis.get_major_locator(), FixedLocator):
        return None
    low, high = sorted(axis.get_view_interval())
    room = 1e-9 * (high - low)
    places = [p for p in axis.get_major_locator()() if low - room <= p <= high + room]
    return [text for text in axis.get_major_formatter().format_ticks(places) if text]


def _told_apart(axis: Axis) -> bool:
    labels = _labels(axis)
    return labels is None or (len(labels) >= 2 and len(set(labels)) == len(labels))


def log_axis(axis: Axis, *, steps: tuple[float, ...] = (1.0,)) -> None:
    """Label a logarithmic axis with plain numbers at `steps` times powers of ten."""
    axis.set_major_locator(LogLocator(base=10, subs=steps, numticks=8))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _of_log(axis, value)))


def _of_log(axis: Axis, value: float) -> str:
    """Write a tick: where plain numbers do not do for all of an axis, all are powers of ten."""
    low = min(abs(end) for end in axis.get_view_interval())
    return short(value, powers=low < _PLAIN and value < 1)


def wrapped(label: str, length: int = 36) -> str:
    """Break a long axis label into lines that fit a panel's height."""
    return "\n".join(textwrap.wrap(label, length)) or label


def brief(name: str, length: int = 26) -> str:
    """Cut a long name for a tick; tables and legends hold the whole one."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


_PLAIN = 1e-4  # from here on ticks are plain numbers


def short(value: float, *, powers: bool = False) -> str:
    """Write a number for a tick: 200, 0.05, 10⁻⁶; with `powers` 10⁻² too."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else ""
    power = math.floor(math.log10(abs(value)) + 1e-9)
    if -5 < power < 5 and not powers:
        return f"{value:g}"
    mantissa = value / 10.0**power
    raised = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if abs(mantissa - 1) < 1e-6 else f"{mantissa:.3g}·10{raised}"


def with_own_ids(svg: str, prefix: str) -> str:
    """Rename the ids of one SVG, so that several can stand in one page."""
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
