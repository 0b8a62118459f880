"""Studies: one recipe with a `[study]` section, carried out for every combination of its axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rankmill.study.recipe import tables_of

if TYPE_CHECKING:
    from rankmill.mining.actors import Execution
    from rankmill.mining.store import Workspace
    from rankmill.study.grid.design import Study
    from rankmill.study.grid.outcome import StudyOutcome

__all__ = ["load_study", "run_study"]


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Read a recipe with its `[study]`.

    Raises BadInput for a file that cannot be read and UsageError for a bad key or value.
    """
    from dataclasses import replace

    from rankmill.study.grid.design import study_of

    study = study_of(tables_of(path, overrides), str(path))
    said = [f"# set on the command line: {one}" for one in overrides]
    text = "\n".join([path.read_text(encoding="utf-8").rstrip(), *said])
    return replace(study, text=text, overrides=tuple(overrides))


def run_study(study: Study, workspace: Workspace, executor: Execution) -> StudyOutcome:
    """Carry out a study; returns its outcome."""
    from rankmill.study.grid.engine import Engine
    from rankmill.study.grid.outcome import StudyOutcome

    engine = Engine(study, workspace, executor)
    engine.run()
    return StudyOutcome(engine)
