"""Pictures of what was mined: recall, overlap, entropy and locality."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from ..content import Overlap, SourceRecall, Statistic
from .canvas import INK, PALETTE, SOFT, Look, Picture, brief, log_axis, panel, wrapped

BINS = 50  # docs/quantities.md §7: a histogram with declared edges


def finite(values: object) -> np.ndarray:
    """Return the finite values as a flat float64 array."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def recall_picture(recall: tuple[SourceRecall, ...], look: dict[str, Look]) -> Picture:
    """Recall of judged positives against depth, one line per source."""
    said = "; ".join(f"{r.source} {np.asarray(r.recall)[-1]:.2f}" for r in recall)
    with panel(
        "Recall of judged positives",
        f"Recall of judged positives against depth. At the end: {said}.",
    ) as (picture, axes):
        for curve in recall:
            style = look[curve.source]
            axes.plot(curve.depth, curve.recall, color=style.color, ls=style.dash)
        depths = np.concatenate([np.asarray(curve.depth, dtype=np.float64) for curve in recall])
        axes.set_xscale("log")
        axes.set_xlim(max(1.0, depths.min()), depths.max())
        log_axis(axes.xaxis, steps=(1.0, 2.0, 5.0))
        top = max(float(np.max(curve.recall)) for curve in recall)
        axes.set_ylim(0, min(1.0, top * 1.08) or 1.0)
        axes.set_xlabel("depth (candidates, log scale)")
        axes.set_ylabel("recall of judged positives")
    return picture


def overlap_picture(overlap: Overlap) -> Picture:
    """Heat map of the Jaccard overlap between the sources' candidates."""
    names, matrix = list(overlap.sources), np.asarray(overlap.jaccard, dtype=np.float64)
    count = len(names)
    pairs = [
        f"{names[a]} and {names[b]} {matrix[a, b]:.2f}"
        for a in range(count)
        for b in range(a + 1, count)
    ]
    crowded = sum(map(len, names)) > 34
    with panel(
        f"Overlap of the first {overlap.depth} candidates",
        f"Jaccard overlap between sources: {'; '.join(pairs)}.",
        height=3.7 if crowded else 3.1,
    ) as (picture, axes):
        axes.set_xlim(-0.5, count - 0.5)
        axes.set_ylim(count - 0.5, -0.5)
        for a in range(count):
            for b in range(count):
                shade = 0.0 if a == b else 0.7 * matrix[a, b]  # ink stays legible, light or dark
                color = to_rgba(PALETTE[0], shade)
                axes.add_patch(Rectangle((b - 0.5, a - 0.5), 1, 1, fc=color, ec="white", lw=2))
                axes.text(
                    b, a, "–" if a == b else f"{matrix[a, b]:.2f}",
                    ha="center", va="center", fontsize=9.5 if count <= 6 else 7.5,
                    color=SOFT if a == b else INK,
                )  # fmt: skip
        shown = [brief(name, 16) for name in names]
        axes.set_xticks(range(count), shown, rotation=90 if crowded else 0, color=INK)
        axes.set_yticks(range(count), shown, color=INK)
        axes.grid(False)
        axes.spines[:].set_visible(False)
    picture.remark = "Jaccard: shared candidates / all candidates of the two, mean over queries."
    return picture


def distribution_picture(statistic: Statistic, look: dict[str, Look]) -> Picture:
    """One ridge per sampler: histogram with shared edges, quartiles and median beneath."""
    values = {name: finite(statistic.values[name]) for name in look if name in statistic.values}
    lost = sum(np.size(statistic.values[name]) - values[name].size for name in values)
    values = {name: array for name, array in values.items() if array.size}
    low, high = _limits(statistic, values)
    edges = np.linspace(low, high, BINS + 1)
    said = "; ".join(f"{name} {np.median(array):.3g}" for name, array in values.items())
    height = 0.75 + 0.5 * max(len(values), 3)
    with panel(
        statistic.title, f"{statistic.title} by sampler, medians: {said}.", height=height
    ) as (picture, axes):
        for row, (name, array) in enumerate(reversed(values.items())):
            _ridge(axes, row, array, edges, look[name])
        axes.set_yticks(
            np.arange(len(values)) + 0.08, [brief(name) for name in reversed(values)], color=INK
        )
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_ylim(-0.32, len(values) - 0.08)
        axes.set_xlim(low, high)
        axes.set_xlabel(wrapped(f"{statistic.title} ({statistic.unit})"))
    counts = {array.size for array in values.values()}
    groups = "; ".join(f"{name} {array.size:,}" for name, array in values.items())
    each = f"{min(counts):,} per sampler" if len(counts) == 1 and len(values) > 1 else groups
    picture.remark = f"{statistic.label} · groups: {each}"
    if lost:
        picture.remark += f" · {lost:,} without a finite value left out"
    return picture


def _ridge(axes: Axes, row: int, array: np.ndarray, edges: np.ndarray, look: Look) -> None:
    """Draw one histogram of height 0.78 on the base line `row`, with its five-number bar."""
    share, _ = np.histogram(np.clip(array, edges[0], edges[-1]), edges)
    tall = row + 0.78 * share / max(share.max(), 1)
    axes.fill_between(edges, row, np.append(tall, tall[-1]), step="post", color=look.color,
                      alpha=0.30, linewidth=0)  # fmt: skip
    axes.step(edges, np.append(tall, tall[-1]), where="post", color=look.color, linewidth=1.1)
    tenth, quarter, median, three, ninth = np.quantile(array, (0.1, 0.25, 0.5, 0.75, 0.9))
    axes.plot((tenth, ninth), (row - 0.12,) * 2, color=look.color, linewidth=1.2)
    axes.plot((quarter, three), (row - 0.12,) * 2, color=look.color, linewidth=4)
    axes.plot(median, row - 0.12, "o", color="white", mec=look.color, mew=1.6, ms=5.5, zorder=5)


def _limits(statistic: Statistic, values: dict[str, np.ndarray]) -> tuple[float, float]:
    """The drawn range: the declared limits, cut to the data with a little room."""
    if not values:
        return statistic.limits or (0.0, 1.0)
    every = np.concatenate(list(values.values()))
    low, high = float(every.min()), float(every.max())
    room = 0.04 * (high - low) or max(abs(high), 1.0) * 0.05
    low, high = low - room, high + room
    if statistic.limits is not None:
        low, high = max(low, statistic.limits[0]), min(high, statistic.limits[1])
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def plane_picture(across: Statistic, up: Statistic, look: dict[str, Look]) -> Picture:
    """Medians of two statistics with their quartiles: where each sampler stands."""
    said = []
    with panel(f"{up.title} against {across.title}", "", height=3.1) as (picture, axes):
        for name, style in look.items():
            x, y = finite(across.values.get(name, ())), finite(up.values.get(name, ()))
            if not (x.size and y.size):
                continue
            x1, x2, x3 = np.quantile(x, (0.25, 0.5, 0.75))
            y1, y2, y3 = np.quantile(y, (0.25, 0.5, 0.75))
            axes.plot((x1, x3), (y2, y2), color=style.color, alpha=0.75)
            axes.plot((x2, x2), (y1, y3), color=style.color, alpha=0.75)
            axes.plot(x2, y2, style.marker, color=style.color, mec="white", mew=1.2, ms=9, zorder=5)
            said.append(f"{name} {x2:.3g}, {y2:.3g}")
        axes.margins(0.12)
        axes.set_xlabel(wrapped(f"{across.title} ({across.unit})", 48))
        axes.set_ylabel(wrapped(f"{up.title} ({up.unit})"))
        picture.alternative = f"Medians of {across.title} and {up.title}: {'; '.join(said)}."
    picture.remark = "Dot: medians over groups; lines: from first to third quartile."
    return picture
