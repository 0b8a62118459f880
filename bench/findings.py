"""The tables of the findings from studies that were carried out: each claim of the paper and of
its reviews, one row, holds, fails or undecided; what other choices said; what was tried.

    python bench/findings.py --keep results/teacher-lce  # into bench/results/findings/teacher-lce
    python bench/findings.py [--write]                   # from all that is kept
    python bench/findings.py results/paper-small         # from folders that are not kept

A folder is what `rankmill study RECIPE --to FOLDER` wrote. `--keep` copies what the tables and
their readers need of it, so that studies of different days and machines stand side by side; parts
of one study are folders of their own. `--write` puts the tables into findings.md among the
documents, between its marks; the text round them is written by hand. Nothing here computes a
result: every figure stands in the folders' hypotheses.parquet and cells.parquet.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from _report import finish
from _studies import DECLARED, FACTS, NEEDED, WELCOME, Study, merged, read

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "findings.md"
KEPT = Path(__file__).resolve().parent / "results" / "findings"
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
        "score against rank follows a power law: of students",
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
    "score-by-rank-is-a-power-law-of-the-teacher": (
        "score against rank follows a power law: of the teacher",
        "captions of figures 2 and 4",
    ),
    "low-entropy-collapses": (
        "with too little entropy inside a group the student collapses to constants",
        "a third-party user",
    ),
}


def keep(folder: Path, place: Path) -> Path:
    """Copy what the tables need of a study's folder into `place`, in the stead of what was kept
    under its name; returns the folder. Ends the command where that was another study's."""
    study, target = read(folder.resolve()), place / folder.resolve().name
    if target.exists() and (other := read(target).facts["study"]) != study.facts["study"]:
        raise SystemExit(
            f"{target} keeps the study {other!r}, {folder} is {study.facts['study']!r}: "
            "rename the folder"
        )
    target.mkdir(parents=True, exist_ok=True)
    for name in (*NEEDED, *WELCOME):
        (target / name).unlink(missing_ok=True)
        if (folder / name).exists():
            shutil.copyfile(folder / name, target / name)
            print(f"{target / name}: {(target / name).stat().st_size:,} bytes")
    return target


# ---- tables --------------------------------------------------------------------------------------


def claims_table(studies: Sequence[Study]) -> Iterator[str]:
    """Yield a row per claim and study, those of the paper first, then the studies' own."""
    yield "| claim | who says so | here | effect | expected of a − b | power | rests on | study |"
    yield "|---|---|---|--:|---|--:|---|---|"
    by_claim: dict[str, list[tuple[Study, Mapping[str, Any]]]] = {name: [] for name in CLAIMS}
    for study in studies:
        for name, row in study.judged_as(DECLARED).items():
            by_claim.setdefault(name, []).append((study, row))
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
                study.name,
            )
            yield "| " + " | ".join(cells) + " |"
    yield from where_measured(studies)
    yield from added_to(studies)


def added_to(studies: Sequence[Study]) -> Iterator[str]:
    """Say of studies that declared further claims between their parts what that changed."""
    for name in dict.fromkeys(one.facts["study"] for one in studies):
        parts = [one for one in studies if one.facts["study"] == name and one.claims]
        counts = {one.name: len(one.declared) for one in parts}
        if len(set(counts.values())) > 1:
            every = max(counts.values())
            before = [f"{count} when {n} ran" for n, count in counts.items() if count < every]
            yield (
                f"- Claims were added to {name} between its parts: {every} now, "
                f"{', '.join(before)}. All of its verdicts are adjusted for {every}."
            )


def choices_table(studies: Sequence[Study]) -> Iterator[str]:
    """Yield, for every claim, our verdict beside that of every other choice of analysis; a verdict
    that moves is marked."""
    every = dict.fromkeys(row["choice"] for study in studies for row in study.claims)
    choices = [choice for choice in every if choice != DECLARED]
    yield "| claim | study | ours | " + " | ".join(choices) + " |"
    yield "|---|---|---" + "|---" * len(choices) + "|"
    for study in studies:
        by_claim: dict[str, dict[str, Mapping[str, Any]]] = {}
        for row in study.claims:
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
    yield from where_measured(studies)


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


def _beside(study: Study, choice: str) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    ours = study.judged_as(DECLARED)
    for name, row in study.judged_as(choice).items():
        yield ours[name], row


def tried_table(studies: Sequence[Study]) -> Iterator[str]:
    """Yield what every study tried: the more was tried, the more is found by chance."""
    yield "| study | cells | students | seeds | sets | measures | claims | other choices |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for study in studies:
        cells = study.cells.unique(["cell", "domain"])
        one = cells.unique("cell")
        students = int(one["seeds"].list.len().sum())
        seeds = int(one["seeds"].list.len().max())  # type: ignore[arg-type]
        counts = (
            one.height,
            students,
            seeds,
            study.cells["domain"].n_unique(),
            study.cells["measure"].n_unique(),
            study.judged,
            len(study.claims) - study.judged,
        )
        yield f"| {study.name} | " + " | ".join(f"{count:,}" for count in counts) + " |"
    yield from where_measured(studies)


def where_measured(studies: Sequence[Study]) -> Iterator[str]:
    """Yield below a table, for every study in it, its command, its machines and the days."""
    yield ""
    for study in studies:
        yield f"- {study.name}: `{study.command}`, measured on {study.measured}"


def effect_of(row: Mapping[str, Any]) -> str:
    """Write an effect with its interval, or why there is none."""
    if row["effect"] is None:
        return str(row["reason"] or "–")
    return f"{row['effect']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"


def expected(row: Mapping[str, Any]) -> str:
    """Write what was expected, of what where it is no measure of the test, and of what system
    where the two sides are no students."""
    said = row["expect"].replace("_", " ") + (f" in {row['of']}" if row["of"] else "")
    sides = {"a": row["system"], "b": row["against"]}
    return ", ".join([said, *(f"{side}: {what}" for side, what in sides.items() if what)])


def rests_on(row: Mapping[str, Any]) -> str:
    """Write on how much a row rests."""
    counts = [f"{row['queries']:,} queries"] if row["queries"] else []
    counts += [f"{row['seeds']} seeds"] if row["seeds"] else []
    counts += [f"{row['students']} students", row["sets"]]
    return ", ".join(one for one in counts if one)


def said_of(row: Mapping[str, Any]) -> str:
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
    """Keep studies, or print the tables, and write them where that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = KEPT.relative_to(ROOT)
    parser.add_argument("folders", nargs="*", type=Path, help=f"default: all in {here}")
    parser.add_argument("--keep", action="store_true", help=f"copy the folders into {here}")
    parser.add_argument("--write", action="store_true", help=f"into {DOCUMENT.relative_to(ROOT)}")
    given = parser.parse_args()
    for one in given.folders if given.keep else ():
        keep(one, KEPT)
    kept = sorted(path.parent for path in KEPT.glob(f"*/{FACTS}"))
    folders = kept if given.keep or not given.folders else given.folders
    if not folders:
        raise SystemExit(f"nothing is kept in {here}: give a study's folder, or --keep one")
    studies = merged([read(folder) for folder in folders])
    for name, table in TABLES.items():
        print(f"{name}:", *table(studies), "", sep="\n")
    if given.write:
        marks = "\n\n".join(f"<!-- {name} -->\n<!-- end -->" for name in TABLES)
        there = DOCUMENT.exists()
        text = DOCUMENT.read_text("utf-8") if there else SKELETON.format(sections=marks)
        DOCUMENT.write_text(written_into(text, studies), "utf-8")
    verdicts = [row["verdict"] for study in studies for row in study.judged_as(DECLARED).values()]
    counts = {word: verdicts.count(word) for word in ("holds", "fails", "undecided")}
    finish("findings", counts)


if __name__ == "__main__":
    main()
