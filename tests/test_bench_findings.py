"""The tables of the findings, from studies whose answers are known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def row(hypothesis: str, choice: str, verdict: str, effect: float | None) -> dict[str, Any]:
    there = effect is not None
    return {
        "study": "tiny",
        "hypothesis": hypothesis,
        "claim": f"what {hypothesis} says",
        "source": "" if hypothesis == "our-own" else "somebody",
        "choice": choice,
        "of": "",
        "expect": "not_less",
        "margin": 0.02,
        "sets": "test",
        "effect": effect,
        "low": None if effect is None else effect - 0.01,
        "high": None if effect is None else effect + 0.01,
        "level": 0.95,
        "over": "over queries and 3 seeds",
        "p_holds": 0.01,
        "p_fails": 1.0,
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "tiny"
    place.mkdir()
    pl.DataFrame([row(*one) for one in KNOWN], infer_schema_length=None).write_parquet(
        place / "hypotheses.parquet"
    )
    cells = [
        {"cell": cell, "domain": domain, "measure": measure, "seeds": [1, 2, 3]}
        for cell in ("a", "b")
        for domain in ("dev", "test")
        for measure in ("nDCG@10", "AP")
    ]
    pl.DataFrame(cells).write_parquet(place / "cells.parquet")
    return place


def lines(table: Any, folder: Path) -> list[str]:
    return list(table([findings.read(folder)]))


def test_every_claim_of_the_paper_has_a_row_and_those_of_a_study_follow(folder):
    made = lines(findings.claims_table, folder)
    assert len(made) == 2 + len(findings.CLAIMS) + 1
    (held,) = (one for one in made if "what pipelines-add-little says" in one)
    assert (
        "| somebody | **holds** | +0.0010 [-0.0090, +0.0110] | not less, margin 0.02 | 0.91 |"
        in held
    )
    assert "300 queries, 3 seeds, 12 students, test" in held
    assert f"`rankmill study recipes/tiny.toml --to {folder}`" in held
    assert "**fails**" in next(one for one in made if "ensemble-hurts" in one)
    assert made[-1].startswith("| what our-own says | ours | **undecided**")
    untried = [one for one in made if "| not tried |" in one]
    assert len(untried) == len(findings.CLAIMS) - 2
    assert any("power law" in one for one in untried)


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


def test_a_folder_that_holds_no_study_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"has no hypotheses\.parquet: give the folder"):
        findings.read(tmp_path)


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
