"""The measures by name: those of ir_measures, computed by it, and the pair-wise risk of ours."""

from __future__ import annotations

import difflib
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..mining.errors import UsageError
from .pair_risk import MEASURES, PairRisk

if TYPE_CHECKING:
    from ir_measures import Measure

DEFAULT_MEASURES = "nDCG@10 AP R@100"
_LARGEST = {"cutoff": (1 << 31) - 1, "rel": (1 << 15) - 1, "max_rel": (1 << 15) - 1}
_BETWEEN = {"recall": (0.0, 1.0), "p": (0.0, 1.0), "beta": (1e-6, 1e6)}


def per_query(
    measures: str | Sequence[str],
    qrels: Mapping[str, Mapping[str, int]],
    run: Mapping[str, Mapping[str, float]],
) -> dict[str, dict[str, float]]:
    """Return measure → query → value for every query in `qrels`; 0 where the run has nothing.

    Ties are broken as trec_eval breaks them: by falling document name.
    """
    import ir_measures

    named = parse_measures(measures)
    parsed = [m for m in named if not isinstance(m, PairRisk)]
    if len(parsed) < len(named):
        raise UsageError("a PairRisk is measured on artifacts", do="use evaluate_run")
    values = {str(m): dict.fromkeys(qrels, 0.0) for m in parsed}
    answered = {q: dict(docs) for q, docs in run.items() if docs and q in qrels}
    if answered:
        judged = {q: dict(docs) for q, docs in qrels.items()}
        try:
            for metric in ir_measures.iter_calc(parsed, judged, answered):
                values[str(metric.measure)][metric.query_id] = float(metric.value)
        except (ArithmeticError, LookupError, TypeError, ValueError, OSError) as error:
            raise UsageError(
                f"ir_measures cannot compute {' '.join(map(str, parsed))} of this run: {error!r}",
                do="leave out the measure that it names, or evaluate one measure at a time",
            ) from error
    return values


def parse_measures(measures: str | Sequence[str]) -> list[Measure | PairRisk]:
    """Read names of measures, separated by blanks; one that is named twice counts once.

    Raises UsageError for a measure that is not known, cannot be computed here, or has a cutoff or
    another parameter that it cannot have: nothing reaches the code of the providers unchecked.
    """
    import ir_measures

    names = measures.split() if isinstance(measures, str) else list(measures)
    if not names:
        raise UsageError("no measure is named", do=f"write --measures {DEFAULT_MEASURES!r}")
    parsed: list[Measure | PairRisk] = []
    for name in names:
        if str(name).partition("(")[0] in MEASURES.names():
            parsed.append(MEASURES.parse(str(name)))
            continue
        try:
            measure = ir_measures.parse_measure(str(name))
            measure.validate_params()
        except (NameError, ValueError, TypeError, SyntaxError, AssertionError) as error:
            raise UsageError(f"unknown measure {name!r}", do=_meant(str(name))) from error
        _check(measure, str(name))
        parsed.append(measure)
    return list({str(one): one for one in reversed(parsed)}.values())[::-1]


_EXAMPLES = "examples: nDCG@10 AP RR@10 R@100 P@5 Judged@10 PairRisk(ties=half)"
_TREC_EVAL = re.compile(r"(ndcg_cut|ndcg|map_cut|map|recip_rank|recall|success|P)(?:_(\d+))?")
_OURS = {"ndcg": "nDCG", "map": "AP", "recip_rank": "RR", "recall": "R", "success": "Success"}


def _meant(name: str) -> str:
    """Say how a measure is written that somebody wrote in another way: in another case, as
    trec_eval prints it, several with commas between."""
    from ir_measures.measures import registry

    several = re.split(r"[,;]+", name)
    if len(several) > 1 and "(" not in name:
        return f"blanks stand between measures: {' '.join(filter(None, several))!r}"
    if trec := _TREC_EVAL.fullmatch(name):
        family = _OURS.get(trec[1].removesuffix("_cut"), trec[1])
        return f"did you mean {family}{f'@{trec[2]}' if trec[2] else ''}? {_EXAMPLES}"
    stem = re.split(r"[@(]", name, maxsplit=1)[0]
    known = {one.lower(): one for one in sorted(registry)} | {"ndcg": "nDCG", "rprec": "Rprec"}
    close = difflib.get_close_matches(stem.lower(), known, n=1, cutoff=0.6)
    if not close or known[close[0]] == stem:
        return _EXAMPLES
    return f"did you mean {known[close[0]]}{name[len(stem) :]}? {_EXAMPLES}"


def _check(measure: Measure, name: str) -> None:
    """Refuse a measure that its provider would choke on: trec_eval ends the process itself."""
    import ir_measures

    given = measure.params
    for parameter, largest in _LARGEST.items():
        value = given.get(parameter)
        if parameter in given and not (type(value) is int and 1 <= value <= largest):
            raise UsageError(
                f"the measure {name!r} has {parameter}={value}",
                do=f"give a whole number from 1 to {largest:,}",
            )
    for grade, gain in (given.get("gains") or {}).items():
        if not (_is_grade(grade) and _is_grade(gain)):
            raise UsageError(
                f"the measure {name!r} gives grade {grade!r} the gain {gain!r}",
                do="write whole numbers of 16 bits: nDCG(gains={1:1,2:3})@10",
            )
    for parameter, (low, high) in _BETWEEN.items():
        if parameter in given and not low <= given[parameter] <= high:
            raise UsageError(
                f"the measure {name!r} has {parameter}={given[parameter]}",
                do=f"give a number from {low:g} to {high:g}",
            )
    providers = ir_measures.DefaultPipeline.providers
    provider = next((p for p in providers if p.is_available() and p.supports(measure)), None)
    if provider is None or (provider.NAME == "gdeval" and shutil.which("perl") is None):
        raise UsageError(
            f"the measure {name!r} is known, but nothing that is installed here computes it",
            do="choose another, such as nDCG@10 AP RR@10 R@100",
        )


def _is_grade(value: object) -> bool:
    return type(value) is int and -(1 << 15) <= value < 1 << 15
