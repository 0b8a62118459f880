"""The verbs: each takes and returns artifact handles, each does nothing when the result is there.

    nf     = collect("beir:nfcorpus")
    run    = mine("bm25(k1=0.9,b=0.4)", nf, split="train", depth=200)
    cands  = pool([run])
    scored = score("bi_encoder(model=PATH)", cands)
    chosen = select("uniform(source=bm25,last=100)", cands, scored, size=16)
    stats(chosen); train("bi_encoder(model=PATH,layers=2)", chosen, loss="kl", documents=100_000)

A verb's options are the fields of its request in `rankmill.stages`, under the names that the
command line and recipes use. `name` gives the result an alias; `executor` is an `Execution`: this
process, or Ray actors. It never changes a result.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from rankmill import stages
from rankmill.designs import orthogonality
from rankmill.mining.actors import Execution
from rankmill.mining.errors import RankmillError, UsageError, extras_told
from rankmill.mining.inputs.given_paths import path_given
from rankmill.mining.names import nearest
from rankmill.mining.options import options_of
from rankmill.mining.statistics.alone import measure_scores
from rankmill.mining.statistics.summaries.summary import summarise
from rankmill.mining.store import Workspace
from rankmill.mining.store.artifact import ShowsRows, show_rows_by
from rankmill.request import ENGINE, Request

if TYPE_CHECKING:
    from rankmill.mining.collection import Collection
    from rankmill.mining.store import Artifact
    from rankmill.study.advise.advice import Advice
    from rankmill.study.estimate.outcome import Estimate
    from rankmill.study.grid.outcome import StudyOutcome


def _rows() -> ShowsRows:
    from rankmill.mining.exports import rows

    return rows


show_rows_by(_rows)

Options = ParamSpec("Options")
Made = TypeVar("Made")


def verb(request: Callable[Options, Request[Made]]) -> Callable[Options, Made]:
    """Make the function that performs a request; its signature is that of the request."""

    def perform(*args: Options.args, **kwargs: Options.kwargs) -> Made:
        try:
            asked = request(*args, **kwargs)
        except TypeError as error:
            raise _explained(error, request, args, kwargs) from error
        return asked.make()

    function: Any = perform
    function.__signature__ = _signature(request)
    function.__name__ = function.__qualname__ = vars(request)["verb"]
    function.__doc__ = _documented(request)
    function.__module__ = __name__
    return perform


def _explained(error: TypeError, request: Any, args: Any, kwargs: Any) -> Exception:
    """Say a call that does not fit the verb in its own words, with the nearest option."""
    known = [option.name for option in options_of(request)]
    for name in kwargs:
        if name not in (*known, *inspect.signature(request).parameters):
            return UsageError(f"{request.verb}() has no option {name!r}", do=nearest(name, known))
    try:
        inspect.signature(request).bind(*args, **kwargs)
    except TypeError as unfit:
        return UsageError(f"{request.verb}(): {unfit}", do=f"see help(rm.{request.verb})")
    return error


def _signature(request: Any) -> inspect.Signature:
    """Return the request's signature with plain types, the options of every stage last."""
    signature = inspect.signature(request)
    last = (*ENGINE, "name", "executor")
    ordered = sorted(signature.parameters.values(), key=lambda p: p.name in last)
    plain = [p.replace(annotation=_plain(p.annotation)) for p in ordered]
    return signature.replace(parameters=plain, return_annotation=inspect.Signature.empty)


def _plain(annotation: str) -> str:
    """Return `int` of `Annotated[int, Option(…)]`, as it is written."""
    node = ast.parse(annotation, mode="eval").body
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated":
        assert isinstance(node.slice, ast.Tuple)
        return ast.unparse(node.slice.elts[0])
    return annotation


def _documented(request: Any) -> str:
    """Return the request's help without its command lines, and a line for each option."""
    said = inspect.cleandoc(request.__doc__ or "").split("Example: rankmill")[0].rstrip()
    lines = [f"    {o.name}: {o.option.help}" + _unit(o.option.unit) for o in options_of(request)]
    return "\n".join([said, "", "Options:", *lines])


def _unit(unit: str | None) -> str:
    return f" ({unit})" if unit else ""


collect = verb(stages.Collect)
survey = verb(stages.SurveyCollection)
rewrite = verb(stages.Rewrite)
mine = verb(stages.Mine)
pool = verb(stages.Pool)
score = verb(stages.Score)
select = verb(stages.Select)
stats = verb(stages.Stats)
cross = verb(stages.Cross)
cut = verb(stages.Cut)
cells = verb(stages.CutCells)
subsample = verb(stages.Subsample)
retarget = verb(stages.Retarget)
train = verb(stages.Train)
rerank = verb(stages.Rerank)
retrieve = verb(stages.Retrieve)
evaluate = verb(stages.Evaluate)
compare = verb(stages.Compare)
diagnose = verb(stages.Diagnose)
terms = verb(stages.OrderDesigns)
audit = verb(stages.Audit)
explain = verb(stages.Explain)
export = verb(stages.Export)
import_run = verb(stages.ImportRun)
import_scores = verb(stages.ImportScores)
import_groups = verb(stages.ImportGroups)


@extras_told()
def study(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    workspace: Workspace | str | Path = stages.DEFAULT_WORKSPACE,
    to: str | Path | None = None,
    executor: Execution | None = None,
) -> StudyOutcome:
    """Run a recipe for every combination of the axes of its `[study]` (docs/studies.md).

    `overrides` are texts such as "train.documents=20000"; `to` is a folder for the report and every
    number. The result has them as polars frames, such as `cells`, `queries` and `worth`, and the
    findings: `answer`, `gains`, `effects`, `notes`. Raises UsageError, before any data is read, for
    what cannot work.
    """
    from rankmill.report.study.facts import check_study_place
    from rankmill.report.study.files import write_study
    from rankmill.study.grid import load_study, run_study

    asked = load_study(Path(recipe), overrides)
    if to is not None:
        check_study_place(to, asked.name)  # now, not after hours
    place = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
    outcome = run_study(asked, place, executor or Execution())
    if to is not None:
        write_study(outcome, to)
    return outcome


@extras_told()
def estimate(
    recipe: str | Path,
    overrides: Sequence[str] = (),
    *,
    workspace: Workspace | str | Path = stages.DEFAULT_WORKSPACE,
    sample: int = 64,
    documents: int = 2_000,
    machine: str | None = None,
    prices: str | Path | None = None,
    scratch: str | Path | None = None,
) -> Estimate:
    """Say what a recipe or study will take, from measured samples of its stages (docs/estimate.md).

    `sample`: queries of a split in the largest sample. `documents`: of the largest slice; a corpus
    of no more is taken whole. `machine`: "8xH100" or a TOML file; None is this one. The result has
    `rows` with intervals, their `total`, what cannot fit in `refusals`, and `refuse()`, which
    raises BadInput for it. The workspace is only read.
    """
    from rankmill.study.estimate import estimate_recipe

    place = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
    return estimate_recipe(
        Path(recipe),
        place,
        overrides,
        queries=sample,
        documents=documents,
        machine=machine,
        prices=None if prices is None else Path(prices),
        scratch=None if scratch is None else Path(scratch),
    )


@extras_told()
def advise(
    about: Artifact | Collection,
    evidence: Sequence[str | Path] = (),
    *,
    scores: Artifact | None = None,
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
    executor: Execution | None = None,
) -> Advice:
    """Order the designs that a scored pool allows by predicted gain per cost (docs/advise.md).

    `about`: a pool, or a collection that has one. `evidence`: folders that `study(to=…)` wrote, of
    other collections. `samplers`, `sizes`: the designs, default those of the pool's sources.
    `documents`: that a student will see. `budget`: seconds of processor and accelerator, "2h".
    `by`: "rate" (gain per cost) or "gain". `pilot`: train a `student` on so many documents of every
    design, with other `settings` if need be, and judge it on the development split `dev`. The
    result has `designs` in order, `sentences()`, `judgement`, `beats_bm25`, `notes` and
    `as_json()`. Raises UsageError for what cannot be asked, BadInput for a folder without evidence
    and a pool without scores.
    """
    from rankmill.study.advise import Question, advise_on
    from rankmill.study.advise.pilots import Asked

    if (pilot is None, student is None, dev is None) not in ((True,) * 3, (False,) * 3):
        raise UsageError("a pilot needs pilot, student and dev", do="give all three, or none")
    asked = None
    if pilot is not None and student is not None and dev is not None:
        asked = Asked(pilot, student, dev, loss, settings or {})
    question = Question(
        evidence=[path_given(one) for one in evidence],
        samplers=samplers,
        sizes=sizes,
        encoder=encoder,
        documents=documents,
        budget=budget,
        measure=measure,
        by=by,
        pilots=asked,
        seed=seed,
    )
    of: Any = getattr(about, "artifact", None) or about
    return advise_on(of, question, of.workspace, scores, executor or Execution())


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
    return function


pair_entropy = _alone("pair_entropy")
list_entropy = _alone("list_entropy")
effective_size = _alone("effective_size")
misorder = _alone("misorder")
score_variance = _alone("score_variance")

__all__ = [
    "Execution",
    "RankmillError",
    "Workspace",
    "advise",
    "audit",
    "cells",
    "collect",
    "compare",
    "cross",
    "cut",
    "diagnose",
    "effective_size",
    "estimate",
    "evaluate",
    "explain",
    "export",
    "import_groups",
    "import_run",
    "import_scores",
    "list_entropy",
    "measure_scores",
    "mine",
    "misorder",
    "orthogonality",
    "pair_entropy",
    "pool",
    "rerank",
    "retarget",
    "retrieve",
    "rewrite",
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
