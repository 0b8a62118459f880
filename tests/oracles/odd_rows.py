"""What becomes of odd rows by the policies, one row after the other: for `--on KIND=ACTION`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Row = tuple[str, str]
Judgement = tuple[str, str, int]
REFUSED = "refused"


def kept_rows(rows: Sequence[Row], on: Mapping[str, str], empty: str) -> tuple[list[Row], set[str]]:
    """Return the rows that are kept, in their order, and the ids of those dropped as empty.

    Raises ValueError where a policy refuses. `empty`: the kind of an empty row.
    """
    bare = {row_id for row_id, text in rows if not text.strip()}
    if bare and on[empty] == "refuse":
        raise ValueError(empty)
    gone = bare if on[empty] == "drop" else set()
    kept: dict[str, tuple[int, str]] = {}
    for place, (row_id, text) in enumerate(rows):
        if row_id in gone and not text.strip():
            continue
        before = kept.setdefault(row_id, (place, text))
        if before == (place, text):
            continue
        kind = "duplicate_row" if before[1] == text else "conflicting_row"
        if on[kind] == "refuse":
            raise ValueError(kind)
        if on[kind] == "keep_last":
            kept[row_id] = (place, text)
    ordered = sorted((place, row_id, text) for row_id, (place, text) in kept.items())
    return [(row_id, text) for _, row_id, text in ordered], gone


def kept_judgements(
    judged: Sequence[Judgement],
    on: Mapping[str, str],
    queries: set[str],
    docs: set[str],
    gone: set[str],
) -> dict[tuple[str, str], int]:
    """Return the grade of every pair that is kept; raises ValueError where a policy refuses."""
    lines: dict[tuple[str, str], list[int]] = {}
    for query, doc, grade in judged:
        lines.setdefault((query, doc), []).append(grade)
    kept = {}
    for pair, grades in lines.items():
        clash = len(set(grades)) > 1
        kind = "conflicting_qrel" if clash else "duplicate_qrel"
        if len(grades) > 1 and on[kind] == "refuse":
            raise ValueError(kind)
        by = on["conflicting_qrel"] if clash else "keep_first"
        kept[pair] = {"keep_last": grades[-1], "keep_highest": max(grades)}.get(by, grades[0])
    kept = {pair: grade for pair, grade in kept.items() if pair[0] not in gone}
    lost = [pair for pair in kept if pair[0] not in queries or pair[1] not in docs]
    if lost and on["dangling_qrel"] == "refuse":
        raise ValueError("dangling_qrel")
    kept = {pair: grade for pair, grade in kept.items() if pair not in lost}
    if max(kept.values(), default=0) < 1 and on["no_positives"] == "refuse":
        raise ValueError("no_positives")
    return kept
