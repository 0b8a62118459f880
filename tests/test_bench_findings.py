"""The tables of the findings, from studies whose answers are known."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"
sys.path.insert(0, str(BENCH))
import findings  # noqa: E402

KNOWN = (
    # claim, choice, verdict, effect
    ("pipelines-add-little", "", "holds", 0.001),
    ("pipelines-add-little", "reversed test", "holds", None),
    ("pipelines-add-little", "hard RankNet", "fails", 0.04),
    ("ensemble-hurts-ranknet-and-kl", "", "fails", 0.0),
    ("ensemble-hurts-ranknet-and-kl", "reversed test", "fails", None),
    ("our-own", "", "undecided", 0.03),
    ("our-own", "reversed test", "holds", None),
)


EPYC = {
    "processor": "AMD EPYC 7B13",
    "platform": "Linux x86_64, 2 cores",
    "students": 6,
    "first": "2026-11-28",
    "last": "2026-11-29",
}
XEON = EPYC | {"processor": "Xeon 8481C", "first": "2026-12-01", "last": "2026-12-01"}


def row(hypothesis: str, choice: str, verdict: str, effect: float | None) -> dict[str, Any]:
    there = effect is not None
    return {
        "study": "tiny",
        "hypothesis": hypothesis,
        "claim": f"what {hypothesis} says",
        "source": "" if hypothesis == "our-own" else "somebody",
        "choice": choice,
        "of": "",
        "against": None,
        "system": None,
        "expect": "not_less",
        "margin": 0.02,
        "sets": "test",
        "effect": effect,
        "low": None if effect is None else effect - 0.01,
        "high": None if effect is None else effect + 0.01,
        "level": 0.95,
        "over": "over queries and 3 seeds",
        "p_holds": 0.01 if verdict == "holds" else 1.0,
        "p_fails": 0.01 if verdict == "fails" else 1.0,
        "power": 0.91 if there else None,
        "verdict": verdict,
        "reason": None,
        "queries": 300 if there else None,
        "left_out": 0,
        "seeds": 3 if there else None,
        "cells_a": 2,
        "cells_b": 2,
        "students": 12,
    }


def study_folder(
    root: Path,
    name: str = "tiny",
    claims: Sequence[tuple[str, str, str, float | None]] = KNOWN,
    cells: Sequence[str] = ("a", "b"),
    **facts: Any,
) -> Path:
    """Write what `rankmill study --to` writes of a study with made-up results."""
    place = root / name
    place.mkdir(parents=True)
    said = {
        "study": "tiny",
        "recipe": "recipes/tiny.toml",
        "overrides": [],
        "cells": len(cells),
        "hypotheses_sha256": "c0ffee" * 10,
        "claims": list(dict.fromkeys(claim for claim, *_ in claims)),
        "claims_elsewhere": [],
        "machines": [EPYC],
    }
    (place / "study.json").write_text(json.dumps(said | facts))
    if claims:
        pl.DataFrame([row(*one) for one in claims], infer_schema_length=None).write_parquet(
            place / "hypotheses.parquet"
        )
    judged = [
        {"cell": cell, "domain": domain, "measure": measure, "seeds": [1, 2, 3]}
        for cell in cells
        for domain in ("dev", "test")
        for measure in ("nDCG@10", "AP")
    ]
    pl.DataFrame(judged).write_parquet(place / "cells.parquet")
    for name in ("study.md", "queries.parquet", "study-report.html"):
        (place / name).write_text(f"the {name}")
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return study_folder(tmp_path)


def lines(table: Any, *folders: Path) -> list[str]:
    """Return a table's lines without those below it that say where it was measured."""
    made = list(table(findings.merged([findings.read(one) for one in folders])))
    return made[: len(made) - 1 - len(folders)]


def test_every_claim_of_the_paper_has_a_row_and_those_of_a_study_follow(folder):
    made = lines(findings.claims_table, folder)
    assert len(made) == 2 + len(findings.CLAIMS) + 1
    (held,) = (one for one in made if "what pipelines-add-little says" in one)
    assert (
        "| somebody | **holds** | +0.0010 [-0.0090, +0.0110] | not less, margin 0.02 | 0.91 |"
        in held
    )
    assert "300 queries, 3 seeds, 12 students, test" in held
    assert held.endswith("| tiny |")
    assert "**fails**" in next(one for one in made if "ensemble-hurts" in one)
    assert made[-1].startswith("| what our-own says | ours | **undecided**")
    untried = [one for one in made if "| not tried |" in one]
    assert len(untried) == len(findings.CLAIMS) - 2
    assert any("power law" in one for one in untried)


def test_what_is_compared_is_said_where_it_is_no_measure_of_students():
    said = row("x", "", "holds", 0.1)
    assert findings.expected(said) == "not less"
    lead = said | {"of": "power_law_lead", "against": "zero", "system": "teacher"}
    assert findings.expected(lead) == "not less in power_law_lead, a: teacher, b: zero"


def test_what_other_choices_say_stands_beside_and_moves_are_counted(folder):
    made = lines(findings.choices_table, folder)
    assert made[0] == "| claim | study | ours | reversed test | hard RankNet |"
    (held,) = (one for one in made if one.startswith("| what pipelines"))
    assert held.endswith("| holds (+0.0010) | holds | fails (+0.0400) ← |")
    (own,) = (one for one in made if one.startswith("| what our-own"))
    assert own.endswith("| undecided (+0.0300) | holds ← | – |")
    assert made[-2:] == [
        "- *reversed test*: another verdict for 1 of 3 claims; 1 of them undecided with ours.",
        "- *hard RankNet*: another verdict for 1 of 1 claims; 0 of them undecided with ours.",
    ]


def test_what_was_tried_is_counted(folder):
    made = lines(findings.tried_table, folder)
    assert made[-1] == "| tiny | 2 | 6 | 3 | 2 | 2 | 3 | 4 |"


def test_the_tables_of_a_document_are_replaced_and_its_prose_stays(folder):
    text = "# Findings\nBy hand.\n" + "".join(
        f"<!-- {name} -->\nold\n<!-- end -->\nmore\n" for name in findings.TABLES
    )
    made = findings.written_into(text, [findings.read(folder)])
    assert "\nold\n" not in made
    assert made.startswith("# Findings\nBy hand.\n<!-- claims -->\n| claim |")
    assert made.count("\nmore\n") == 3
    assert findings.written_into(made, [findings.read(folder)]) == made
    with pytest.raises(SystemExit, match="has no section <!-- claims -->"):
        findings.written_into("# Findings", [findings.read(folder)])


def test_every_table_names_the_command_the_machine_and_the_days(tmp_path):
    part = 'study.part=[{data="nf"}]'
    old = EPYC | {"processor": None, "first": None, "last": None}
    facts = {"overrides": [part], "machines": [EPYC, XEON, old]}
    whole = [findings.read(study_folder(tmp_path, "tiny-nf", **facts))]
    for table in findings.TABLES.values():
        *_, blank, said = table(whole)
        assert blank == ""
        assert said == (
            "- tiny-nf: `rankmill study recipes/tiny.toml --to results/tiny-nf --set "
            f"'{part}'`, measured on AMD EPYC 7B13, 2026-11-28 to 2026-11-29; Xeon 8481C, "
            "2026-12-01; Linux x86_64, 2 cores, processor not recorded"
        )


def test_parts_of_a_study_stand_together_under_each_claim(tmp_path):
    nf = study_folder(tmp_path, "t-nf", [("ours-nf", "", "holds", 0.1)], ["a"])
    med = study_folder(tmp_path, "t-med", [("ours-med", "", "fails", -0.1)], ["b"])
    empty = study_folder(tmp_path, "t-wiki", [], ["c"], hypotheses_sha256="other")
    made = lines(findings.claims_table, nf, med, empty)
    assert [one.split(" | ")[-1].strip("| ") for one in made[-2:]] == ["t-nf", "t-med"]
    assert "**holds**" in made[-2]
    assert "**fails**" in made[-1]
    assert lines(findings.tried_table, nf, med, empty)[-3:] == [
        "| t-nf | 1 | 3 | 3 | 2 | 2 | 1 | 0 |",
        "| t-med | 1 | 3 | 3 | 2 | 2 | 1 | 0 |",
        "| t-wiki | 1 | 3 | 3 | 2 | 2 | 0 | 0 |",
    ]
    # the whole study judges the claim of a part again: among more claims, so its row stands
    both = [("ours-nf", "", "undecided", 0.1), ("all", "", "holds", 0.2)]
    whole = study_folder(tmp_path, "t", both, ["a", "b", "c"])
    for order in ((nf, med, whole), (whole, med, nf)):
        made = lines(findings.claims_table, *order)
        rows = [one for one in made if "what ours-nf says" in one]
        assert len(rows) == 1
        assert "**undecided**" in rows[0]
        assert sum("what ours-med says" in one for one in made) == 1


def test_parts_that_declare_different_claims_are_refused(tmp_path):
    nf = findings.read(study_folder(tmp_path, "t-nf"))
    med = findings.read(study_folder(tmp_path, "t-med", hypotheses_sha256="decaf" * 10))
    with pytest.raises(SystemExit, match="t-nf and t-med are of one study, tiny, and declare diff"):
        findings.merged([nf, med])
    # a claim of the first that the second has not, however many the second adds
    more = {"hypotheses_sha256": "decaf" * 10, "claims_elsewhere": [*"abcdef"]}
    med = findings.read(study_folder(tmp_path, "t-more", [("other", "", "holds", 0.1)], **more))
    with pytest.raises(SystemExit, match="declare different claims: SHA-256 c0ffee"):
        findings.merged([nf, med])


def holm(p: np.ndarray, among: int) -> np.ndarray:
    """Adjust p values [claims] as those of `among` claims, the others with p = 1; slowly."""
    adjusted, worst = np.ones(len(p)), 0.0
    for step, place in enumerate(np.argsort(p, kind="stable")):
        worst = max(worst, (among - step) * p[place])
        adjusted[place] = min(1.0, worst)
    return adjusted


def added(root: Path, p: np.ndarray, then: int, now: int) -> list[Path]:
    """Write a part that judged claims with these p values among `then`, and one that declares
    `now` claims."""
    names = [f"claim-{number}" for number in range(now)]
    mine = names[: len(p)]
    rows = pl.DataFrame(
        row(name, "", "holds" if one < 0.05 else "undecided", 0.1) | {"p_holds": one}
        for name, one in zip(mine, holm(p, then), strict=True)
    )
    first = study_folder(
        root,
        "t-nf",
        [(name, "", "holds", 0.1) for name in mine],
        claims_elsewhere=names[len(p) : then],
    )
    rows.write_parquet(first / "hypotheses.parquet")
    others = {"hypotheses_sha256": "decaf" * 10, "claims_elsewhere": names[: now - 1]}
    return [first, study_folder(root, "t-wiki", [(names[-1], "", "fails", 0.0)], **others)]


def test_verdicts_of_an_earlier_part_are_adjusted_for_claims_that_were_added(tmp_path):
    p = np.array([0.003, 0.0024, 0.0001, 0.5])
    folders = added(tmp_path, p, then=16, now=20)
    first, second = findings.merged([findings.read(one) for one in folders])
    rows = list(first.judged_as("").values())
    assert [one["p_holds"] for one in rows] == pytest.approx([0.054, 0.0456, 0.002, 1.0])
    assert [one["verdict"] for one in rows] == ["undecided", "holds", "holds", "undecided"]
    (added_one,) = second.judged_as("").values()
    assert (added_one["verdict"], added_one["p_fails"]) == ("fails", 0.01)
    made = list(findings.claims_table([first, second]))
    assert made[-1] == (
        "- Claims were added to tiny between its parts: 20 now, 16 when t-nf ran. "
        "All of its verdicts are adjusted for 20."
    )


def test_what_is_adjusted_again_is_never_less_than_holm_among_all(tmp_path):
    rng = np.random.default_rng(7)
    for number in range(60):
        judged, more = int(rng.integers(1, 8)), int(rng.integers(1, 9))
        then = judged + int(rng.integers(0, 6))
        p = rng.choice([1e-6, 1e-3, 2e-3, 0.004, 0.01, 0.3], judged)
        folders = added(tmp_path / str(number), p, then, then + more)
        first, _ = findings.merged([findings.read(one) for one in folders])
        made = np.array([one["p_holds"] for one in first.judged_as("").values()])
        assert (made >= holm(p, then + more) * (1 - 1e-12)).all()
        assert (made >= holm(p, then)).all()


def test_parts_of_a_study_keep_the_level_together():
    """12, 4 and 4 true claims of 20, each part adjusted alone, p uniform and as bad as can be."""
    rng = np.random.default_rng(3)
    p = rng.uniform(size=(200_000, 20))
    parts = np.split(p, [12, 16], axis=1)
    wrong = np.any([part.min(axis=1) * 20 < 0.05 for part in parts], axis=0).mean()
    assert wrong <= 0.052


def test_what_is_kept_is_what_the_tables_need(folder, tmp_path):
    place = tmp_path / "kept"
    kept = findings.keep(folder, place)
    assert {path.name for path in kept.iterdir()} == {
        *("study.json", "cells.parquet", "hypotheses.parquet", "study.md")
    }
    for table in findings.TABLES.values():
        assert list(table([findings.read(kept)])) == list(table([findings.read(folder)]))
    # kept again, after a run that claims nothing, it holds nothing of before
    (folder / "hypotheses.parquet").unlink()
    findings.keep(folder, place)
    assert findings.read(kept).claims == []
    other = study_folder(tmp_path / "elsewhere", study="another")
    with pytest.raises(SystemExit, match="keeps the study 'tiny', .* is 'another': rename"):
        findings.keep(other, place)
    assert findings.read(kept).facts["study"] == "tiny"


def test_a_folder_that_holds_no_study_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"has no study\.json: give the folder"):
        findings.read(tmp_path)


def test_what_is_kept_is_read_where_no_folder_is_named(tmp_path, monkeypatch, capsys):
    place = tmp_path / "bench" / "results" / "findings"
    monkeypatch.setattr(findings, "ROOT", tmp_path)
    monkeypatch.setattr(findings, "KEPT", place)
    monkeypatch.setattr(findings, "DOCUMENT", tmp_path / "docs" / "findings.md")
    monkeypatch.setattr(sys, "argv", ["findings.py"])
    with pytest.raises(SystemExit, match="nothing is kept in bench/results/findings: give"):
        findings.main()
    (tmp_path / "docs").mkdir()
    for name in ("t-nf", "t-med"):
        folder = study_folder(tmp_path, name)
        monkeypatch.setattr(sys, "argv", ["findings.py", "--keep", str(folder)])
        findings.main()
    assert "t-med/cells.parquet: " in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["findings.py", "--write"])
    findings.main()
    written = (tmp_path / "docs" / "findings.md").read_text()
    assert "- t-nf: `rankmill study" in written
    assert "- t-med: `rankmill study" in written


def test_the_command_prints_the_tables_and_a_line_of_json_last(folder):
    done = subprocess.run(
        [sys.executable, str(BENCH / "findings.py"), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["bench"] == "findings"
    assert told["figures"] == {"holds": 1, "fails": 1, "undecided": 1}
    for name in ("claims:", "choices:", "tried:"):
        assert name in done.stdout
