"""The declared claims of a study as tables: verdicts, and what other choices would have said."""

from __future__ import annotations

from collections.abc import Iterator

from rankmill.report.page.words import p_value
from rankmill.report.study.tables import Table, interval
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
        f"Declared before any run (SHA-256 of what was declared: "
        f"{declared_hash(outcome.study.declared)[:16]}). An effect is a − b, the mean over its "
        "sets, with its interval over queries and seeds. p is after Holm over all claims of the "
        "study. Power: the chance that the test decides where the truth is on the claim’s side, "
        "with the spread at hand."
    )
    if elsewhere := outcome.study.elsewhere:
        names = ", ".join(one.name for one in elsewhere)
        say += (
            f" {len(elsewhere)} more were declared, of cells that this part of the study has not: "
            f"{names}. They count as claims of a larger p."
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
            "The same claims under choices that are not ours: declared ones, the mean over all "
            "queries pooled, and the reference’s test of equivalence, which is read backwards. "
            "They are not adjusted for their number."
        )
        columns = ["claim", "choice", "verdict", "effect"]
        yield Table("What other choices would have said", columns, rows, 3, say, _GROUP)


def _row(one: Verdict) -> list[str]:
    h, tested = one.hypothesis, one.judgement
    p = ["–", "–", "–"]
    if tested is not None:
        p = [p_value(tested.p_holds), p_value(tested.p_fails), f"{tested.power:.2f}"]
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
