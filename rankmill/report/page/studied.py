"""Pictures of a study: gain against cost, means over two crossed factors, effects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..crossed import CostPicture, Crossing, EffectBars, Interval, Spot
from .blocks import Legend, Sample
from .canvas import (
    INK,
    OTHER,
    SOFT,
    Look,
    Picture,
    brief,
    colors,
    log_axis,
    looks,
    panel,
    short,
    wrapped,
)

MARKS = ("o", "s", "D", "^", "v", "P", "X", "p")
_SHAPES = {  # the same as paths, for legends
    "o": "M6 1.6a4.4 4.4 0 1 0 .01 0z",
    "s": "M2 2h8v8h-8z",
    "D": "M6 1l5 5l-5 5l-5-5z",
    "^": "M6 1.5l5 9h-10z",
    "v": "M6 10.5l5-9h-10z",
    "P": "M4 1h4v3h3v4h-3v3h-4v-3h-3v-4h3z",
    "X": "M3 1l3 3l3-3l2 2l-3 3l3 3l-2 2l-3-3l-3 3l-2-2l3-3l-3-3z",
    "p": "M6 1l5 3.8l-1.9 6h-6.2l-1.9-6z",
}
_INK = "currentColor"
_TINY = 1e-3  # below, ticks are powers of ten
_WIDE = 12.0  # costs that differ by this factor or more stand on a logarithmic axis


def cost_picture(shown: CostPicture, height: float = 3.5) -> Picture:
    """Every cell at its cost and gain with the interval; the frontier is joined by steps."""
    look, marks = _looks(shown)
    front = [spot for spot in shown.spots if spot.front]
    said = "; ".join(
        f"{s.name} {s.cost:.3g}, {s.gain.value:+.3f}{', on the frontier' if s.front else ''}"
        for s in shown.spots
    )
    with panel(
        shown.title,
        f"Gain in {shown.measure} over {shown.over} against {shown.cost} in {shown.unit}: {said}.",
        height=height,
    ) as (picture, axes):
        axes.axhline(0, color=OTHER, lw=1, ls=(0, (4, 2)), zorder=1)
        _frontier(axes, front)
        for spot in shown.spots:
            _spot(axes, spot, look[spot.color], marks[spot.mark])
        _cost_axis(axes, [spot.cost for spot in shown.spots])
        axes.margins(y=0.08)
        axes.set_xlabel(wrapped(f"{shown.cost} for one student alone, {shown.unit}", 48))
        axes.set_ylabel(wrapped(f"gain in {shown.measure} over {shown.over}"))
    filled = "The filled mark is the frontier"
    if sum(spot.front for spot in shown.spots) > 1:
        filled = "Filled marks, joined by the grey line, are the frontier"
    picture.remark = (
        f"Bars: 95 % intervals. Dashed: no gain. {filled}: nothing that costs the same or less has "
        "a higher mean."
    )
    return picture


def _frontier(axes: Axes, front: Sequence[Spot]) -> None:
    x = [spot.cost for spot in front]
    y = [spot.gain.value for spot in front]
    if len(front) > 1:
        axes.step(x, y, where="post", color=SOFT, lw=1.2, alpha=0.6, zorder=2)


def _spot(axes: Axes, spot: Spot, look: Look, mark: str) -> None:
    gain = spot.gain
    if gain.low is not None and gain.high is not None:
        axes.plot((spot.cost,) * 2, (gain.low, gain.high), color=look.color, lw=1.4, alpha=0.8)
    fill = look.color if spot.front else "white"
    axes.plot(
        spot.cost, gain.value, mark, ms=7.5, mew=1.7, mec=look.color, mfc=fill, ls="", zorder=5
    )


def _cost_axis(axes: Axes, costs: Sequence[float]) -> None:
    """Scale the axis of costs from 0, or by powers of ten where they differ widely."""
    low, high = min(costs), max(costs)
    if low > 0 and high / low >= _WIDE:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.4, high * 1.4)
        log_axis(axes.xaxis, steps=(1.0, 2.0, 5.0) if high / low < 200 else (1.0,))
        return
    room = max(0.5 * (high - low), 0.02 * high)
    near = high >= _TINY and high - low < 0.25 * high  # from 0 on they would stand on each other
    axes.set_xlim(low - room if near else 0, high + (room if near else 0.08 * high))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    if high < _TINY:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def _looks(shown: CostPicture) -> tuple[dict[str, Look], dict[str, str]]:
    """Return what colours and marks stand for, those that the spots have, in the page's order."""
    drawn = {spot.color for spot in shown.spots}, {spot.mark for spot in shown.spots}
    levels = dict.fromkeys((*shown.color_levels, *(spot.color for spot in shown.spots)))
    named = dict.fromkeys((*shown.mark_levels, *(spot.mark for spot in shown.spots)))
    marks = {name: MARKS[place % len(MARKS)] for place, name in enumerate(named)}
    return (
        {name: look for name, look in colors(tuple(levels)).items() if name in drawn[0]},
        {name: mark for name, mark in marks.items() if name in drawn[1]},
    )


def cost_legend(shown: CostPicture) -> Legend:
    """Return what colours and marks stand for."""
    look, marks = _looks(shown)
    samples: list[Sample] = []
    if len(look) > 1 or len(marks) == 1:
        samples += (Sample(name, style.color, mark=_SHAPES["o"]) for name, style in look.items())
    if len(marks) > 1:
        samples += (Sample(name, _INK, mark=_SHAPES[mark]) for name, mark in marks.items())
    return Legend(samples)


def crossing_picture(shown: Crossing, lines: dict[str, Look]) -> Picture:
    """Means with intervals at the levels of one factor, a line for each level of the other."""
    across = list(dict.fromkeys(one for one, _ in shown.means))
    said = "; ".join(f"{a}, {b} {m.value:.3f}" for (a, b), m in shown.means.items())
    with panel(
        shown.title,
        f"{shown.measure} by {shown.across} and {shown.lines}: {said}.",
        height=2.9,
    ) as (picture, axes):
        for place, (name, look) in enumerate(lines.items()):
            aside = 0.07 * (place - (len(lines) - 1) / 2)
            means = [shown.means[level, name] for level in across]
            x = [number + aside for number in range(len(across))]
            axes.plot(x, [m.value for m in means], color=look.color, ls=look.dash, lw=1.6)
            for at, mean in zip(x, means, strict=True):
                _dot(axes, at, mean, look)
        axes.set_xticks(range(len(across)), [brief(one, 14) for one in across], color=INK)
        axes.set_xlim(-0.4, len(across) - 0.6)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel(wrapped(shown.across))
        axes.set_ylabel(wrapped(shown.measure))
    picture.remark = f"Lines: {shown.lines}. Parallel lines: no interaction."
    return picture


def _dot(axes: Axes, x: float, mean: Interval, look: Look) -> None:
    if mean.low is not None and mean.high is not None:
        axes.plot((x, x), (mean.low, mean.high), color=look.color, lw=1.2, alpha=0.8)
    axes.plot(x, mean.value, look.marker, ms=6, mec="white", mew=1, mfc=look.color, zorder=5)


def effect_bars(shown: EffectBars) -> Picture:
    """One row per effect: its value with the interval, beside no effect."""
    said = "; ".join(f"{name} {e.value:+.3f}" for name, e in shown.effects.items())
    rows = list(shown.effects.items())[::-1]
    with panel(
        shown.title,
        f"Effects on {shown.measure}: {said}.",
        height=0.75 + 0.42 * max(len(rows), 3),
    ) as (picture, axes):
        axes.axvline(0, color=OTHER, lw=1, ls=(0, (4, 2)), zorder=1)
        for row, (_, effect) in enumerate(rows):
            if effect.low is not None and effect.high is not None:
                axes.plot((effect.low, effect.high), (row, row), color=INK, lw=1.6)
            axes.plot(effect.value, row, "o", ms=6, color=INK, zorder=5)
        axes.set_yticks(range(len(rows)), [wrapped(name, 30) for name, _ in rows], color=INK)
        axes.tick_params(axis="y", labelsize=8.5)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel(wrapped(f"difference in {shown.measure}"))
    picture.remark = "Bars: 95 % intervals. Dashed line: no effect."
    return picture


def line_looks(crossings: Iterable[Crossing]) -> dict[str, Look]:
    """Give every level of the factor that lines stand for its look, the same on all pictures."""
    levels = dict.fromkeys(level for one in crossings for _, level in one.means)
    return looks(tuple(levels))


__all__ = [
    "cost_legend",
    "cost_picture",
    "crossing_picture",
    "effect_bars",
    "line_looks",
]
