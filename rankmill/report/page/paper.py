"""Figures for a paper: whole pages with their legends, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..content import RankCurve, RankPanels, Training
from .canvas import OTHER, START, STYLE, TEACHER, Look, log_axis, looks, wrapped
from .ranked import draw_curves, drawable_curves, limits
from .trained import WINDOW, level_axis, smooth, without_short

_RATIO = "rank / length of the list"


def score_against_rank(panels: RankPanels, samplers: Sequence[str]) -> Figure:
    """Teacher, start and the students of every sampler on one pair of axes per loss."""
    look, shown = looks(tuple(samplers)), drawable_curves(panels)
    losses = list(dict.fromkeys(c.loss for c in shown))
    bounds = limits(shown, panels.log_y)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.4 * len(losses), 3.9), layout="constrained")
        rows = figure.subplots(1, len(losses), sharey=True, squeeze=False)
        for axes, loss in zip(rows[0], losses, strict=True):
            mine = _once([c for c in shown if c.loss == loss])
            draw_curves(axes, mine, look, panels.log_y, bounds)
            _guides(axes, bounds)
            axes.set_title(loss, fontsize=10)
            axes.set_xlabel(_RATIO)
        rows[0][0].set_ylabel(wrapped(panels.y_label))
        _legend(figure, _models(look, samplers))
    return figure


def grid(panels: RankPanels, samplers: Sequence[str]) -> Figure:
    """One panel per loss (rows) and sampler (columns) with shared axes."""
    look, shown = looks(tuple(samplers)), drawable_curves(panels)
    losses = list(dict.fromkeys(c.loss for c in shown))
    bounds = limits(shown, panels.log_y)
    with matplotlib.rc_context(STYLE):
        size = (max(2.4 * len(samplers), 5) + 0.6, 2.1 * len(losses) + 1.0)
        figure = Figure(figsize=size, layout="constrained")
        rows = figure.subplots(len(losses), len(samplers), sharex=True, sharey=True, squeeze=False)
        for line, loss in zip(rows, losses, strict=True):
            for axes, sampler in zip(line, samplers, strict=True):
                mine = [c for c in shown if (c.loss, c.sampler) == (loss, sampler)]
                draw_curves(axes, mine, look, panels.log_y, bounds)
                log_axis(axes.xaxis)
            line[0].set_ylabel(loss)
        for axes, sampler in zip(rows[0], samplers, strict=True):
            axes.set_title(sampler, fontsize=10)
        figure.supxlabel(_RATIO, fontsize=9.5)
        figure.supylabel(wrapped(panels.y_label), fontsize=9.5)
        _legend(figure, _models(look, samplers))
    return figure


def training(logs: Sequence[Training], samplers: Sequence[str]) -> Figure:
    """Loss, loss above its floor, gradient norm and its variance; a row per loss.

    Steps of fewer groups than a batch are not drawn, and the axis says how many they are.
    """
    look = looks(tuple(samplers))
    names = list(dict.fromkeys(t.loss_name for t in logs))
    columns = [(f, title) for f, title in _LOGGED if any(_positive(t, f) for t in logs)]
    with matplotlib.rc_context(STYLE):
        size = (3.1 * len(columns), 2.4 * len(names) + 0.7)
        figure = Figure(figsize=size, layout="constrained")
        rows = figure.subplots(len(names), len(columns), squeeze=False)
        for place, name in enumerate(names):
            mine = [t for t in logs if t.loss_name == name]
            for axes, (column, title) in zip(rows[place], columns, strict=True):
                _steps(axes, [t for t in mine if _positive(t, column)], column, look)
                axes.set_title(title if place == 0 else "", fontsize=10)
                axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            rows[place][0].set_ylabel(f"{name} ({mine[0].unit})")
        left_out = without_short(max((t.short for t in logs), default=0))
        figure.supxlabel(f"optimiser step{left_out and f' ({left_out})'}", fontsize=9.5)
        _legend(figure, [_line(s, look[s]) for s in samplers])
    return figure


_LOGGED = (
    ("loss", "training loss"),
    ("excess", "loss − floor"),
    ("gradient_norm", "gradient norm before clipping"),
    ("norm_variance", "its variance, last 100 steps"),
)


def _positive(log: Training, column: str) -> bool:
    given = getattr(log, column)
    return given is not None and bool((np.asarray(given, np.float64) > 0).any())


def save(figure: Figure, stream: IO[Any], form: str) -> None:
    """Write a figure; the same figure gives the same bytes."""
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    with matplotlib.rc_context(STYLE):
        figure.savefig(stream, format=form, dpi=160, metadata=dates[form])


def _steps(axes: Axes, logs: Sequence[Training], column: str, look: dict[str, Look]) -> None:
    """One line per sampler on a logarithmic axis: every step light, the moving mean on top."""
    seen = []
    for log in logs:
        value = np.asarray(getattr(log, column), np.float64)
        value = np.where(value > 0, value, np.nan)
        known = np.isfinite(value)
        mean = smooth(value[known], round(WINDOW * int(known.sum())) | 1)
        style, step = look[log.sampler], np.asarray(log.step)[known]
        axes.plot(step, value[known], color=style.color, alpha=0.2, lw=0.7)
        axes.plot(step, mean, color=style.color, ls=style.dash)
        seen.append(value[known])
    if seen:
        every = np.concatenate(seen)
        level_axis(axes, float(every.min()), float(every.max()))


def _once(curves: Sequence[RankCurve]) -> list[RankCurve]:
    """Teacher and start are the same on every sampler's panel: draw them once."""
    kept: dict[tuple[str, str], RankCurve] = {}
    for curve in curves:
        kept.setdefault((curve.role, curve.sampler if curve.role == "student" else ""), curve)
    return list(kept.values())


def _guides(axes: Axes, bounds: tuple[float, float, float, float]) -> None:
    """Grey power laws of exponents ½, 1 and 2 through the upper left corner."""
    left, right, bottom, top = bounds
    for alpha in (0.5, 1.0, 2.0):
        ends = np.array([left, right])
        axes.plot(ends, top * (ends / left) ** -alpha, color=OTHER, lw=0.6, alpha=0.35, zorder=0)
    axes.set_ylim(bottom, top)


def _models(look: dict[str, Look], samplers: Sequence[str]) -> list[Line2D]:
    return [
        _line("teacher", Look(TEACHER), 1.5),
        _line("untrained student", Look(START, (0, (4, 2))), 1.5),
        *(_line(f"student, {sampler}", look[sampler]) for sampler in samplers),
    ]


def _line(label: str, look: Look, width: float = 1.8) -> Line2D:
    return Line2D([], [], color=look.color, ls=look.dash, lw=width, label=label)


def _legend(figure: Figure, lines: Sequence[Line2D]) -> None:
    """Above the panels, as many in a row as the figure is wide."""
    columns = min(len(lines), max(2, int(figure.get_figwidth() / 1.9)))
    figure.legend(handles=lines, loc="outside upper center", ncols=columns, frameon=False)
