"""The wheel, the checkout and pyproject.toml say the same."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rankmill.mining.collection import python_docs
from rankmill.mining.errors import EXTRAS, BadInput
from rankmill.recipes_data import recipe_folder

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = ("rankmill", "mining", "native", "training", "recipes")
TOP = ("rankmill", "rankmill.mining", "rankmill.native", "rankmill.training")


def import_name(path: Path) -> str:
    """Return the name under which a source file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] != "rankmill":
        parts = ("rankmill", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def test_every_package_on_disk_is_listed_once() -> None:
    listed = PROJECT["tool"]["setuptools"]["packages"]
    on_disk = {import_name(path) for path in SOURCES if path.name == "__init__.py"}
    assert len(listed) == len(set(listed))
    assert set(listed) == on_disk


def test_every_folder_with_sources_is_a_package() -> None:
    bare = {p.parent for p in SOURCES if not (p.parent / "__init__.py").exists()}
    assert bare == set()


def test_no_folder_of_tests_hides_the_package() -> None:
    # tests/ is on the path before the editable install: a folder of that name would win.
    assert not (ROOT / "tests" / "rankmill").exists()


@pytest.mark.parametrize("name", TOP)
def test_package_comes_from_a_real_file(name: str) -> None:
    # A stale numba cache leaves a namespace package without an origin; cure: delete that folder.
    spec = importlib.import_module(name).__spec__
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).name == "__init__.py"


def test_no_room_was_imported_under_its_bare_name() -> None:
    assert {"mining", "native", "training"} & set(sys.modules) == set()


def test_version_is_the_one_of_the_distribution() -> None:
    import rankmill

    assert rankmill.__version__ == importlib.metadata.version("rankmill")
    assert rankmill.__version__ == PROJECT["project"]["version"]


def test_every_import_is_a_declared_dependency() -> None:
    declared = " ".join(
        [
            *PROJECT["project"]["dependencies"],
            *(d for extra in PROJECT["project"]["optional-dependencies"].values() for d in extra),
        ]
    ).lower()
    spelled = {"faiss": "faiss-cpu", "Stemmer": "pystemmer", "yaml": "pyyaml"}
    imported = {name for path in SOURCES for name in _third_party(path)}
    missing = {
        name
        for name in imported
        if spelled.get(name, name).lower().replace("_", "-") not in declared.replace("_", "-")
    }
    assert missing == set()


def test_what_python_docs_reads_comes_with_the_demo() -> None:
    brought = _brought_by("rankmill", "demo")
    homes = importlib.metadata.packages_distributions()
    for package in (*python_docs.PACKAGES, python_docs.HELD_OUT):
        assert brought & {canonicalize_name(name) for name in homes[package]}, package


def test_an_error_names_the_extra_that_brings_the_package() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    for package, (extra, _) in EXTRAS.items():
        wanted = "faiss-cpu" if package == "faiss" else package
        assert wanted in {canonicalize_name(Requirement(r).name) for r in _whole(extra)}, package
    core = {Requirement(line).name for line in PROJECT["project"]["dependencies"]}
    assert core.isdisjoint({*EXTRAS, "faiss-cpu"})
    assert "rankmill[cpu,ray,report,objects]" in extras["all"]


def _whole(extra: str) -> list[str]:
    """Return the requirements of an extra, those of the extras that it names included."""
    lines = PROJECT["project"]["optional-dependencies"][extra]
    named = [Requirement(line) for line in lines]
    inner = [_whole(one) for need in named if need.name == "rankmill" for one in need.extras]
    return [*lines, *(line for deeper in inner for line in deeper)]


def _brought_by(distribution: str, extra: str) -> set[str]:
    """Return the canonical names of all that pip installs with an extra of a distribution."""
    brought, seen = set[str](), set[tuple[str, str]]()
    ahead = [(distribution, extra)]
    while ahead:
        name, of = ahead.pop()
        name = canonicalize_name(name)
        if (name, of) in seen:
            continue
        seen.add((name, of))
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system
        brought.add(name)
        for need in map(Requirement, lines):
            if need.marker is None or need.marker.evaluate({"extra": of}):
                ahead += [(need.name, one) for one in ("", *need.extras)]
    return brought


def _third_party(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"rankmill"}


def test_the_recipes_of_the_package_are_those_of_the_checkout() -> None:
    assert {p.name for p in recipe_folder().glob("*.toml")} == {
        p.name for p in (ROOT / "recipes").glob("*.toml")
    }


def test_recipes_that_are_nowhere_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rankmill import recipes_data

    monkeypatch.setattr(recipes_data.resources, "files", lambda name: tmp_path / "rankmill")
    with pytest.raises(BadInput, match="this installation has no recipes"):
        recipe_folder()


def test_doctests() -> None:
    # By import name: paths would load second copies. The four packages one by one: walking
    # rankmill.__path__ finds no children in an editable install.
    failed = {}
    for path in SOURCES:
        if ">>>" in path.read_text(encoding="utf-8"):
            name = import_name(path)
            outcome = doctest.testmod(importlib.import_module(name))
            if outcome.failed or not outcome.attempted:
                failed[name] = outcome
    assert failed == {}


def test_wheel_holds_exactly_the_sources(tmp_path: Path) -> None:
    # A copy, so that no build folder of an earlier run can leak into the wheel.
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    for room in ROOMS:
        for path in (p for p in (ROOT / room).rglob("*") if p.is_file()):
            if "__pycache__" in path.parts:
                continue
            target = copy / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    code = "import setuptools.build_meta as b, sys; b.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=copy, check=True, capture_output=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    held = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    wanted = {
        "/".join((() if path.relative_to(copy).parts[0] == "rankmill" else ("rankmill",))
                 + path.relative_to(copy).parts)
        for room in ROOMS
        for path in (copy / room).rglob("*")
        if path.is_file()
    }  # fmt: skip
    assert held == wanted


def test_source_distribution_holds_documents_and_recipes(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    (copy / "docs" / "howto").mkdir(parents=True)
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "MANIFEST.in",
        "CHANGELOG.md",
        "tox.ini",
    ):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    for package in PROJECT["tool"]["setuptools"]["packages"]:  # empty: only what is beside counts
        folders = PROJECT["tool"]["setuptools"]["package-dir"]
        home = max((one for one in folders if f"{package}.".startswith(f"{one}.")), key=len)
        folder = copy / folders[home] / package.removeprefix(home).strip(".").replace(".", "/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
    for name in ("recipes/nfcorpus.toml", "docs/llms.txt", "docs/howto/slurm.md"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    code = "import setuptools.build_meta as b, sys; b.build_sdist(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=copy, check=True, capture_output=True
    )
    (made,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(made) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"recipes/nfcorpus.toml", "docs/llms.txt", "docs/howto/slurm.md"}
    assert wanted | {"CHANGELOG.md", "LICENSE", "tox.ini"} <= held
