"""The verbs: each takes names or objects, does nothing when the result is there, returns objects.

    nf     = rm.collect("beir:nfcorpus", name="nf")
    run    = nf.mine("bm25(k1=0.9,b=0.4)", split="train", depth=200, name="bm25")
    pool   = rm.pool(["bm25", nf.mine("random", split="train")])
    scores = pool.score("bi_encoder(model=PATH)")
    groups = scores.select("uniform(source=bm25,last=100)", size=16)
    groups.audit(), groups.stats().to_polars()
    groups.train("bi_encoder(model=PATH,layers=2)", loss="kl", documents=100_000)

A verb's options are the fields of its request in `rankmill.stages`, under the names that the
command line and recipes use. `name` gives the result an alias; `executor` is an `Execution`: this
process, or Ray actors. It never changes a result. docs/python.md shows all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill import designs, stages
from rankmill.mining.actors import Execution
from rankmill.mining.errors import RankmillError, UsageError, extras_told
from rankmill.mining.inputs.given_paths import path_given
from rankmill.mining.statistics import alone
from rankmill.mining.store import Workspace
from rankmill.mining.store.showing import ShowsRows, show_rows_by
from rankmill.objects import (
    Collection,
    Comparison,
    Evaluation,
    Groups,
    Object,
    Pool,
    Run,
    Scores,
    Statistics,
    Student,
    verb,
)
from rankmill.objects.alone import from_triples, near_copies
from rankmill.objects.door import door
from rankmill.objects.look import describe, summarised
from rankmill.objects.look import list_all as list
from rankmill.objects.look import open_named as open
from rankmill.objects.showing import showing
from rankmill.ran import Ran, check, estimate, report, run, study

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.study.advise.advice import Advice
    from rankmill.study.advise.pilots import Asked


def _rows() -> ShowsRows:
    from rankmill.mining.exports import rows

    return rows


show_rows_by(_rows)

if TYPE_CHECKING:
    from rankmill.objects.signatures import *  # noqa: F403
else:
    collect = verb(stages.Collect, Collection)
    survey = verb(stages.SurveyCollection)
    rewrite = verb(stages.Rewrite, Collection)
    mine = verb(stages.Mine, Run)
    pool = verb(stages.Pool, Pool)
    score = verb(stages.Score, Scores)
    select = verb(stages.Select, Groups)
    stats = verb(stages.Stats, Statistics)
    cross = verb(stages.Cross)
    cut = verb(stages.Cut, Groups)
    cells = verb(stages.CutCells)
    subsample = verb(stages.Subsample, Groups)
    retarget = verb(stages.Retarget, Groups)
    train = verb(stages.Train, Student)
    rerank = verb(stages.Rerank, Run)
    retrieve = verb(stages.Retrieve, Run)
    evaluate = verb(stages.Evaluate, Evaluation)
    compare = verb(stages.Compare, Comparison)
    diagnose = verb(stages.Diagnose, Statistics)
    terms = verb(stages.OrderDesigns)
    audit = verb(stages.Audit)
    explain = verb(stages.Explain)
    export = verb(stages.Export)
    import_run = verb(stages.ImportRun, Run)
    import_scores = verb(stages.ImportScores, Scores)
    import_groups = verb(stages.ImportGroups, Groups)


@door
@extras_told()
def advise(
    about: Artifact | Collection | str,
    evidence: Sequence[str | Path] = (),
    *,
    scores: Artifact | str | None = None,
    samplers: Sequence[str] = (),
    sizes: Sequence[int] = (16,),
    encoder: str | None = None,
    documents: int = 100_000,
    budget: str | None = None,
    measure: str = "nDCG@10",
    by: str = "rate",
    pilot: int | None = None,
    student: str | None = None,
    dev: str | None = None,
    loss: str = "kl",
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    workspace: Workspace | str | Path | None = None,
    executor: Execution | None = None,
    progress: bool | None = None,
) -> Advice:
    """Order the designs that a scored pool allows by predicted gain per cost (docs/advise.md).

    `about`: a pool, or a collection that has one, or the name of either. `evidence`: folders that
    `study(to=…)` wrote, of other collections. `samplers`, `sizes`: the designs, default those of
    the pool's sources. `documents`: that a student will see. `budget`: seconds of processor and
    accelerator, "2h". `by`: "rate" (gain per cost) or "gain". `pilot`: train a `student` on so many
    documents of every design, with other `settings` if need be, and judge it on the development
    split `dev`. The result has `designs` in order, `sentences()`, `judgement`, `beats_bm25`,
    `notes` and `as_json()`. Raises UsageError for what cannot be asked, BadInput for a folder
    without evidence and a pool without scores.

    Example:
        rm.advise("nf-pool", ["out/fiqa"], budget="2h").sentences()
    """
    from rankmill.study.advise import Question, advise_on

    if not sizes:
        raise UsageError(f"sizes={sizes!r} names no size of a group", do="write sizes=[16]")
    question = Question(
        evidence=[path_given(one) for one in evidence],
        samplers=samplers,
        sizes=sizes,
        encoder=encoder,
        documents=documents,
        budget=budget,
        measure=measure,
        by=by,
        pilots=_pilots(pilot, student, dev, loss, settings),
        seed=seed,
    )
    of = open(about, workspace=workspace)
    of = getattr(of, "artifact", of)
    given = None if scores is None else open(scores, workspace=of.workspace)
    with showing(executor, progress) as shown:
        return advise_on(of, question, of.workspace, given, shown or Execution())


def _pilots(
    documents: int | None,
    student: str | None,
    dev: str | None,
    loss: str,
    settings: Mapping[str, Any] | None,
) -> Asked | None:
    """Return what is asked of pilots, None where there are none; raises UsageError for a half."""
    from rankmill.study.advise.pilots import Asked

    if documents is not None and student is not None and dev is not None:
        return Asked(documents, student, dev, loss, settings or {})
    if (documents, student, dev) != (None, None, None):
        given = {"pilot": documents, "student": student, "dev": dev}
        said = ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)
        raise UsageError(
            f"a pilot needs pilot, student and dev, and has {said}", do="give all three, or none"
        )
    return None


@door
def summarise(
    statistics: Artifact | str,
    *,
    correlate: Sequence[str] | None = None,
    beside: Sequence[Artifact | str] = (),
    seed: int = 0,
    workspace: Workspace | str | Path | None = None,
) -> dict[str, Any]:
    """Return what statistics, or their name, say about a whole data set, as plain values.

    `columns`: of each its n, mean, variance, deciles, histogram and nulls by reason; `correlation`:
    how columns go together, `correlate` names which. `beside`: other statistics of the same groups,
    whose columns are taken in. Raises BadInput for what is no statistics, or of other groups.

    Example:
        rm.summarise("nf-stats")["columns"]["pair_entropy(T=1)"]["mean"]
    """
    of = open(statistics, workspace=workspace)
    return summarised(of, correlate=correlate, beside=beside, seed=seed)


def _alone(name: str) -> Callable[..., Any]:
    """Make the function that measures a user's own score lists with one statistic."""

    def function(scores: Any, *, kind: str = "logit", **parameters: Any) -> Any:
        said = ",".join(f"{key}={value}" for key, value in parameters.items())
        return measure_scores(scores, [f"{name}({said})" if said else name], kind=kind)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        f"Return {name} of every list of scores, as a polars frame: `measure_scores` with one\n"
        "statistic; its parameters (docs/statistics.md) are keywords, `T=2`."
    )
    return door(function)


measure_scores = door(alone.measure_scores)
orthogonality = door(designs.orthogonality)
pair_entropy = _alone("pair_entropy")
list_entropy = _alone("list_entropy")
effective_size = _alone("effective_size")
misorder = _alone("misorder")
score_variance = _alone("score_variance")

__all__ = [
    "Collection",
    "Comparison",
    "Evaluation",
    "Execution",
    "Groups",
    "Object",
    "Pool",
    "Ran",
    "RankmillError",
    "Run",
    "Scores",
    "Statistics",
    "Student",
    "Workspace",
    "advise",
    "audit",
    "cells",
    "check",
    "collect",
    "compare",
    "cross",
    "cut",
    "describe",
    "diagnose",
    "effective_size",
    "estimate",
    "evaluate",
    "explain",
    "export",
    "from_triples",
    "import_groups",
    "import_run",
    "import_scores",
    "list",
    "list_entropy",
    "measure_scores",
    "mine",
    "misorder",
    "near_copies",
    "open",
    "orthogonality",
    "pair_entropy",
    "pool",
    "report",
    "rerank",
    "retarget",
    "retrieve",
    "rewrite",
    "run",
    "score",
    "score_variance",
    "select",
    "stats",
    "study",
    "subsample",
    "summarise",
    "survey",
    "terms",
    "train",
]
