"""The documentation site: every page has its place, every command its line, every link its end."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from rankmill import api
from rankmill.cli.entry import app_of

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
SITE = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_page_stands_in_the_navigation_once() -> None:
    named = re.findall(r"^ +- (?:.*: )?([\w/-]+\.md)$", SITE, re.M)
    pages = {p.relative_to(DOCS).as_posix() for p in DOCS.rglob("*.md")} - {"skill/SKILL.md"}
    assert sorted(named) == sorted(pages)


def test_every_command_has_its_line() -> None:
    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    lines = set(re.findall(r"`rankmill ([\w-]+)`", page))
    assert lines == {command.name for command in app_of().registered_commands}


def test_every_exit_status_has_its_line() -> None:
    page = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\d+) \|", page, re.M) == ["0", "1", "2", "3", "4", "5", "6", "75"]


def test_the_map_for_assistants_leads_to_pages() -> None:
    text = (DOCS / "llms.txt").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith(URLS["Documentation"]):
            page = link.removeprefix(URLS["Documentation"]).strip("/")
            assert (DOCS / f"{page}.md").is_file(), link
        else:
            file = link.removeprefix(f"{URLS['Source']}/blob/main/")
            assert (ROOT / file).is_file(), link


def test_the_map_for_assistants_has_every_page() -> None:
    text = (DOCS / "llms.txt").read_text(encoding="utf-8")
    linked = {
        link.removeprefix(URLS["Documentation"]).strip("/")
        for link in re.findall(r"\]\(([^)]+)\)", text)
    }
    pages = {page.removesuffix(".md") for page in re.findall(r"([\w/-]+\.md)$", SITE, re.M)}
    assert pages - {"index"} - linked == set()


def test_what_the_skill_names_was_made_by_a_command_above() -> None:
    page = (DOCS / "skill" / "SKILL.md").read_text(encoding="utf-8")
    block = re.findall(r"^```\n(.*?)^```", page, re.M | re.S)[0]
    made: set[str] = set()
    for line in block.splitlines():
        words = shlex.split(line)
        after = dict(zip(words, words[1:], strict=False))
        flags = ("-c", "--pool", "--scores", "--groups", "--run", "--student", "--first-stage")
        asked = {after[flag] for flag in flags if flag in after}
        asked |= set(words[2 : words.index("--name")]) if words[1] == "pool" else set()
        assert asked <= made, line
        made.add(after.get("--name", ""))
    assert len({line.split()[1] for line in block.splitlines()}) == 10  # as its heading says


def test_addresses_are_those_of_the_project() -> None:
    assert f"site_url: {URLS['Documentation']}" in SITE
    assert f"repo_url: {URLS['Source']}" in SITE


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / ".ci" / "site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(hooks: ModuleType, text: str, place: str) -> str:
    page = SimpleNamespace(file=SimpleNamespace(src_uri=place))
    config: Any = SimpleNamespace(repo_url="https://host/repo/")
    said: str = hooks.on_page_markdown(text, page, config, None)
    return said


def test_what_is_no_page_is_linked_in_the_repository(hooks: ModuleType) -> None:
    assert shown(hooks, "[s](../SECURITY.md)", "data.md") == (
        "[s](https://host/repo/blob/main/SECURITY.md)"
    )
    assert shown(hooks, "[d](../bm25.md)", "howto/slurm.md") == "[d](../bm25.md)"
    assert shown(hooks, "[r](../../recipes/x.toml)", "howto/slurm.md") == (
        "[r](https://host/repo/blob/main/recipes/x.toml)"
    )


def test_every_verb_describes_itself(hooks: ModuleType) -> None:
    text = shown(hooks, "<!-- verbs -->", "reference/verbs.md")
    verbs = {n for n in api.__all__ if not isinstance(getattr(api, n), type)}
    assert set(re.findall(r"^## `rm\.(\w+)`$", text, re.M)) == verbs
    assert "| `depth` | Documents per query. (documents) |" in text
    assert "`beats_bm25`" in text  # in code nothing is escaped
    assert "\\[@" in text  # outside of it, no link is made of brackets
    assert "[advise](../advise.md)" in text


def test_the_first_hour_reads_pages_that_are_there() -> None:
    script = (DOCS / "first-hour.sh").read_text(encoding="utf-8")
    pages = re.findall(r'^    "(.+\.md)",$', script, re.M)
    assert len(pages) > 5
    for page in pages:
        assert (ROOT / page).is_file(), page
    # A page with commands to run that no list names would not be run.
    others = [p for p in (ROOT / "README.md", *DOCS.rglob("*.md")) if "```console" in p.read_text()]
    assert {p.relative_to(ROOT).as_posix() for p in others} <= set(pages)


def first_hour(page: Path) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(DOCS / "first-hour.sh")]
    env = os.environ | {"PAGES": str(page)}
    return subprocess.run(command, env=env, text=True, capture_output=True, cwd=page.parent)


def test_the_first_hour_compares_what_is_printed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ WHO=you\n$ printf 'made in 3 s\\nhello  %s\\n' $WHO\nhello you\n"
        "$ cat > kept <<'END'\n$ no command\nEND\n$ cat kept\n… no …mand\n```\n"
    )
    good = first_hour(page)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "3 commands, 0 wrong" in good.stdout

    page.write_text("```console\n$ echo one\ntwo\n$ exit 3\n$ printf 'a\\nb\\n'\nb\na\n```\n")
    bad = first_hour(page)
    assert bad.returncode != 0
    assert "3 commands, 3 wrong" in bad.stdout
    assert "not printed: two" in bad.stderr
    assert "exit 3" in bad.stderr
    assert "not printed: a" in bad.stderr  # in this order

    page.write_text("no commands at all\n")
    assert first_hour(page).returncode != 0
