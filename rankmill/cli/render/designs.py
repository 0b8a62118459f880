"""What is printed of cells, blocked designs, and the terms of Theorem 2.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rankmill.cli import streams
from rankmill.cli.session import Session
from rankmill.mining.errors import Incomplete
from rankmill.mining.parts.told import counted
from rankmill.study import words

if TYPE_CHECKING:
    from rankmill.stages import Cells, Cross, CutCells, OrderDesigns
    from rankmill.training.ordering import Agreement, Design, Terms


def tell_cells(here: Session, asked: CutCells, made: Cells) -> None:
    """Print the cells, and how many queries are in all of them."""
    from rankmill import designs

    common, queries = designs.queries_in_all(made)
    if here.as_json:
        facts = {
            f"near{near}-sure{sure}": {"root": artifact.root_hash, "rows": artifact.rows}
            for (near, sure), artifact in made.items()
        }
        here.emit({"cells": facts, "queries": queries, "queries_in_all_cells": common})
        return
    for (near, sure), artifact in made.items():
        here.tell(artifact, f"{asked.name}-near{near}-sure{sure}" if asked.name else None)
    streams.tell(
        f"queries in all cells: {common:,} of {queries:,}; the cells differ in their queries too, "
        "`rankmill cross` makes cells of the same queries"
    )


def tell_terms(here: Session, asked: OrderDesigns, made: Terms) -> None:
    """Print the terms of every design, the orders they give, and their agreement."""
    if here.as_json:
        here.emit(plain_terms(made))
    else:
        _print_terms(made)


def tell_design(here: Session, asked: Cross, made: Any) -> None:
    """Say what was made, what it achieved, and what unblocked cells would have confounded."""
    from rankmill import designs

    against, why = _unblocked(made, here)
    facts = designs.orthogonality(made, against) | ({"no_unblocked": why} if why else {})
    if here.as_json:
        here.emit(_facts(made, facts))
        return
    here.tell(designs.design_of(made), asked.name)
    for (near, sure), artifact in made.items():
        here.tell(artifact, f"{asked.name}-near{near}-sure{sure}" if asked.name else None)
    _print(facts)
    if not facts["blocks"]:
        raise Incomplete(
            "no query has a group in every cell, so there is nothing to compare",
            where=designs.design_of(made).path,
            do="choose smaller groups (--size), fewer levels (--bins), a wider --tolerance, or "
            "mine deeper",
        )


def _unblocked(made: Any, here: Session) -> tuple[Any, str | None]:
    """Return cells of the same pool as `cells` makes them, or why there are none."""
    from rankmill import designs
    from rankmill.mining.errors import BadInput, NothingMade

    try:
        return designs.unblocked(made, executor=here.executor), None
    except (BadInput, NothingMade) as error:
        return None, str(error)


def _facts(made: Any, facts: dict[str, Any]) -> dict[str, Any]:
    from rankmill.mining.derive.blocks.confounding import label_of_cell

    cells = {
        label_of_cell(*place): {"root": artifact.root_hash, "rows": artifact.rows}
        for place, artifact in made.items()
    }
    return {"groups": cells, **facts}


def _print(facts: dict[str, Any]) -> None:
    """Print blocks, cells, correlations, and what cells of other queries would confound."""
    streams.tell(f"queries in all cells: {facts['blocks']:,} of {facts['asked']:,}")
    if not facts["blocks"]:
        return
    streams.tell("cell          groups  distinct pairs  documents  locality ± sd    entropy ± sd")
    for cell in facts["cells"]:
        streams.tell(
            f"near{cell['near']}-sure{cell['sure']}  {cell['groups']:8,}  "
            f"{cell['distinct_pairs']:14,}  {cell['distinct_documents']:9,}  "
            f"{cell['locality']:.3f} ± {cell['locality_sd']:.3f}   "
            f"{cell['entropy']:.3f} ± {cell['entropy_sd']:.3f}"
        )
    said = {name: _number(value) for name, value in facts["correlation"].items()}
    streams.tell(
        f"locality with entropy: Pearson {said['pearson']}, Spearman {said['spearman']}; "
        f"within queries {said['within_pearson']}, {said['within_spearman']}"
    )
    overlap = {n: " ".join(f"{v:.2f}" for v in values) for n, values in facts["overlap"].items()}
    streams.tell(
        "overlap of neighbouring levels (0 apart, 1 alike): "
        f"locality {overlap['locality_between_locality_levels']} between its own levels, "
        f"{overlap['locality_between_entropy_levels']} between those of entropy; "
        f"entropy {overlap['entropy_between_entropy_levels']} and "
        f"{overlap['entropy_between_locality_levels']}"
    )
    streams.tell(
        f"ordered as intended: {facts['ordered']:.1%} of the blocks; two cells of a query share "
        f"{facts['shared_negatives']:.1%} of their negatives"
    )
    _print_confounding(facts)


def _print_confounding(facts: dict[str, Any]) -> None:
    other = facts.get("against")
    if other is None:
        streams.tell(f"no unblocked cells to compare with: {facts.get('no_unblocked')}")
        return
    streams.tell(
        "unblocked cells of the same pool: queries in all of them "
        f"{other['queries_in_all_cells']:,} of {other['queries']:,}; what they confound, blocks in "
        "brackets:"
    )
    for name, apart in other["covariates"].items():
        if "spread" not in apart:
            continue
        own = facts["confounding"]["covariates"][name]
        parts = [
            f"{word} {_number(apart[key])} ({_number(own.get(key))})"
            for key, word in (
                ("locality_effect", "far − near"),
                ("entropy_effect", "high − low entropy"),
                ("spread", "largest difference of cells"),
                ("eta2", "η²"),
            )
        ]
        streams.tell(f"  {name}: {', '.join(parts)}; by chance η² {_number(apart['by_chance'])}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{round(value, 3) + 0.0:.3f}"  # + 0: no minus zero


def _print_terms(terms: Terms) -> None:
    for name, design in terms.designs.items():
        streams.tell(f"{name}")
        for line in _design_lines(design, terms.n):
            streams.tell(f"  {line}")
    streams.tell(f"\norders, lowest predicted risk first (combined: weights {terms.weights[0]:g} "
               f"locality, {terms.weights[1]:g} entropy, declared, not known)")  # fmt: skip
    for kind, order in terms.orders.items():
        values = terms.predicted[kind] if kind in terms.predicted else terms.observed or {}
        said = " < ".join(f"{name} {values[name]:.4g}" for name in order)
        label = f"{kind}, {terms.measure}" if kind == "observed" else kind
        streams.tell(f"  {label:<22} {said.replace(' < ', ', ') if kind == 'observed' else said}")
    _print_agreement(terms)
    streams.tell("An order by our reconstruction of Theorem 2.1, not the value of a bound.")


def _design_lines(design: Design, n: str) -> list[str]:
    h, d = design.entropy_bits, design.diameter
    lines = [
        f"Δ {d.column}: mean {d.mean:.4f}, median {d.median:.4f}, .95 {d.q95:.4f}, "
        f"largest {d.largest:.4f}",
        f"H {h.column}: mean {h.mean:.4f} bits = {design.entropy_nats:.4f} nats, "
        f".95 {h.q95:.4f}, undefined in {counted(h.undefined, 'group')}",
    ]
    lines += [
        f"κ {r.column}: median {r.median:.4g}, infinite in {r.infinite:.0%} of "
        + counted(r.groups, "group")
        + (f", covers {r.coverage:.3g} of the target" if r.coverage is not None else "")
        + (f", unknown in {r.undefined:,}" if r.undefined else "")
        for r in design.ratios
    ] or ["κ not measured: rankmill stats -s 'density_ratio(target=…)'"]
    counts = ", ".join(f"{count:,} {kind}" for kind, count in design.amount.items())
    lines.append(f"n {counts} (one epoch); under the root: {n}")
    lines.append(f"terms: locality {design.locality:.4g}, entropy {design.entropy:.4g}")
    return lines


def _print_agreement(terms: Terms) -> None:
    if terms.chance is None or terms.observed is None:
        return
    count = len(terms.observed)
    for kind, one in (terms.agreement or {}).items():
        streams.tell(f"  {kind:<22} {_correlation(one)}")
    if terms.too_few:
        streams.tell(
            f"too few designs: {count} can be in the same or the opposite order by chance with "
            f"probability {min(terms.chance, 1.0):.3g}"
        )


def _correlation(one: Agreement) -> str:
    if one.kendall is None or one.spearman is None:
        return "does not vary"
    return (
        f"Kendall τ {one.kendall:+.3f} ({one.kendall_low:+.3f} to {one.kendall_high:+.3f}), "
        f"Spearman ρ {one.spearman:+.3f} ({one.spearman_low:+.3f} to {one.spearman_high:+.3f}) "
        "with the observed risk"
    )


def plain_terms(terms: Terms) -> dict[str, Any]:
    """Return the table as JSON values: null for what is undefined, "inf" for an infinite κ."""
    from dataclasses import asdict

    plain: dict[str, Any] = words.finite(asdict(terms))
    return plain
