from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"
PROJECT = tomllib.loads((README.parent / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.models
def test_the_code_of_the_readme_runs_and_prints_what_it_says(tmp_path, monkeypatch, capsys):
    shown = re.findall(r"```python\n(.*?)```\n+```\n(.*?)```", README.read_text(), re.S)
    assert shown
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}  # of a reader who types one after the other
    for code, printed in shown:
        exec(compile(code, "README.md", "exec"), names)  # the README's own words
        rows = [line.split() for line in capsys.readouterr().out.splitlines()]
        said = [line.split() for line in printed.splitlines()]
        assert [row[:-1] for row in rows] == [row[:-1] for row in said]
        for row, claim in zip(rows, said, strict=True):  # other processors move the last digits
            assert float(row[-1]) == pytest.approx(float(claim[-1]), abs=0.02)


@pytest.mark.models
def test_groups_go_into_the_loader_of_the_readme(tmp_path, monkeypatch):
    import rankmill as rm

    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    (code,) = [one for one in blocks if "DataLoader" in one]
    monkeypatch.chdir(tmp_path)
    rm.from_triples([("who sings", "birds sing", "fish swim")], name="groups")
    names: dict[str, Any] = {"rm": rm}
    exec(compile(code, "README.md", "exec"), names)
    (batch,) = names["loader"]
    assert (batch["query"], batch["scores"].tolist()) == (["who sings"], [[1.0, 0.0]])
    (other,) = [one for one in blocks if "SentenceTransformerTrainer" in one]
    compile(other, "README.md", "exec")  # needs the package datasets to be run


def test_pieces_alone_are_four_lines_at_most():
    alone = README.read_text().partition("## Pieces alone")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", alone, re.S)
    assert len(blocks) == 5
    assert max(len(block.strip().splitlines()) for block in blocks) <= 4


def test_every_command_of_the_readme_exists():
    from rankmill import cli

    known = {c.name for c in cli.app_of().registered_commands}
    fenced = "".join(re.findall(r"^```.*?^```", README.read_text(), re.S | re.M))
    used = set(re.findall(r"^(?:\$ )?rankmill (\w+)", fenced, re.M))
    assert len(used) > 10
    assert used <= known


def test_links_of_the_readme_work_where_it_is_shown_elsewhere():
    # The index shows it too, where a relative link leads nowhere.
    links = re.findall(r"\]\(([^)]+)\)", README.read_text())
    home = PROJECT["project"]["urls"]["Source"]
    raw = home.replace("github.com", "raw.githubusercontent.com") + "/main/"
    for link in links:
        assert link.startswith("https://"), link
        for ours in (f"{home}/blob/main/", raw):
            if link.startswith(ours):
                assert (README.parent / link.removeprefix(ours)).is_file(), link
    assert len([link for link in links if link.startswith(home)]) > 20


TABLES = README.parent / "docs" / "tables.md"


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", TABLES.read_text(), re.S))
def test_the_examples_about_tables_run(code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "tables.md", "exec"), {})
    assert "shape: (" in capsys.readouterr().out
