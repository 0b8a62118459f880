"""The verbs that judge designs and students: the theorem's terms, and per-group diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill.mining.actors import INLINE, Execution
from rankmill.mining.store import Artifact

if TYPE_CHECKING:
    from rankmill.training.ordering import Terms


def diagnose(
    student: Artifact | str | Path,
    measured: Artifact,
    *,
    statistics: Sequence[str] | None = None,
    compute: str = "float32",
    name: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Compare a student with the teacher of groups (or scores of a pool), row by row.

    KL(teacher‖student), Kendall's τ-b, variance of the student's scores and the collapse alarm,
    as statistics over the same rows.
    """
    from rankmill.training.diagnosis import diagnose_student

    workspace = measured.workspace
    made = diagnose_student(
        workspace, student, measured, statistics, compute=compute, executor=executor
    )
    if name:
        workspace.alias(name, made)
    return made


def terms(
    designs: Mapping[str, Artifact],
    *,
    against: Mapping[str, Artifact | Sequence[Artifact]] | None = None,
    measure: str = "nDCG@10",
    **settings: Any,
) -> Terms:
    """Order designs by the measured terms of Theorem 2.1, and compare with the observed order.

    `designs`: by name, the statistics of the groups of each. `against`: by the same names, the
    evaluations of students trained on them, one or one per training seed. `settings`: `locality`,
    `entropy` (columns), `n`, `weights`, `resamples`, `seed`; see `order_designs`. Not a bound.
    """
    from rankmill.training.ordering import order_designs

    observed = {
        name: [given] if isinstance(given, Artifact) else list(given)
        for name, given in (against or {}).items()
    }
    return order_designs(designs, observed, measure=measure, **settings)


def plain_terms(found: Terms) -> dict[str, Any]:
    """Return the table as JSON values: null for what is undefined, "inf" for an infinite κ."""
    from dataclasses import asdict

    plain: dict[str, Any] = _finite(asdict(found))
    return plain


def _finite(value: Any) -> Any:
    if isinstance(value, float) and value - value != 0:
        return None if value != value else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value
