"""Figures of the paper from stored artifacts: score against rank ratio, and training by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from rankmill.mining.runs.run import Run
from rankmill.mining.store import files
from rankmill.report import content
from rankmill.report.rank_curves import RankCurve, Scale, rank_curve
from rankmill.study.results import START, TEACHER, System, Trained

if TYPE_CHECKING:
    from rankmill.study.outcome import Outcome

POINTS = 100  # ratios at which score against rank is drawn; fewer where lists are shorter


def ranks(outcome: Outcome) -> content.RankPanels | None:
    """Return teacher, start and student for every sampler and loss, on the first domain."""
    if not outcome.standings.domains:
        return None
    domain, several = outcome.standings.domains[0], len(outcome.recipe.losses) > 1
    runs: dict[System, Run] = {}
    for judged in outcome.results.judged:
        if judged.domain == domain:
            runs.setdefault(judged.system, Run(judged.run))  # of several seeds the first
    teacher, start = System(TEACHER), System(START)
    shown = [s for s in (teacher, start, *outcome.results.students) if s in runs]
    scale = Scale.of([runs[system] for system in shown], outcome.temperature)
    points = min(POINTS, outcome.recipe.option("evaluate", "depth"))
    drawn = {s: rank_curve(runs[s], scale, points, seed=outcome.recipe.seed) for s in shown}
    curves = []
    for system, trained in outcome.results.students.items():
        roles: tuple[tuple[System, content.CurveRole], ...]
        roles = ((teacher, "teacher"), (start, "start"), (system, "student"))
        loss = trained.loss if several else ""
        curves += [_curve(trained.sampler, role, drawn[s], loss) for s, role in roles if s in drawn]
    note = (
        f"Power laws y ∝ x^−α are fitted by least squares to all {points} ratios, with 95 % "
        "bootstrap intervals over queries; “best” is the best of power law, exponential and "
        "log-normal by BIC."
    )
    return content.RankPanels(curves, y_label=f"{scale.label}, {domain}", note=note)


def _curve(sampler: str, role: content.CurveRole, curve: RankCurve, loss: str) -> content.RankCurve:
    fit = ""
    if (d := curve.decay) is not None:
        fit = f"α {d.alpha:.2f} ({d.low:.2f} – {d.high:.2f}), R² {d.r2:.2f}, best {_NAMES[d.best]}"
    return content.RankCurve(
        sampler, role, curve.ratio, curve.mean, curve.low, curve.high, fit=fit, loss=loss
    )


_NAMES = {"power_law": "power law", "exponential": "exponential", "log_normal": "log-normal"}


def training(outcome: Outcome) -> list[content.Training]:
    """Return the telemetry of every sampler and loss, of the first training seed."""
    students, losses = outcome.results.students, outcome.recipe.losses
    return [_training(trained, losses[trained.loss]) for trained in students.values()]


def _training(trained: Trained, loss: str) -> content.Training:
    log = files.read_arrow(trained.artifact.file("telemetry.arrow"))
    groups = log["groups"].to_numpy()
    whole = groups == groups.max()  # the last step of a budget may be of a few groups: other noise
    short, log = int((~whole).sum()), log.filter(pa.array(whole))
    floor = log["floor"].to_numpy()
    known = bool(np.isfinite(floor).all() and (floor != 0).any())  # a floor of 0 says nothing
    return content.Training(
        trained.sampler,
        step=log["step"].to_numpy(),
        loss=log["loss"].to_numpy(),
        gradient_norm=log["gradient_norm"].to_numpy(),
        loss_name=trained.loss,
        unit="squared score" if loss.startswith(("margin_mse", "mse")) else "nats",
        floor=float(floor.mean()) if known else None,
        excess=log["excess"].to_numpy() if known else None,
        norm_variance=log["gradient_norm_variance"].to_numpy(),
        short=short,
    )
