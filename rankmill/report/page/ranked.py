"""Pictures of score against rank ratio: how the mass of a list falls, for teacher and students."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from ..content import RankCurve, RankPanels
from .canvas import START, TEACHER, Look, Picture, log_axis, panel, wrapped

RATIO = "rank / length of the list (log scale)"


def rank_pictures(panels: RankPanels, look: dict[str, Look]) -> list[Picture]:
    """One panel per loss and sampler, the same axes on all."""
    shown = drawable_curves(panels)
    bounds = limits(shown, panels.log_y)
    pictures = []
    for loss in dict.fromkeys(curve.loss for curve in shown):
        for sampler in (name for name in look if any(c.sampler == name for c in shown)):
            mine = [c for c in shown if (c.loss, c.sampler) == (loss, sampler)]
            if not mine:
                continue
            title = f"{sampler}, {loss}" if loss else sampler
            said = ", ".join(curve.role for curve in mine)
            with panel(
                title, f"Mean score against rank ratio, groups of {title}: {said}.", 4.6, 2.9
            ) as (picture, axes):
                draw_curves(axes, mine, look, panels.log_y, bounds)
                axes.set_xlabel(RATIO)
                axes.set_ylabel(wrapped(panels.y_label))
            fits = "; ".join(f"{c.role} {c.fit}" for c in mine if c.fit and c.role != "start")
            picture.remark = f"Power law: {fits}." if fits else ""
            pictures.append(picture)
    return pictures


def drawable_curves(panels: RankPanels) -> list[RankCurve]:
    """Return the curves of which something can be drawn."""
    return [curve for curve in panels.curves if _drawable(curve, panels.log_y).any()]


def limits(curves: Sequence[RankCurve], log: bool) -> tuple[float, float, float, float]:
    """Return (left, right, bottom, top) that hold all curves."""
    ys = [np.asarray(c.y, dtype=np.float64)[_drawable(c, log)] for c in curves]
    y = np.concatenate(ys or [np.array([0.1, 1.0])])
    x = np.concatenate([np.asarray(c.ratio, np.float64) for c in curves] or [np.ones(1)])
    if log:
        bottom, top = y.min() / 1.6, y.max() * 1.6
    else:
        room = 0.06 * (np.ptp(y) or 1.0)
        bottom, top = y.min() - room, y.max() + room
    return max(float(x.min()), 1e-9), float(x.max()), float(bottom), float(top)


def draw_curves(
    axes: Axes,
    curves: Sequence[RankCurve],
    look: dict[str, Look],
    log: bool,
    bounds: tuple[float, float, float, float],
) -> None:
    """Draw curves on log–log axes (or a linear y) with their bands."""
    for curve in curves:
        _curve(axes, curve, look[curve.sampler], log)
    axes.set_xscale("log")
    axes.set_xlim(*bounds[:2])
    log_axis(axes.xaxis, steps=(1.0, 2.0, 5.0))
    if log:
        axes.set_yscale("log")
        log_axis(axes.yaxis)
    axes.set_ylim(*bounds[2:])


def _drawable(curve: RankCurve, log: bool) -> np.ndarray:
    y = np.asarray(curve.y, dtype=np.float64)
    return np.isfinite(y) & ((y > 0) | (not log))


def _curve(axes: Axes, curve: RankCurve, look: Look, log: bool) -> None:
    keep = _drawable(curve, log)
    x, y = np.asarray(curve.ratio, dtype=np.float64)[keep], np.asarray(curve.y)[keep]
    color, dash = {"teacher": (TEACHER, "-"), "start": (START, (0, (4, 2)))}.get(
        curve.role, (look.color, look.dash)
    )
    if curve.low is not None and curve.high is not None:
        low, high = np.asarray(curve.low)[keep], np.asarray(curve.high)[keep]
        axes.fill_between(x, low, high, color=color, alpha=0.12, linewidth=0)
    axes.plot(x, y, color=color, ls=dash, lw=2.2 if curve.role == "student" else 1.5)
