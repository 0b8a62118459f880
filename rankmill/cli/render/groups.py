"""What is printed of groups: explanations, audits, summaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from rankmill.cli import streams
from rankmill.cli.session import Session
from rankmill.mining.parts.told import counted
from rankmill.study import words

if TYPE_CHECKING:
    from rankmill.mining.audit.explain import Explained, Explanation
    from rankmill.stages import Audit, Explain

_TEXT = 400  # characters of a text that a line for people is cut from
_POSITIVES = ("positive of", "a positive of")
_SHORT = {  # on one screen; --json has them in full
    "positive of the group": "the positive",
    "a positive of the query": "also positive",
    "could have been drawn": "not drawn",
    "excluded by its judgement": "excluded",
    "a copy of a positive": "copy of positive",
}
_STATISTICS = 4  # of a group, on one screen


def tell_explanation(
    here: Session, asked: Explain, made: Explanation, rows: int, every: bool
) -> None:
    """Print what became of a query's candidates: the first `rows` of each group and its positives,
    or all."""
    if here.as_json:
        here.emit(words.finite(asdict(made)))
        return
    _print_explanation(made, 0 if every else rows)


def tell_audit(here: Session, asked: Audit, made: dict[str, Any]) -> None:
    """Print what was found; ends with status 1 when something is there that must not be."""
    from rankmill.mining.audit.checks import verdict

    if here.as_json:
        here.emit(made)
    else:
        _print_audit(made)
    if verdict(made):
        raise typer.Exit(1)


def tell_summary(here: Session, made: dict[str, Any]) -> None:
    """Print the summary of statistics, scores or vectors."""
    if here.as_json:
        here.emit(made)
    elif "columns" in made:
        _print_summary(made)
    else:
        for part in made.values():
            _print_values(part)


def _print_explanation(explanation: Explanation, rows: int) -> None:
    from rankmill.mining.score_kinds import name_of

    streams.tell(f"{explanation.query_id}  {streams.on_one_line(explanation.text)}")
    streams.tell(f"strategy {explanation.strategy}")
    for group in explanation.groups:
        streams.tell("")
        if group.dropped is not None:
            streams.tell(f"no group round {group.positive_id or 'any positive'}: {group.dropped}")
        left_out = _print_statistics(group.statistics, rows)
        left_out += _print_candidates(group, name_of(explanation.score_kind), rows)
        if left_out:
            streams.tell(f"left out: {', '.join(left_out)}; --all shows them")


def _print_statistics(statistics: dict[str, float | None], rows: int) -> list[str]:
    """Print the first statistics of a group, or all; say how many are left out."""
    shown = list(statistics.items())[: _STATISTICS if rows else None]
    for name, value in shown:
        streams.tell(f"  {name:<48} {'undefined' if value is None else f'{value:.4f}'}")
    more = len(statistics) - len(shown)
    return [counted(more, "statistic")] if more else []


def _print_candidates(group: Explained, score: str, rows: int) -> list[str]:
    """Print the first candidates by the teacher, and further down the positives and what stands in
    the group; say how many are left out."""
    from rankmill.cli.render.rows import print_with_text
    from rankmill.mining.exports.rows import aligned

    every = list(enumerate(group.candidates, 1))
    shown = [
        (rank, one)
        for rank, one in every
        if not rows or rank <= rows or one.kept or one.why.startswith(_POSITIVES)
    ]
    scores = aligned([None if one.teacher is None else float(one.teacher) for _, one in shown])
    columns: dict[str, list[str]] = {"": [], "document": [], score: []}
    columns |= {"grade": [], "π": [], "became": [], "found by": []}
    for (rank, one), teacher in zip(shown, scores, strict=True):
        cells = (
            f"{'●' if one.kept else ' '}{rank:>3}",
            streams.on_one_line(one.doc_id),
            teacher,
            str(one.grade),
            "" if one.inclusion is None else f"{one.inclusion:.3g}",
            _SHORT.get(one.why, one.why),
            ", ".join(f"{label.partition('(')[0]} #{r}" for label, (r, _) in one.found.items())
            or "judgements",
        )
        for column, text in zip(columns.values(), cells, strict=True):
            column.append(text)
    texts = [" ".join(one.text[:_TEXT].split()) for _, one in shown]
    print_with_text(list(columns), list(columns.values()), texts, least=0)
    more = len(every) - len(shown)
    return [f"{more:,} of {counted(len(every), 'candidate')}"] if more else []


def _print_audit(audit: dict[str, Any]) -> None:
    streams.tell("must be zero")
    for name, count in audit["must_be_zero"].items():
        streams.tell(f"  {'ok ' if not count else 'BAD'} {name.replace('_', ' '):<44} {count:>10,}")
    for section in ("counts", "suspects", "copies", "imbalance"):
        streams.tell(f"\n{section}")
        _print_values(audit[section], _EXAMPLES.get(section, {}))
    for title in ("coverage of", "overlap with"):
        for name, values in audit[title.partition(" ")[0]].items():
            streams.tell(f"\n{title} {name}")
            _print_values(values)
    for split, values in audit["leakage"].items():
        streams.tell(f"\nleakage into {split}")
        _print_values(values, _EXAMPLES["leakage"])


_EXAMPLES = {
    "suspects": {"examples": "a negative that the teacher puts above its positive"},
    "copies": {
        "examples": "two documents that are copies of each other",
        "negatives_like_the_positive_examples": "a negative that is like its positive",
    },
    "leakage": {"examples": "a training query that is like a test query"},
}
"""By section of an audit what the examples of it are examples of."""


def _print_values(values: dict[str, Any], examples: Mapping[str, str] | None = None) -> None:
    for name, value in values.items():
        label = (examples or {}).get(name, name.replace("_", " "))
        if isinstance(value, list):
            for example in value:
                streams.tell(f"  {label}:")
                for key, part in example.items():
                    text = f"{part:.4g}" if isinstance(part, float) else " ".join(str(part).split())
                    streams.tell(f"    {key.replace('_', ' '):<18} {text[:160]}")
        elif isinstance(value, dict):
            for key, part in value.items():
                streams.tell(f"  {label} {key:<{max(1, 47 - len(label))}} {part:>10.3f}")
        else:
            streams.tell(f"  {label:<48} {_number(value):>10}")


def _print_summary(summary: dict[str, Any]) -> None:
    streams.tell(counted(summary["rows"], "row"))
    heads = ("n", "mean", "sd", "10 %", "median", "90 %", "unit")
    streams.tell(f"{'column':<50}" + "".join(f"{h:>10}" for h in heads))
    for name, column in summary["columns"].items():
        if not column["n"]:
            streams.tell(f"{name:<50}{0:>10}")
        else:
            deciles = [column["deciles"][i] for i in (1, 5, 9)]
            spread = column.get("variance", float("nan")) ** 0.5
            cells = (column["n"], column.get("mean"), spread, *deciles)
            row = "".join(f"{_number(cell):>10}" for cell in cells)
            streams.tell(f"{name:<50}{row}  {column['unit']}")
            if infinite := column["histogram"]["infinite"]:
                streams.tell(f"    infinite: {infinite:,}, not in mean and sd")
        for reason, count in column["nulls"].items():
            streams.tell(f"    undefined: {count:,} {reason}")
    matrix = summary["correlation"]
    if "spearman" in matrix:
        streams.tell(
            f"\nSpearman over {counted(matrix['rows'], 'row')}, 95 % bootstrap over queries"
        )
        for i, one in enumerate(matrix["names"]):
            for j, other in enumerate(matrix["names"][:i]):
                ends = [matrix[f"spearman{end}"][i][j] for end in ("", "_low", "_high")]
                if ends[0] is not None:
                    low, high = (_number(end) for end in ends[1:])
                    streams.tell(f"  {_number(ends[0]):>8} [{low}, {high}]  {one} × {other}")


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, str):
        return str(value) if value is not None else "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
