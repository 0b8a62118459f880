"""Finished studies, and parts of studies that were run apart: their folders read, and verdicts of
parts brought together, each claim judged once and among all that its study declared."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

FACTS, CELLS, CLAIMED = "study.json", "cells.parquet", "hypotheses.parquet"
NEEDED, WELCOME = (FACTS, CELLS), (CLAIMED, "study.md", "designs.parquet")  # what a study may lack
DECLARED = ""  # the choice of a claim's own row


@dataclass(frozen=True, slots=True)
class Study:
    """One finished study, or a part of it: its folder's name, what the folder says of itself, its
    rows of claims (none where it claims nothing), and its cells."""

    name: str
    facts: Mapping[str, Any]
    claims: Sequence[Mapping[str, Any]]
    cells: pl.DataFrame

    @property
    def command(self) -> str:
        """The command that makes its figures."""
        sets = "".join(f" --set {shlex.quote(one)}" for one in self.facts["overrides"])
        return f"rankmill study {self.facts['recipe']} --to results/{self.name}{sets}"

    @property
    def measured(self) -> str:
        """On which processors, and when."""
        said = []
        for one in self.facts["machines"]:
            days = " to ".join(dict.fromkeys(d for d in (one["first"], one["last"]) if d))
            place = one["processor"] or f"{one['platform']}, processor not recorded"
            said.append(f"{place}, {days}" if days else place)
        return "; ".join(said)

    @property
    def declared(self) -> frozenset[str]:
        """The names of all claims that the study declared by then, judged here or not."""
        return frozenset((*self.facts["claims"], *self.facts["claims_elsewhere"]))

    @property
    def judged(self) -> int:
        """How many claims have a verdict here."""
        return len(self.judged_as(DECLARED))

    def judged_as(self, choice: str) -> dict[str, Mapping[str, Any]]:
        """Return the rows of one choice of analysis, by claim."""
        return {row["hypothesis"]: row for row in self.claims if row["choice"] == choice}


def read(folder: Path) -> Study:
    """Read a study's folder; ends the command where it is none."""
    for name in NEEDED:
        if not (folder / name).exists():
            raise SystemExit(
                f"{folder} has no {name}: give the folder that `rankmill study RECIPE --to FOLDER` "
                "wrote; one of an earlier version is made again in seconds by the same command, "
                "which finds all that was done"
            )
    facts = json.loads((folder / FACTS).read_text("utf-8"))
    claimed = folder / CLAIMED
    claims = pl.read_parquet(claimed).to_dicts() if claimed.exists() else []
    return Study(folder.name, facts, claims, pl.read_parquet(folder / CELLS))


def merged(studies: Sequence[Study]) -> list[Study]:
    """Return the studies without the rows of a part that a run with more of the study's cells
    judges too, and with the verdicts of every part among all claims that its study declared since.
    Ends the command where verdicts of two parts do not stand side by side."""
    most: dict[tuple[str, str], int] = {}
    for one in studies:
        for name in one.judged_as(DECLARED):
            key = one.facts["study"], name
            most[key] = max(most.get(key, 0), one.facts["cells"])
    lasting = [
        replace(
            one,
            claims=[
                row
                for row in one.claims
                if most[one.facts["study"], row["hypothesis"]] == one.facts["cells"]
            ],
        )
        for one in studies
    ]
    declared: dict[str, frozenset[str]] = {}
    for name in dict.fromkeys(one.facts["study"] for one in studies):
        parts = [one for one in lasting if one.facts["study"] == name and one.claims]
        refuse_apart(parts)
        declared[name] = frozenset().union(*(one.declared for one in parts))
    return [
        replace(mine, claims=among(mine, one, len(declared[one.facts["study"]])))
        for mine, one in zip(lasting, studies, strict=True)
    ]


def refuse_apart(parts: Sequence[Study]) -> None:
    """End the command where parts of one study declare different claims, unless they were added."""
    for one, other in itertools.pairwise(sorted(parts, key=lambda part: len(part.declared))):
        said, before = one.facts["hypotheses_sha256"], other.facts["hypotheses_sha256"]
        if said != before and not one.declared < other.declared:
            raise SystemExit(
                f"{one.name} and {other.name} are of one study, {one.facts['study']}, and declare "
                f"different claims: SHA-256 {said[:16]} and {before[:16]}; make one of them again"
            )


def among(part: Study, whole: Study, count: int) -> list[Mapping[str, Any]]:
    """Return the rows of a part with p adjusted for the `count` claims that its study declares now.

    `whole` holds the rows that were adjusted together. A part that judges k of m claims adjusts as
    if the others had p = 1 (Holm), so its k hold a false verdict with a probability of k / m of the
    level at most, and those of all parts, each claim judged once, with the level. What was adjusted
    among fewer, m, has the largest p that Holm among `count` could give it: of the j-th smallest,
    (count − j + 1) / (m − j + 1) times what it was, and 1 at most.
    """
    if len(whole.declared) == count:
        return list(part.claims)
    tested = [row for row in whole.judged_as(DECLARED).values() if row["p_holds"] is not None]
    then = len(tested) + len(whole.facts["claims_elsewhere"])
    made: list[Mapping[str, Any]] = []
    for row in part.claims:
        if row["choice"] == DECLARED and row["p_holds"] is not None:
            row = dict(row)
            for name in ("p_holds", "p_fails"):
                rank = sum(one[name] <= row[name] for one in tested)
                row[name] = min(1.0, row[name] * (count - rank + 1) / (then - rank + 1))
            alpha = 1 - row["level"]
            decides = {"holds": "p_holds", "fails": "p_fails"}.get(row["verdict"])
            if decides and not row[decides] < alpha:
                row["verdict"] = "undecided"
        made.append(row)
    return made
