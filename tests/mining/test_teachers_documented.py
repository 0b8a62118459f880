"""docs/teachers.md: every value in it parses, every preset has its line, and the lines are true."""

from __future__ import annotations

import re

import pytest
from documented_teachers import KINDS, TEXT, VALUES

from rankmill.mining.teachers import TEACHERS
from rankmill.mining.teachers.presets import PRESETS

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| `") and "`teacher(" in line
]


@pytest.mark.parametrize("text", VALUES)
def test_every_value_parses(text: str) -> None:
    value = TEACHERS.parse(text)
    assert TEACHERS.parse(str(value)) == value


def test_every_kind_is_shown() -> None:
    assert {text.partition("(")[0] for text in VALUES} == set(KINDS)
    assert len(VALUES) > 25


def test_every_preset_has_its_line() -> None:
    assert sorted(row[0].strip("`") for row in ROWS) == sorted(PRESETS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_line_says_what_the_preset_does(row: list[str]) -> None:
    entry = PRESETS[row[0].strip("`")]
    assert row[1] == f"`teacher({row[0].strip('`')},model=PATH)`"
    assert entry.heads[0] in row[2]
    words = "one logit"
    if entry.kind != "cross_encoder":
        words = f"logit({entry.yes})" + (f" − logit({entry.no})" if entry.no else " alone")
    assert words in row[3]
    assert row[4].startswith("what it reads" if entry.max_length is None else f"{entry.max_length}")
    assert ("of texts" in row[4]) == (entry.shared and entry.kind == "causal_lm")


def test_the_table_of_instructions_is_true() -> None:
    told = re.search(r"`instruction=\"…\"` goes with\n(.*?);", TEXT, re.DOTALL)
    assert told
    named = set(re.findall(r"`([\w-]+)`", told[1])) - {"-seq-cls"}
    named |= {f"{name}-seq-cls" for name in named if f"{name}-seq-cls" in PRESETS}
    assert named == {name for name, entry in PRESETS.items() if entry.takes_instruction}
