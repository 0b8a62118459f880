"""Without torch, transformers, Ray, FAISS, matplotlib and obstore: what works, and what is said."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_collection import tiny_beir

from rankmill.mining.errors import EXTRAS, MODELS, MissingDependency, extras_told, need

HOOK = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(EXTRAS)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: (
    None if name in {sorted(EXTRAS)!r} else real(name, package)
)
"""
"""What an installation without extras is like: the same packages cannot be found."""

WALK = """
import json, sys
from pathlib import Path
import rankmill as rm
from rankmill.mining.runs.trec import to_trec

tiny = rm.collect("beir:tiny")
bm25 = rm.mine("bm25(k1=0.9,b=0.4)", tiny, split="train", depth=20)
to_trec(bm25, "run.txt")
theirs = rm.import_run("run.txt", tiny, split="train", tag="again")
pool = rm.pool([bm25, rm.mine("random", tiny, split="train", depth=10)])
documents = [json.loads(line)["_id"] for line in open("tiny/corpus.jsonl")]
rows = [{"query_id": f"q{q}", "doc_id": doc, "score": (q + 7 * n) % 31 / 4}
        for q in range(0, 40, 2) for n, doc in enumerate(documents)]
Path("scores.jsonl").write_text("".join(json.dumps(row) + chr(10) for row in rows))
rm.import_scores("scores.jsonl", tiny, kind="logit")
scores = rm.score("imported(path=scores.jsonl,kind=logit)", pool)
groups = rm.select("stratified(bins=2)", pool, scores, size=4, seed=1)
columns = rm.summarise(rm.stats(groups))["columns"]
rm.export("sentence-transformers", groups, to="st")
rm.export("tevatron", groups, to="tevatron")
judged = rm.evaluate(run=bm25)
kept = sorted({name.partition(".")[0] for name in sys.modules} & set(BLOCKED))
print(json.dumps({"rows": groups.rows, "columns": sorted(columns), "loaded": kept}))
"""


def blocked(code: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process to which no package of an extra is installed."""
    return subprocess.run(
        [sys.executable, "-c", HOOK + code, *arguments],
        cwd=folder,
        env=os.environ | {"COLUMNS": "200"},
        text=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("light")
    tiny_beir(folder / "tiny")
    ended = blocked(f"BLOCKED = {sorted(EXTRAS)!r}" + WALK, folder)
    assert ended.returncode == 0, ended.stderr
    return folder, json.loads(ended.stdout.splitlines()[-1])


def test_bm25_to_exports_needs_no_extra(walked: tuple[Path, dict]) -> None:
    folder, told = walked
    assert told["rows"] > 0
    assert any(name.startswith("pair_entropy") for name in told["columns"])
    assert told["loaded"] == []
    assert any((folder / "st").iterdir())
    assert any((folder / "tevatron").iterdir())


ASKED = {
    "score": ("torch", 'score "cross_encoder(model=x)" --pool P'),
    "mine": ("torch", 'mine "dense(model=x)" --collection C --split train --depth 5'),
    "train": ("torch", 'train "bi_encoder(model=x)" --groups G --loss kl --documents 64'),
    "workers": ("ray", 'mine "bm25(b=0.5)" --collection C --split train --depth 5 --workers 1'),
    "report": ("matplotlib", "run recipe.toml --report report.html"),
    "figures": ("matplotlib", "figures recipe.toml --to figures"),
    "demo": ("matplotlib", "demo"),
    "objects": ("obstore", "list -w s3://nowhere/work"),
    "check": ("torch", "check recipe.toml"),
}
COMMANDS = """
import contextlib, io, json, shlex, sys
from rankmill.cli.entry import main

told = {}
for name, line in json.loads(sys.argv[1]).items():
    sys.argv = ["rankmill", *shlex.split(line)]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            main()
        except SystemExit as ended:
            told[name] = [ended.code, said.getvalue()]
print(json.dumps(told))
"""
RECIPE = """
name = "light"
collection = "beir:tiny"
teacher = "bi_encoder(model=x)"
[mine]
split = "train"
depth = 20
[mine.sources]
bm25 = "bm25"
[groups]
size = 4
[groups.samplers]
all = "uniform"
"""


@pytest.fixture(scope="module")
def said(walked: tuple[Path, dict]) -> dict[str, list]:
    """What each command of `ASKED` returned and printed, in one process."""
    folder, _ = walked
    (folder / "recipe.toml").write_text(RECIPE)
    names = """
import rankmill as rm
work = rm.Workspace()
for letter, kind in {"C": "collection", "P": "pool", "G": "groups"}.items():
    work.alias(letter, next(a for a in work.artifacts(kind)))
"""
    lines = {name: line for name, (_, line) in ASKED.items()} | {"doctor": "doctor"}
    ended = blocked(names + COMMANDS, folder, json.dumps(lines))
    assert ended.returncode == 0, ended.stderr
    told: dict[str, list] = json.loads(ended.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("name", ASKED)
def test_a_missing_extra_gives_its_sentence(name: str, said: dict[str, list]) -> None:
    package, _ = ASKED[name]
    extra, why = EXTRAS[package]
    status, text = said[name]
    assert status == 1
    assert f"the package '{package}' is not installed, which {why}" in text
    assert f"do: pip install 'rankmill[{extra}]'" in text
    assert "Traceback" not in text


def test_the_doctor_names_every_extra(said: dict[str, list]) -> None:
    status, text = said["doctor"]
    assert status == 0, text
    for extra in ("cpu", "ray", "report"):
        assert f"pip install 'rankmill[{extra}]'" in text


def test_need_names_the_first_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    need(*MODELS)
    monkeypatch.setitem(sys.modules, "torch", None)  # as where it is not installed
    with pytest.raises(MissingDependency, match="'torch' is not installed, which models") as error:
        need(*MODELS, where="recipe.toml: train")
    again = pickle.loads(pickle.dumps(error.value))  # the way back from an actor
    assert str(again) == str(error.value)
    assert "where: recipe.toml: train" in str(again)


def test_an_import_that_fails_for_want_of_an_extra_is_told() -> None:
    with pytest.raises(MissingDependency, match="'ray' is not installed"), extras_told():
        raise ModuleNotFoundError("No module named 'ray'", name="ray")
    for name in ("another", "torch._C"):  # not ours to explain; there, and broken
        with pytest.raises(ModuleNotFoundError, match="No module"), extras_told():
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
