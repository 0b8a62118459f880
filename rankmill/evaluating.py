"""Which run `rankmill eval` judges: a named one, a TREC file, or what a student makes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rankmill.mining.errors import UsageError

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.session import Session


def run_to_judge(
    here: Session,
    run: str | None,
    student: str | None,
    first_stage: str | None,
    collection: str | None,
    split: str | None,
    depth: int,
) -> Artifact:
    """Return the run artifact that the options of `rankmill eval` mean; UsageError when unclear."""
    from rankmill import api, exchange
    from rankmill.mining.collection import Collection

    if (run is None) == (student is None):
        raise UsageError("name what to evaluate", do="give --run or --student, one of them")
    if student is not None and first_stage is not None:
        stage = here.workspace.find(first_stage, "run")
        return api.rerank(_student(here, student), stage, depth=depth, how=here.how)
    if run is not None and run in here.workspace.names():
        return here.workspace.find(run, "run")
    if run is not None and not Path(run).is_file():
        return here.workspace.find(run, "run")  # a fingerprint, or the error with the nearest name
    if collection is None or split is None:
        raise UsageError(
            "which queries, which judgements?", do="add --collection NAME --split NAME"
        )
    opened = Collection.open(here.workspace, collection)
    if run is not None:
        return exchange.import_run(run, opened, split=split, how=here.how)
    assert student is not None
    return api.retrieve(_student(here, student), opened, split=split, depth=depth, how=here.how)


def means(evaluation: Artifact) -> dict[str, float]:
    """Return each measure's mean over queries."""
    import pyarrow as pa

    table = pa.concat_tables(evaluation.tables())
    columns = [name for name in table.column_names if name != "query"]
    return {name: float(table[name].to_numpy().mean()) for name in columns}


def _student(here: Session, name: str) -> Artifact | str:
    return here.workspace.find(name, "student") if name in here.workspace.names() else name
