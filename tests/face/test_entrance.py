"""What a short command loads: not how many seconds it takes, which a bench may say, but which
packages it imports, of which each costs a tenth of a second or seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from store_workers import squares

from rankmill.mining.store import Workspace

HEAVY = {
    *("numpy", "pyarrow", "polars", "pandas", "scipy", "numba", "llvmlite", "torch", "ray"),
    *("matplotlib", "transformers", "tokenizers", "safetensors", "huggingface_hub", "faiss"),
    *("ir_measures", "ir_datasets", "datasets", "sklearn", "hypothesis", "yaml", "aiohttp"),
}
LARGE = {"rankmill.study.recipe", "rankmill.api", "rankmill.training.losses"}
HELP = [
    ["--help"],
    ["--version"],
    *([name, "--help"] for name in ("mine", "train", "import", "run", "study", "cost", "list")),
]
LOOKS = [["hash", "it"], ["list"], ["cost"], ["cost", "it"], ["verify", "it"]]

LOADED = """
import contextlib, io, json, sys
from rankmill import cli  # which looks for a verb of that name first
print_ = print
for words in json.loads(sys.argv[1]):
    sys.argv = ["rankmill", *words]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            cli.main()
        except SystemExit as ended:
            assert not ended.code, (words, ended.code)
    assert out.getvalue(), words
    print_(json.dumps([*words, "|", *sys.modules]), file=sys.__stderr__)
"""


def loaded(place: Path, lines: list[list[str]]) -> dict[str, set[str]]:
    """Run commands one after the other in one process; return all that is loaded after each."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, json.dumps(lines)], cwd=place, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("[")]
    assert len(told) == len(lines), done.stderr
    return {" ".join(one[: one.index("|")]): set(one[one.index("|") + 1 :]) for one in told}


def tops(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_help_and_version_load_nothing_heavy(tmp_path: Path) -> None:
    for line, modules in loaded(tmp_path, HELP).items():
        assert tops(modules) & HEAVY == set(), line
        assert modules & LARGE == set(), line


def test_a_look_at_a_workspace_loads_arrow_alone(workspace: Workspace) -> None:
    workspace.alias("it", workspace.build(squares()))
    place = ["--workspace", str(workspace.root)]
    for line, modules in loaded(workspace.root, [[*words, *place] for words in LOOKS]).items():
        assert tops(modules) & HEAVY <= {"numpy", "pyarrow"}, line
        assert modules & LARGE == set(), line


def test_a_heavy_package_is_found(tmp_path: Path) -> None:
    (modules,) = loaded(tmp_path, [["doctor"]]).values()
    assert {"numpy", "torch"} <= tops(modules)
