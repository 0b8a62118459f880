"""Addresses of repository and site are set in one place, and nothing that is typed needs them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from addresses import ROOT, declared, files, raw_of, write, written

ADDRESS = re.compile(r"https?://[^\s)>\"'}\]`]*rankmill[^\s)>\"'}\]`]*")


def test_every_address_of_ours_is_the_one_that_is_declared() -> None:
    repository, site = declared()
    known = (repository, site, raw_of(repository))
    found = 0
    for path in files():
        for address in ADDRESS.findall(path.read_text(encoding="utf-8")):
            found += 1
            assert address.startswith(known), f"{path.name}: {address}; python tests/addresses.py"
    assert found > 40
    assert written() == declared()


def test_other_addresses_are_written_everywhere(tmp_path: Path) -> None:
    for path in files():
        there = tmp_path / path.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, there)
    project = tmp_path / "pyproject.toml"
    before, site = declared()
    text = project.read_text(encoding="utf-8").replace(before, "https://github.com/some/where")
    project.write_text(text.replace(site, "https://docs.example.org/mill"), encoding="utf-8")
    changed = write(tmp_path)
    assert {"README.md", "mkdocs.yml", "llms.txt", "cite.md"} <= {path.name for path in changed}
    assert written(tmp_path) == declared(tmp_path)
    assert written(tmp_path)[1] == "https://docs.example.org/mill"
    for path in files(tmp_path):
        said = path.read_text(encoding="utf-8")
        assert before not in said, path
        assert site not in said, path
    assert write(tmp_path) == []


def test_nothing_that_is_typed_and_no_message_needs_an_address_of_ours() -> None:
    rooms = [ROOT / room for room in ("rankmill", "mining", "training", "native", "recipes")]
    sources = [path for room in rooms for path in sorted(room.rglob("*.*"))]
    code = [path for path in sources if path.suffix in (".py", ".toml", ".pyi", ".html")]
    assert len(code) > 300
    for path in code:
        found = ADDRESS.findall(path.read_text(encoding="utf-8"))
        assert found == [], path
    typed = re.compile(r"^\s*(?:\$ )?(?:pip|git|uv|curl|wget)\b.*$", re.M)
    for path in files():
        for line in typed.findall(path.read_text(encoding="utf-8")):
            assert not ADDRESS.search(line), f"{path.name}: {line}"
