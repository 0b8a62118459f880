"""The figures of the paper as files: drawn from stored artifacts, their numbers beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.store import files
from rankmill.report import dynamics

if TYPE_CHECKING:
    from rankmill.report import content
    from rankmill.study.outcome import Outcome

FORMATS = ("svg", "pdf", "png")


def check_form(form: str) -> None:
    """Raise UsageError for a format that figures are not drawn in."""
    if form not in FORMATS:
        raise UsageError(f"format {form!r} is not one of {', '.join(FORMATS)}")


def draw(outcome: Outcome, folder: Path, form: str = "svg") -> list[Path]:
    """Write score-against-rank, training and grid, and figures.json; return their paths.

    Raises UsageError for another format, BadInput for a recipe that trains no student.
    """
    check_form(form)
    panels, training = dynamics.ranks(outcome), dynamics.training(outcome)
    if panels is None:
        raise BadInput(
            f"the recipe {outcome.recipe.name!r} trains no student",
            do="add [train]; the figures show teacher and students",
        )
    from rankmill.report.page import paper

    samplers = outcome.samplers
    drawn = {
        "score-against-rank": paper.score_against_rank(panels, samplers),
        "training": paper.training(training, samplers),
        "grid": paper.grid(panels, samplers),
    }
    files.make_folder(folder)
    paths = []
    for name, figure in drawn.items():
        paths.append(folder / f"{name}.{form}")
        with files.replacing(paths[-1], text=False) as stream:
            paper.save(figure, stream, form)
    paths.append(folder / "figures.json")
    with files.replacing(paths[-1]) as stream:
        stream.write(json.dumps(numbers(outcome, panels, training), indent=1) + "\n")
    return paths


def numbers(
    outcome: Outcome, panels: content.RankPanels, training: list[content.Training]
) -> Mapping[str, Any]:
    """Return what is drawn as plain values."""
    curves = [
        {
            "sampler": c.sampler,
            "loss": c.loss,
            "system": c.role,
            "ratio": _list(c.ratio),
            "y": _list(c.y),
            "low": _list(c.low),
            "high": _list(c.high),
            "power_law": c.fit,
        }
        for c in panels.curves
    ]
    steps = [
        {
            "sampler": t.sampler,
            "loss": t.loss_name,
            "step": _list(t.step),
            "value": _list(t.loss),
            "excess": _list(t.excess),
            "gradient_norm": _list(t.gradient_norm),
            "gradient_norm_variance": _list(t.norm_variance),
            "short_steps_left_out": t.short,
        }
        for t in training
    ]
    students = {
        system.name: {str(seed): a.root_hash for seed, a in trained.seeds.items()}
        for system, trained in outcome.results.students.items()
    }
    return {
        "recipe": outcome.recipe.name,
        "y": panels.y_label,
        "note": panels.note,
        "students": students,
        "score_against_rank": curves,
        "training": steps,
    }


def _list(values: Any) -> list[float | None] | None:
    if values is None:
        return None
    array = np.asarray(values, np.float64)
    return [float(v) if np.isfinite(v) else None for v in array]
