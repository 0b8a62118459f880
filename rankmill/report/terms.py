"""The terms of Theorem 2.1 of a recipe's samplers, beside the order that their students took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rankmill.mining.statistics.summaries.terms import measurable
from rankmill.report import content
from rankmill.stages import OrderDesigns

if TYPE_CHECKING:
    from rankmill.study.outcome import Outcome
    from rankmill.training.ordering import Terms


def theory_of(outcome: Outcome) -> content.Theory | None:
    """Return the table of terms by sampler; None for one sampler and without Δ or H.

    Observed are the students of the first loss on the first domain, but for blends: they have no
    statistics of their own.
    """
    terms = _terms(outcome)
    if terms is None:
        return None
    observed = terms.observed or {}
    rows = [
        content.DesignTerms(
            name,
            design.diameter.mean,
            design.entropy_bits.mean,
            tuple((r.column, r.infinite, r.median) for r in design.ratios),
            design.amount,
            {kind: values[name] for kind, values in terms.predicted.items()},
            observed.get(name),
        )
        for name, design in terms.designs.items()
    ]
    first = next(iter(terms.designs.values()))
    said = [
        f"{kind}: Kendall τ {one.kendall:+.2f} ({one.kendall_low:+.2f} to {one.kendall_high:+.2f})"
        for kind, one in (terms.agreement or {}).items()
        if one.kendall is not None
    ]
    if terms.too_few and terms.chance is not None:
        said.append(
            f"too few designs: two unrelated orders of {len(observed)} agree or disagree "
            f"completely with probability {min(1.0, terms.chance):.2g}"
        )
    return content.Theory(
        rows,
        locality=first.diameter.column,
        entropy=first.entropy_bits.column,
        n=terms.n,
        measure=f"{terms.measure}, {outcome.standings.domains[0]}" if observed else "",
        agreement=said,
    )


def _terms(outcome: Outcome) -> Terms | None:
    measured = outcome.results.statistics
    columns = {measurable(artifact) for artifact in measured.values()}
    if len(measured) < 2 or len(columns) > 1 or None in columns:
        return None
    losses, domains = list(outcome.recipe.losses), outcome.standings.domains
    against = {
        trained.sampler: [
            judged.evaluation
            for judged in outcome.results.judged
            if judged.system == system and judged.domain == domains[0]
        ]
        for system, trained in outcome.results.students.items()
        if domains and trained.loss == losses[0] and trained.sampler in measured
    }
    return OrderDesigns(
        measured, against=against, measure=outcome.measure, seed=outcome.recipe.seed
    ).make()
