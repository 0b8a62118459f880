from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.models
def test_the_ten_lines_run_and_print_what_the_readme_says(tmp_path, monkeypatch, capsys):
    code, printed = re.search(
        r"```python\n(.*?)```\n+```\n(.*?)```", README.read_text(), re.S
    ).groups()
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})  # the README's own words
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    said = [line.split() for line in printed.splitlines()]
    assert [row[:2] for row in rows] == [row[:2] for row in said]
    # Other versions of the documented package change the figures a little, not what they say.
    for row, claim in zip(rows, said, strict=True):
        assert float(row[2]) == pytest.approx(float(claim[2]), abs=0.05)


def test_every_command_of_the_readme_exists():
    from rankmill import cli

    known = {c.name for c in cli.app_of().registered_commands}
    used = set(re.findall(r"^rankmill (\w+)|  rankmill (\w+)", README.read_text(), re.M))
    assert {a or b for a, b in used} <= known


TABLES = README.parent / "docs" / "tables.md"


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", TABLES.read_text(), re.S))
def test_the_examples_about_tables_run(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "tables.md", "exec"), {})
    assert "shape: (" in capsys.readouterr().out
