"""Figures for a paper: whole pages with their legends, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .canvas import OTHER, START, STYLE, TEACHER, Look, log_axis, looks
from .content import Numbers, RankCurve, RankPanels, Training
from .ranked import draw_curves, drawable_curves, limits
from .trained import WINDOW, smooth

_RATIO = "rank / length of the list"
_START_DASH = (0, (4, 2))


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
        rows[0][0].set_ylabel(panels.y_label)
        _legend(figure, look, samplers)
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
        figure.supylabel(panels.y_label, fontsize=9.5)
        _legend(figure, look, samplers)
    return figure


def training(logs: Sequence[Training], samplers: Sequence[str]) -> Figure:
    """Loss, loss above its floor, gradient norm and its variance; a row per loss."""
    look = looks(tuple(samplers))
    names = list(dict.fromkeys(t.loss_name for t in logs))
    columns: tuple[tuple[str, str], ...] = (
        ("loss", "training loss"), ("excess", "loss − floor"),
        ("gradient_norm", "gradient norm before clipping"),
        ("norm_variance", "its variance, last 100 steps"),
    )  # fmt: skip
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.1 * len(columns), 2.4 * len(names) + 0.6), layout="constrained")
        rows = figure.subplots(len(names), len(columns), sharex=True, squeeze=False)
        for line, name in zip(rows, names, strict=True):
            mine = [t for t in logs if t.loss_name == name]
            for axes, (field, title) in zip(line, columns, strict=True):
                _steps(axes, {t.sampler: (t.step, getattr(t, field)) for t in mine}, look)
                if line is rows[0]:
                    axes.set_title(title, fontsize=10)
            line[0].set_ylabel(f"{name} ({mine[0].unit})")
        for axes in rows[-1]:
            axes.set_xlabel("optimiser step")
        lines = [Line2D([], [], color=look[s].color, ls=look[s].dash, label=s) for s in samplers]
        figure.legend(handles=lines, loc="outside upper center", ncols=6, frameon=False)
    return figure


def save(figure: Figure, stream: IO[Any], form: str) -> None:
    """Write a figure; the same figure gives the same bytes."""
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    with matplotlib.rc_context(STYLE):
        figure.savefig(stream, format=form, dpi=160, metadata=dates[form])


def _steps(
    axes: Axes, curves: dict[str, tuple[Numbers, Numbers | None]], look: dict[str, Look]
) -> None:
    """One line per sampler on a logarithmic axis: every step light, the moving mean on top."""
    axes.set_yscale("log")
    for sampler, (step, given) in curves.items():
        value = np.asarray([] if given is None else given, np.float64)
        if not (value > 0).any():
            continue
        mean, color = smooth(value, round(WINDOW * value.size) | 1), look[sampler].color
        axes.plot(step, np.where(value > 0, value, np.nan), color=color, alpha=0.2, lw=0.7)
        axes.plot(step, np.where(mean > 0, mean, np.nan), color=color, ls=look[sampler].dash)


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


def _legend(figure: Figure, look: dict[str, Look], samplers: Sequence[str]) -> None:
    lines = [
        Line2D([], [], color=TEACHER, lw=1.5, label="teacher"),
        Line2D([], [], color=START, lw=1.5, ls=_START_DASH, label="untrained start"),
    ]
    for sampler in samplers:
        style = look[sampler]
        lines.append(Line2D([], [], color=style.color, ls=style.dash, label=f"student, {sampler}"))
    figure.legend(handles=lines, loc="outside upper center", ncols=3, frameon=False)
