"""The declared claims of a study as tables: verdicts, and what other choices would have said."""

from __future__ import annotations

from collections.abc import Iterator

from rankmill.report.study.tables import Shown, Table, interval, shown_p
from rankmill.study.grid.claims.verdicts import OURS, Verdict
from rankmill.study.grid.hypotheses import declared_hash
from rankmill.study.grid.outcome import StudyOutcome

_GROUP = "Declared claims"


def claim_tables(outcome: StudyOutcome) -> Iterator[Table]:
    """Yield the verdicts, then what other choices of analysis say of the same claims."""
    verdicts = outcome.claims.verdicts
    if not verdicts:
        return
    ours = [one for one in verdicts if one.choice == OURS]
    say = (
        f"Declared before anything was run (SHA-256 of the declaration: "
        f"{declared_hash(outcome.study.declared)[:16]}). An effect is a − b, averaged over "
        "its sets, with its interval over queries and seeds. p is adjusted (Holm) over all claims "
        "of the study. Power is the chance that the test reaches a decision if the claim is true, "
        "given the observed spread."
    )
    if elsewhere := outcome.study.elsewhere:
        names = ", ".join(one.name for one in elsewhere)
        say += (
            f" {len(elsewhere)} more were declared about cells outside this part of the study: "
            f"{names}. They count in the adjustment as claims with a larger p."
        )
    columns = ["claim", "expected of a − b", "verdict", "effect", "margin", "p: holds"]
    columns += ["p: fails", "power", "sets"]
    yield Table("What was claimed", columns, [_row(one) for one in ours], 3, say, _GROUP)
    rows = [
        [one.hypothesis.name, one.choice, one.verdict, _effect(one)]
        for one in verdicts
        if one.choice != OURS
    ]
    if rows:
        say = (
            "The same claims under other choices of analysis: declared ones, the mean over all "
            "queries pooled, and the reference’s test of equivalence, which is read backwards. "
            "Nothing is adjusted for their number."
        )
        columns = ["claim", "choice", "verdict", "effect"]
        yield Table("What other choices of analysis say", columns, rows, 3, say, _GROUP)


def _row(one: Verdict) -> list[str]:
    h, tested = one.hypothesis, one.judgement
    p: list[str] = ["–", "–", "–"]
    if tested is not None:
        p = [shown_p(tested.p_holds), shown_p(tested.p_fails)]
        p.append(Shown(f"{tested.power:.2f}", tested.power))
    expect = h.expect.replace("_", " ") + (f", {h.contrast.of}" if h.contrast.of else "")
    if h.contrast.against is not None:
        expect += f", b: {h.contrast.against}"
    if h.contrast.system is not None:
        expect += f", a: {h.contrast.system}"
    claim = f"{h.name}: {h.claim}" + (f" ({h.source})" if h.source else "")
    return [claim, expect, one.verdict, _effect(one), f"{h.margin:g}", *p, ", ".join(one.sets)]


def _effect(one: Verdict) -> str:
    if one.interval is None:
        return one.reason or "–"
    return interval(one.interval, sign=True)
