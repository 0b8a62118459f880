"""The measures by name: those of ir_measures, computed by it, and the pair-wise risk of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..mining.errors import UsageError
from .pair_risk import MEASURES, PairRisk

if TYPE_CHECKING:
    from ir_measures import Measure

DEFAULT_MEASURES = "nDCG@10 AP R@100"


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
        for metric in ir_measures.iter_calc(parsed, judged, answered):
            values[str(metric.measure)][metric.query_id] = float(metric.value)
    return values


def parse_measures(measures: str | Sequence[str]) -> list[Measure | PairRisk]:
    """Read names of measures, separated by blanks; raises UsageError for one that is not known."""
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
            parsed.append(ir_measures.parse_measure(str(name)))
        except (NameError, ValueError, TypeError, SyntaxError, AssertionError) as error:
            raise UsageError(
                f"unknown measure {name!r}",
                do="examples: nDCG@10 AP RR@10 R@100 P@5 Judged@10 PairRisk(ties=half)",
            ) from error
    return parsed
