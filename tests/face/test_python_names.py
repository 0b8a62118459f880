"""Names wherever handles are, in the workspace that is meant; errors say what is there."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import rankmill as rm
from rankmill.handles import workspace_at
from rankmill.mining.actors import Execution
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.meter.underway import Underway
from rankmill.mining.store import Workspace
from rankmill.mining.store.execution import Silent
from rankmill.objects.showing import executor_for, in_notebook


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a workspace: a collection, two runs, a pool."""
    place = tmp_path_factory.mktemp("home")
    work = Workspace(place / "rankmill-work")
    rm.collect(
        documents=["cats sleep", "dogs bark", "birds sing", "fish swim"],
        queries={"q1": "cats", "q2": "birds"},
        qrels={"train": {"q1": {"0": 1}, "q2": {"2": 1}}},
        workspace=work,
        name="pets",
    )
    rm.mine("bm25", "pets", split="train", depth=2, name="pets-bm25", workspace=work)
    rm.mine("random", "pets", split="train", depth=2, name="pets-random", workspace=work)
    rm.pool(["pets-bm25", "pets-random"], name="pets-pool", workspace=work)
    return place


@pytest.fixture(autouse=True)
def _there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.delenv("RANKMILL_WORKSPACE", raising=False)


def test_a_name_a_fingerprint_and_a_path_are_the_same_thing() -> None:
    run = rm.open("pets-bm25")
    assert isinstance(run, rm.Run)
    for said in (run.fingerprint[:8], str(run.path), run.path, run, f"./{run.path.name}"[2:]):
        assert rm.open(said).root_hash == run.root_hash
    pool = rm.open("pets-pool").fingerprint
    for said in (run.fingerprint[:10], str(run.path), run.path, run):
        assert rm.pool([said, "pets-random"]).fingerprint == pool


def test_names_stand_where_handles_do() -> None:
    run = rm.mine("bm25", "pets", split="train", depth=2)
    assert run.fingerprint == rm.open("pets-bm25").fingerprint
    assert rm.evaluate("pets-bm25").fingerprint == run.evaluate().fingerprint
    named = rm.compare({"a": "pets-bm25-judged", "b": "j2"}, draws=10) if _judge() else None
    assert isinstance(named, rm.Comparison)
    assert rm.open("pets").mine("rrf(of=[pets-bm25,pets-random])", split="train", depth=2)


def _judge() -> bool:
    rm.evaluate("pets-bm25", name="pets-bm25-judged")
    rm.evaluate("pets-random", name="j2")
    return True


def test_a_handle_says_in_which_workspace_names_are(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = rm.open("pets-bm25")
    monkeypatch.chdir(tmp_path)  # where there is no workspace
    assert (
        run.pool("pets-random").fingerprint
        == run.pool(rm.open("pets-random", workspace=home / "rankmill-work")).fingerprint
    )
    with pytest.raises(BadInput, match="'pets' cannot be looked for: there is no workspace here"):
        rm.mine("bm25", "pets", split="train")
    with pytest.raises(BadInput, match="say workspace=FOLDER"):
        rm.open("pets")
    monkeypatch.setenv("RANKMILL_WORKSPACE", str(home / "rankmill-work"))
    assert rm.open("pets-bm25").root_hash == run.root_hash
    assert rm.mine("bm25", "pets", split="train", depth=2).root_hash == run.root_hash
    assert rm.list("pool")["name"].to_list() == ["pets-pool"]
    assert workspace_at(None).root == home / "rankmill-work"


def test_a_handle_of_another_workspace_than_the_named_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="is of another workspace than[\\s\\S]*leave out workspace"
    ):
        rm.open("pets-bm25").evaluate(workspace=tmp_path)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rm.open("pets-bm52"), "nothing is called 'pets-bm52'[\\s\\S]*mean pets-bm25"),
        (lambda: rm.mine("bm25", "pet", split="train"), "no collection called 'pet'[\\s\\S]*pets"),
        (lambda: rm.pool(["pets-bm25", "pets-pool"]), '"pets-pool" is of kind pool, one'),
        (lambda: rm.score("x", "pets"), '"pets" is of kind collection'),
        (lambda: rm.mine("bm25", "pets-pool", split="train"), "pool, one of kind collection"),
        (lambda: rm.open(Path("nowhere/at/all")), "no artifact here[\\s\\S]*manifest.json"),
        (lambda: rm.evaluate("pets-bm52"), "no run called 'pets-bm52'[\\s\\S]*did you mean"),
        (lambda: rm.compare({"a": "pets-bm25"}), "of kind run, one of kind evaluation"),
        (lambda: rm.summarise("pets-bm25"), "run"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_an_error_that_says_what_is_there(call: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        call()


def test_what_is_no_name_is_refused() -> None:
    calls: list[Any] = [rm.open, rm.summarise, rm.advise]
    for call in calls:
        with pytest.raises(UsageError, match=r"5 is no name[\s\S]*fingerprint"):
            call(5)


def test_a_name_that_is_a_file_too_is_refused(home: Path) -> None:
    (home / "pets-bm25").write_text("a run")
    try:
        with pytest.raises(UsageError, match="run 'pets-bm25' means two things"):
            rm.evaluate("pets-bm25", collection="pets", split="train")
    finally:
        (home / "pets-bm25").unlink()


def test_a_list_of_all_that_is_there() -> None:
    frame = rm.list()
    assert set(frame.columns) == {"name", "kind", "fingerprint", "rows", "bytes"}
    pool = rm.open("pets-pool")
    row = frame.filter(frame["name"] == "pets-pool").to_dicts()[0]
    assert (row["fingerprint"], row["rows"]) == (pool.fingerprint, len(pool))
    assert set(rm.list("run")["kind"]) == {"run"}
    with pytest.raises(BadInput, match="there is no workspace here"):
        rm.list(workspace="nowhere")


# ---- progress ------------------------------------------------------------------------------------


class Shown(Silent):
    """Keeps what a stage says of itself."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin(self, stage: Underway) -> None:
        self.told.append("begun")

    def close(self) -> None:
        self.told.append("closed")


def test_progress_is_shown_where_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rankmill.cli.runs import progress

    shown = Shown()
    monkeypatch.setattr(progress, "for_stream", lambda stream: shown)
    rm.mine("random", "pets", split="train", depth=3, seed=8)
    assert shown.told == []
    rm.mine("random", "pets", split="train", depth=3, seed=9, progress=True)
    assert shown.told == ["begun", "closed"]
    monkeypatch.setattr("rankmill.objects.showing.in_notebook", lambda: True)
    rm.mine("random", "pets", split="train", depth=3, seed=10)
    assert shown.told == ["begun", "closed"] * 2
    with pytest.raises(BadInput, match="no split"):
        rm.mine("random", "pets", split="none", depth=3, seed=11, progress=True)
    assert shown.told.pop() == "closed"
    rm.mine("random", "pets", split="train", depth=3, seed=11, progress=False)
    assert shown.told == ["begun", "closed"] * 2


def test_an_executor_keeps_its_own_progress() -> None:
    own = Execution(progress=Shown())
    assert executor_for(own, True) is own
    assert executor_for(None, False) is None
    assert executor_for("four", True) == "four"
    assert executor_for(Execution(workers=3), True).workers == 3
    with pytest.raises(UsageError, match="executor='four' is not an Execution"):
        rm.mine("random", "pets", split="train", executor="four")  # type: ignore[arg-type]


def test_a_notebook_is_known_by_its_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    def shell(name: str) -> Any:
        return types.SimpleNamespace(get_ipython=lambda: type(name, (), {})())

    assert not in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", shell("ZMQInteractiveShell"))
    assert in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", shell("TerminalInteractiveShell"))
    assert not in_notebook()


def test_an_import_of_rankmill_is_light() -> None:
    import subprocess

    code = "import sys, rankmill; print(len([m for m in sys.modules if re_.match(m)]))"
    code = "import re; re_ = re.compile('numpy|pyarrow|polars|torch|ray|numba')\n" + code
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"0\n", said.stdout)
