"""The tables of the findings from studies that were carried out: each claim of the paper and of
its reviews, one row, holds, fails or undecided; what other choices would have said; what was tried.

    python bench/findings.py results/paper-small results/crossed results/teacher-lce [--write]

A folder is what `rankmill study RECIPE --to FOLDER` wrote. `--write` puts the tables into
findings.md among the documents, between its marks; the text round them is written by hand. Nothing
here computes a result: every figure stands in the folders' hypotheses.parquet and cells.parquet.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from _report import finish

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "findings.md"
DECLARED = ""  # the choice of a claim's own row
NOT_TRIED = "not tried"
CLAIMS = {  # by the name that recipes give a claim: what it says, and who says it
    "pipelines-add-little": (
        "elaborate sampling pipelines add little over simple ones once a teacher is used",
        "abstract; a reviewer",
    ),
    "random-is-as-good-for-lce": (
        "cross-encoder, LCE, out of domain: random negatives are at least as good as mined ones",
        "a reviewer, on table 1",
    ),
    "ensemble-on-par-for-lce": (
        "cross-encoder, LCE, out of domain: the ensemble is on par with random",
        "a reviewer, on table 1",
    ),
    "ensemble-hurts-ranknet-and-kl": (
        "cross-encoder, RankNet and KL, out of domain: the ensemble hurts",
        "a reviewer, who suspects seed noise",
    ),
    "margin-mse-does-not-drop": (
        "cross-encoder, marginMSE, out of domain: the ensemble does not hurt",
        "a reviewer",
    ),
    "diameter-does-not-shrink": (
        "the diameter of a query's group does not shrink with harder samplers",
        "a reviewer, quoting the text",
    ),
    "kl-settles-higher-for-random": (
        "the KL loss settles slightly higher where κ is lower",
        "caption of figure 3",
    ),
    "gradients-are-steadier-under-locality": (
        "the gradient norm varies less under locality",
        "caption of figure 3",
    ),
    "score-by-rank-is-a-power-law": (
        "score against rank follows a power law, of teacher and students",
        "captions of figures 2 and 4",
    ),
    "moderate-entropy-is-best": (
        "moderate teacher entropy is best: too confident or too noisy hurts",
        "public summary; reviewers",
    ),
    "moderate-temperature-is-best": (
        "moderate entropy is best where only the temperature changes it",
        "public summary; reviewers",
    ),
    "high-entropy-overfits": (
        "very high entropy risks over-fitting: it hurts out of domain",
        "public summary; reviewers",
    ),
    "balance-gains-in-domain": (
        "balancing entropy and locality gives stable gains in domain",
        "public summary",
    ),
    "low-entropy-collapses": (
        "with too little entropy inside a group the student collapses to constants",
        "a third-party user",
    ),
}


@dataclass(frozen=True, slots=True)
class Study:
    """One finished study: its folder, its name, and its two frames."""

    folder: Path
    name: str
    claims: pl.DataFrame
    cells: pl.DataFrame

    @property
    def command(self) -> str:
        """The command that makes its figures."""
        recipe = f"recipes/{self.name}.toml"
        return f"rankmill study {recipe} --to {self.folder}"


def read(folder: Path) -> Study:
    """Read a study's folder; ends the command where it is none, or declares nothing."""
    for name in ("hypotheses", "cells"):
        if not (folder / f"{name}.parquet").exists():
            raise SystemExit(
                f"{folder} has no {name}.parquet: give the folder that `rankmill study RECIPE "
                "--to FOLDER` wrote, of a recipe with [study.hypotheses]"
            )
    claims = pl.read_parquet(folder / "hypotheses.parquet")
    return Study(folder, claims["study"][0], claims, pl.read_parquet(folder / "cells.parquet"))


# ---- tables --------------------------------------------------------------------------------------


def claims_table(studies: Sequence[Study]) -> Iterator[str]:
    """Yield a row per claim and study, those of the paper first, then the studies' own."""
    yield "| claim | who says so | here | effect | expected of a − b | power | rests on | command |"
    yield "|---|---|---|--:|---|--:|---|---|"
    by_claim: dict[str, list[tuple[Study, dict[str, Any]]]] = {name: [] for name in CLAIMS}
    for study in studies:
        for row in study.claims.filter(pl.col("choice") == DECLARED).to_dicts():
            by_claim.setdefault(row["hypothesis"], []).append((study, row))
    for name, rows in by_claim.items():
        if not rows:
            said, source = CLAIMS[name]
            yield f"| {said} | {source} | {NOT_TRIED} | – | – | – | – | – |"
        for study, row in rows:
            power = "–" if row["power"] is None else f"{row['power']:.2f}"
            cells = (
                row["claim"],
                row["source"] or "ours",
                f"**{row['verdict']}**",
                effect_of(row),
                f"{expected(row)}, margin {row['margin']:g}",
                power,
                rests_on(row),
                f"`{study.command}`",
            )
            yield "| " + " | ".join(cells) + " |"


def choices_table(studies: Sequence[Study]) -> Iterator[str]:
    """Yield, for every claim, our verdict beside that of every other choice of analysis; a verdict
    that moves is marked."""
    every = pl.concat([study.claims for study in studies], how="vertical_relaxed")
    choices = [one for one in every["choice"].unique(maintain_order=True) if one != DECLARED]
    yield "| claim | study | ours | " + " | ".join(choices) + " |"
    yield "|---|---|---" + "|---" * len(choices) + "|"
    for study in studies:
        by_claim: dict[str, dict[str, dict[str, Any]]] = {}
        for row in study.claims.to_dicts():
            by_claim.setdefault(row["hypothesis"], {})[row["choice"]] = row
        for rows in by_claim.values():
            ours = rows[DECLARED]
            cells = [said_of(ours)]
            for choice in choices:
                other = rows.get(choice)
                differs = other is not None and other["verdict"] != ours["verdict"]
                text = "–" if other is None else said_of(other)
                cells.append(f"{text} ←" if differs else text)
            yield f"| {ours['claim']} | {study.name} | " + " | ".join(cells) + " |"
    yield ""
    yield from moved(studies, choices)


def moved(studies: Sequence[Study], choices: Sequence[str]) -> Iterator[str]:
    """Say of every choice how many claims it was made for, and of how many it moves the verdict."""
    for choice in choices:
        pairs = [
            (ours["verdict"], other["verdict"])
            for study in studies
            for ours, other in _beside(study, choice)
        ]
        other = sum(a != b for a, b in pairs)
        sure = sum(a == "undecided" and b != "undecided" for a, b in pairs)
        yield (
            f"- *{choice}*: another verdict for {other} of {len(pairs)} claims; "
            f"{sure} of them undecided with ours."
        )


def _beside(study: Study, choice: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    ours = {
        row["hypothesis"]: row
        for row in study.claims.filter(pl.col("choice") == DECLARED).to_dicts()
    }
    for row in study.claims.filter(pl.col("choice") == choice).to_dicts():
        yield ours[row["hypothesis"]], row


def tried_table(studies: Sequence[Study]) -> Iterator[str]:
    """Yield what every study tried: the more was tried, the more is found by chance."""
    yield "| study | cells | students | seeds | sets | measures | claims | other choices |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for study in studies:
        cells = study.cells.unique(["cell", "domain"])
        one = cells.unique("cell")
        students = int(one["seeds"].list.len().sum())
        seeds = int(one["seeds"].list.len().max())  # type: ignore[arg-type]
        declared = study.claims.filter(pl.col("choice") == DECLARED).height
        counts = (
            one.height,
            students,
            seeds,
            study.cells["domain"].n_unique(),
            study.cells["measure"].n_unique(),
            declared,
            study.claims.height - declared,
        )
        yield f"| {study.name} | " + " | ".join(f"{count:,}" for count in counts) + " |"


def effect_of(row: dict[str, Any]) -> str:
    """Write an effect with its interval, or why there is none."""
    if row["effect"] is None:
        return str(row["reason"] or "–")
    return f"{row['effect']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"


def expected(row: dict[str, Any]) -> str:
    """Write what was expected, and of what where it is no measure of the test."""
    of = f" in {row['of']}" if row["of"] else ""
    return row["expect"].replace("_", " ") + of


def rests_on(row: dict[str, Any]) -> str:
    """Write on how much a row rests."""
    counts = [f"{row['queries']:,} queries"] if row["queries"] else []
    counts += [f"{row['seeds']} seeds"] if row["seeds"] else []
    counts += [f"{row['students']} students", row["sets"]]
    return ", ".join(one for one in counts if one)


def said_of(row: dict[str, Any]) -> str:
    """Write a verdict, with the effect where there is one."""
    effect = "" if row["effect"] is None else f" ({row['effect']:+.4f})"
    return f"{row['verdict']}{effect}"


TABLES = {"claims": claims_table, "choices": choices_table, "tried": tried_table}
SKELETON = """# Findings

{sections}
"""


def written_into(text: str, studies: Sequence[Study]) -> str:
    """Return a document with its tables replaced; ends the command where it lacks a mark."""
    for name, table in TABLES.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        made = "\n".join(table(studies)) + "\n"
        text, count = re.subn(pattern, lambda m: m[1] + made + m[2], text, flags=re.DOTALL)  # noqa: B023
        if count != 1:
            raise SystemExit(f"{DOCUMENT} has no section <!-- {name} --> … <!-- end -->")
    return text


def main() -> None:
    """Print the tables, and write them where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of finished studies")
    parser.add_argument("--write", action="store_true", help=f"into {DOCUMENT.relative_to(ROOT)}")
    given = parser.parse_args()
    studies = [read(folder) for folder in given.folders]
    for name, table in TABLES.items():
        print(f"{name}:", *table(studies), "", sep="\n")
    if given.write:
        marks = "\n\n".join(f"<!-- {name} -->\n<!-- end -->" for name in TABLES)
        there = DOCUMENT.exists()
        text = DOCUMENT.read_text("utf-8") if there else SKELETON.format(sections=marks)
        DOCUMENT.write_text(written_into(text, studies), "utf-8")
    verdicts = [
        row["verdict"]
        for study in studies
        for row in study.claims.filter(pl.col("choice") == DECLARED).to_dicts()
    ]
    counts = {word: verdicts.count(word) for word in ("holds", "fails", "undecided")}
    finish("findings", counts)


if __name__ == "__main__":
    main()
