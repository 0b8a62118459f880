"""The part of docs/RELIABILITY.md that is made from kept figures; the rest is written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures: made by bench/reliability -->", "<!-- figures: end -->"
MEANING = {
    "quick": "`make reliability`, the short form",
    "chaos": "`make chaos`, the long form, or experiments of it alone",
}


def around(page: Path) -> tuple[str, str]:
    """Return what stands before and after the figures of a page; raises ValueError for one without
    a place for them, OSError for one that is not there."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for figures: add the lines\n{BEGIN}\n{END}")
    return before, after


def write_page(results: Path, page: Path) -> None:
    """Put the kept figures between the two marks of a page; what stands around them stays."""
    before, after = around(page)
    page.write_text(f"{before}{BEGIN}\n\n{figures(results)}\n{END}{after}", encoding="utf-8")


def figures(results: Path) -> str:
    """Return tables of all that is kept, by machine and form."""
    made = []
    for path in sorted(results.glob("*.json")):
        kept = json.loads(path.read_text(encoding="utf-8"))
        for form in (f for f in MEANING if f in kept):
            made.append(_table(form, kept[form]))
    return "\n".join(made)


def _table(form: str, outcomes: dict[str, Any]) -> str:
    done = {name: one for name, one in outcomes.items() if "not_run" not in one}
    about = next(iter(done.values()), None)
    if about is None:
        return ""
    cores = about["machine"]["cores"]
    lines = [
        f"### {MEANING[form]}: {about['machine']['cpu']}, {cores} cores",
        "",
        "| experiment | cases | put in | wrong | root hash | seconds | CPU s | load | when |",
        "|---|--:|---|--:|---|--:|--:|--:|---|",
    ]
    lines += [_row(one) for one in done.values()]
    lines += [_absent(one) for one in outcomes.values() if "not_run" in one]
    lines += ["", *(note for name, one in done.items() for note in _notes(name, one)), ""]
    return "\n".join(lines)


def _row(one: dict[str, Any]) -> str:
    sorts = [f"{n:,} {what}" for what, n in one["injected"].items()]
    put = (
        ", ".join(sorts)
        if len(sorts) <= 8
        else f"{sum(one['injected'].values()):,} of {len(sorts)} sorts"
    )
    roots = one["roots"]
    root = f"`{roots[0][:12]}`" if len(roots) == 1 else f"**{len(roots)}**" if roots else "–"
    wrong = one["wrong"] if not one["wrong"] else f"**{one['wrong']}**"
    took = f"{one['seconds']:,.0f} | {one['cpu_seconds']:,.0f} | {one['machine']['load']:.0f}"
    when = f"{one['date']}, {one['commit']}"
    return f"| {one['title']} | {one['cases']:,} | {put} | {wrong} | {root} | {took} | {when} |"


def _absent(one: dict[str, Any]) -> str:
    return f"| {one['title']} | – | **not run**: {one['not_run']} | – | – | – | – | – | – |"


def _notes(name: str, one: dict[str, Any]) -> list[str]:
    """Return what a reader has to know of one experiment, and its other figures."""
    told = []
    for what, figure in one["figures"].items():
        if isinstance(figure, dict):
            figure = ", ".join(f"{key} {value:,}" for key, value in figure.items()) or "none"
        told.append(
            f"{what}: {figure:,}" if isinstance(figure, int | float) else f"{what}: {figure}"
        )
    said = [note[:1].upper() + note[1:] for note in [*told, *one["notes"]]]
    faults = [f"**Wrong:** {complaint}" for complaint in one["first_wrong"]]
    return [f"- *{name}*: {'. '.join([*said, *faults])}."] if said or faults else []
