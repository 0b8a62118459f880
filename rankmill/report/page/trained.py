"""Pictures of what training did: loss, gradient norm, and effectiveness before and after."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..content import Numbers, System, Training
from .canvas import INK, OTHER, START, TEACHER, Look, Picture, brief, log_axis, panel, wrapped

POINTS = 400  # a line holds no more points than a screen can show
WINDOW = 0.04  # the moving mean covers this share of the steps


def smooth(values: np.ndarray, window: int) -> np.ndarray:
    """Centred moving mean of an odd window, cut off at both ends."""
    half = window // 2
    sums = np.concatenate(([0.0], np.cumsum(values)))
    place = np.arange(values.size)
    first, last = np.maximum(place - half, 0), np.minimum(place + half + 1, values.size)
    return (sums[last] - sums[first]) / (last - first)


def curve_picture(
    title: str,
    label: str,
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
    look: dict[str, Look],
    *,
    remark: str = "",
) -> Picture:
    """One line per sampler on a logarithmic axis: every step light, the moving mean on top."""
    said: list[str] = []
    lows: list[float] = []
    highs: list[float] = []
    lost, last = 0, 1.0
    with panel(title, "", 3.6, 2.9) as (picture, axes):
        for name in (name for name in look if name in curves):
            step, value = (np.asarray(a, dtype=np.float64) for a in curves[name])
            known = np.isfinite(value)
            step, value = step[known], value[known]
            mean = smooth(value, round(WINDOW * value.size) | 1)
            lost += int(known.size - (value > 0).sum())
            if not (mean > 0).any():
                continue
            thin = np.unique(np.linspace(0, value.size - 1, min(POINTS, value.size)).astype(int))
            raw, line = (np.where(a > 0, a, np.nan) for a in (value, mean))
            axes.plot(step[thin], raw[thin], color=look[name].color, alpha=0.18, lw=0.8)
            axes.plot(step[thin], line[thin], color=look[name].color, ls=look[name].dash)
            said.append(f"{name} from {mean[0]:.3g} to {mean[-1]:.3g}")
            lows.append(min(np.nanquantile(raw, 0.01), np.nanmin(line)))
            highs.append(max(np.nanquantile(raw, 0.99), np.nanmax(line)))
            last = max(last, float(step.max()))
        level_axis(axes, min(lows), max(highs))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("optimiser step")
        axes.set_ylabel(wrapped(label))
        axes.set_xlim(0, last)
        picture.alternative = f"{title} by step: {'; '.join(said)}."
    picture.remark = remark + (
        f" {lost:,} {'step is' if lost == 1 else 'steps are'} not positive and "
        f"{'is' if lost == 1 else 'are'} not drawn."
        if lost
        else ""
    )
    return picture


def without_short(steps: int, one: str = "", several: str = "") -> str:
    """Return what is said of steps that are not drawn, and nothing where there are none."""
    if not steps:
        return ""
    verb = one if steps == 1 else several
    noun = "step" if steps == 1 else "steps"
    return f"{steps} {noun} of fewer groups than a batch {f'{verb} ' if verb else ''}left out"


def level_axis(axes: Axes, low: float, high: float) -> None:
    """Scale the upright axis: logarithmic, but linear where powers of ten leave few labels."""
    spread = np.log10(high / low)
    if spread <= 0.4:
        room = 0.04 * (high - low) or 0.05 * high
        axes.set_ylim(low - room, high + room)
        return
    axes.set_yscale("log")
    axes.set_ylim(low / 1.08, high * 1.08)
    few = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if spread < 0.9 else (1.0, 2.0, 5.0)
    log_axis(axes.yaxis, steps=few if spread < 2.5 else (1.0,))


def training_pictures(training: tuple[Training, ...], look: dict[str, Look]) -> list[Picture]:
    """Loss, loss above its floor, gradient norm and its variance, for every loss there is."""
    names = list(dict.fromkeys(t.loss_name for t in training))
    pictures = []
    for name in names:
        suffix = f", {name}" if len(names) > 1 else ""
        pictures += _of_loss([t for t in training if t.loss_name == name], suffix, look)
    return pictures


def _of_loss(training: list[Training], suffix: str, look: dict[str, Look]) -> list[Picture]:
    unit = f"{training[0].loss_name} ({training[0].unit})"
    floors = "; ".join(f"{t.sampler} {t.floor:.3g}" for t in training if t.floor is not None)
    said = f"Floor, the smallest loss that the teacher’s scores allow: {floors}." if floors else ""
    wanted: list[tuple[str, str, dict[str, Numbers | None], str]] = [
        ("Training loss", unit, {t.sampler: t.loss for t in training}, ""),
        ("Loss above its floor", f"loss − floor ({training[0].unit})",
         {t.sampler: t.excess for t in training}, said),
        ("Gradient norm before clipping", "global L2 norm",
         {t.sampler: t.gradient_norm for t in training}, ""),
        ("Variance of the gradient norm", "over the last 100 steps",
         {t.sampler: t.norm_variance for t in training}, ""),
    ]  # fmt: skip
    steps = {t.sampler: np.asarray(t.step) for t in training}
    short = without_short(max(t.short for t in training), "is", "are")
    pictures = []
    for title, label, given, remark in wanted:
        curves = {
            n: (steps[n], np.asarray(v, np.float64)) for n, v in given.items() if v is not None
        }
        if any((value > 0).any() for _, value in curves.values()):
            pictures.append(
                curve_picture(
                    title + suffix,
                    label,
                    curves,
                    look,
                    remark=" ".join(filter(None, (remark, short and f"{short}."))),
                )
            )
    return pictures


def effect_pictures(
    systems: tuple[System, ...], domains: tuple[str, ...], measure: str, look: dict[str, Look]
) -> list[Picture]:
    """Dots with intervals, one row per system, one panel per domain, the same scale on all."""
    systems = tuple(system for system in systems if not system.searches)
    scores = [i for s in systems for i in s.scores.values()]
    ends = [end for i in scores for end in (i.low, i.value, i.high) if end is not None]
    low, high = min(ends), max(ends)
    room = 0.05 * (high - low) or 0.05
    limits = max(0.0, low - room), min(1.0, high + room) if high <= 1 else high + room
    return [
        _effect_panel([s for s in systems if domain in s.scores], domain, measure, look, limits)
        for domain in domains
        if any(domain in s.scores for s in systems)
    ]


def _effect_panel(
    systems: list[System],
    domain: str,
    measure: str,
    look: dict[str, Look],
    limits: tuple[float, float],
) -> Picture:
    """One domain: the untrained start as a line; students begin at it and end at their dot."""
    start = next((s.scores[domain].value for s in systems if s.role == "start"), None)
    said = "; ".join(f"{s.name} {s.scores[domain].value:.3f}" for s in systems)
    with panel(
        domain, f"{measure} on {domain}: {said}.", height=0.7 + 0.32 * max(len(systems), 3)
    ) as (picture, axes):
        if start is not None:
            axes.axvline(start, color=START, lw=1, ls=(0, (4, 2)), zorder=1)
        for row, system in enumerate(reversed(systems)):
            score = system.scores[domain]
            color = {"teacher": TEACHER, "start": START}.get(system.role, OTHER)
            if system.sampler is not None:
                color = look[system.sampler].color
            if system.role == "student" and start is not None:
                axes.plot((start, score.value), (row, row), color=color, lw=5, alpha=0.22)
            if score.low is not None and score.high is not None:
                axes.plot((score.low, score.high), (row, row), color=color, lw=1.6)
            marker = look[system.sampler].marker if system.sampler is not None else "o"
            fill = color if system.role == "student" else "white"
            (mark,) = axes.plot(score.value, row, marker, mec=color, mfc=fill, ms=7, mew=1.8)
            mark.set(zorder=5, clip_on=False)  # a mean of 1 is drawn whole
        axes.set_yticks(range(len(systems)), [brief(s.name) for s in reversed(systems)], color=INK)
        axes.set_ylim(-0.6, len(systems) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(*limits)
        axes.set_xlabel(measure)
    return picture
