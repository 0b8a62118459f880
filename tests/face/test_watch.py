"""What runs tell while they run, and what `rankmill watch` makes of it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rankmill.cli import app_of
from rankmill.cli.runs import status, words
from rankmill.cli.runs.progress import Lines, Quiet
from rankmill.cli.runs.prometheus import as_prometheus
from rankmill.cli.runs.status import Told, folder_of, runs
from rankmill.mining.errors import BadInput, Corrupt
from rankmill.mining.meter.underway import Underway


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path, Quiet())


def stage(kind: str = "run", count: int = 1, **more: Any) -> Underway:
    more.setdefault("fingerprint", "f")
    return Underway(kind, more.pop("title", kind), "pairs", count=count, work=2 * count, **more)


def watched(place: Path, *words: str) -> str:
    result = CliRunner().invoke(app_of("watch"), ["watch", "-w", str(place), *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_disk_that_is_full_ends_no_thread_that_tells(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pytest says of threads that end by an error would fail this test."""
    monkeypatch.setattr(status, "LOOK_S", 0.01)
    monkeypatch.setattr(status, "EVERY_S", 0.0)
    told.begin(stage("scores", 4))
    tried = threading.Event()

    def full() -> None:
        tried.set()
        raise BadInput("cannot write: No space left on device")

    monkeypatch.setattr(told, "_write", full)
    assert tried.wait(5)
    tried.clear()
    assert tried.wait(5)  # it goes on looking
    monkeypatch.undo()
    told.close()


def test_a_run_tells_stage_share_rate_and_failures(tmp_path: Path, told: Told) -> None:
    one = stage("scores", 4000, title="scores of pool nf-pool by tiny", shards=4, shards_found=1)
    told.begin(one)
    one.committed(0, 1000, 500)
    one.partly(1, 1000, 500)
    told.failed("lost with its machine: it died")
    (run,) = runs(tmp_path)
    assert run.alive
    assert run.facts["failures"] == 1
    (facts,) = run.facts["stages"]
    assert (facts["count_done"], facts["work_done"], facts["share"]) == (1000, 2000, 0.25)
    assert (facts["shards_done"], facts["shards_found"]) == (1, 1)
    assert facts["seconds_left"] == pytest.approx(3 * facts["seconds"])
    said = watched(tmp_path)
    assert f"  {words.line(facts)}\n" in said  # what the terminal of the run itself shows
    assert "scores of pool nf-pool by tiny: 25 % of 4,000 pairs" in said
    assert "1 failed try, the last: lost with its machine" in said
    told.end(one)
    (run,) = runs(tmp_path)
    assert run.facts["stages"] == []
    assert run.facts["stages_done"] == 1
    told.close()
    assert list(runs(tmp_path)) == []
    assert not folder_of(tmp_path).exists()
    assert watched(tmp_path) == "nothing runs here\n"


def test_students_side_by_side_have_a_stage_each(tmp_path: Path, told: Told) -> None:
    told.begin(stage("student", 100))
    other = threading.Thread(target=told.begin, args=(stage("student", 50),))
    other.start()
    other.join()
    (run,) = runs(tmp_path)
    assert sorted(one["count"] for one in run.facts["stages"]) == [50, 100]
    told.close()


def test_what_goes_on_inside_a_part_is_told_without_being_asked(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "EVERY_S", 0.0)
    monkeypatch.setattr(status, "LOOK_S", 0.01)
    one = stage("scores", 1000)
    told.begin(one)
    one.partly(0, 500, 250)
    for _ in range(1000):
        (run,) = runs(tmp_path)
        if run.facts["stages"][0]["count_done"] == 250:
            break
        time.sleep(0.01)
    assert run.facts["stages"][0]["count_done"] == 250
    told.close()


def test_a_clock_that_is_set_back_does_not_silence_a_run(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "EVERY_S", 0.0)
    monkeypatch.setattr(status, "LOOK_S", 0.01)
    one, now = stage("scores", 1000), time.time()
    told.begin(one)
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    one.partly(0, 500, 250)
    for _ in range(1000):
        (run,) = runs(tmp_path)
        if run.facts["stages"][0]["count_done"] == 250:
            break
        time.sleep(0.01)
    assert run.facts["stages"][0]["count_done"] == 250
    assert run.alive
    told.close()


def test_it_writes_seldom(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    one = stage(count=1000)
    told.begin(one)
    written: list[Any] = []
    monkeypatch.setattr(status, "LOOK_S", 0.001)
    monkeypatch.setattr(
        "rankmill.mining.store.files.write_bytes", lambda *a, **_: written.append(a)
    )
    for number in range(1000):
        one.committed(number, 2, 1)
    time.sleep(0.05)
    assert written == []
    told.close()


def test_what_is_there_is_told_in_one_line(tmp_path: Path) -> None:
    stream = io.StringIO()
    told = Told(tmp_path, Lines(stream))
    made = stage(fingerprint="9")
    told.begin(made)
    told.end(made)
    kinds = ("corpus", "queries", "qrels", "qrels", "run", "run", "index", "index", "scores", "run")
    for number, kind in enumerate(kinds):
        told.there(kind, str(number))
    told.there("corpus", "0")  # another stage reads it, too
    told.close()
    assert stream.getvalue() == (
        "already there: corpus, queries, 2 qrels, 2 runs, 2 indexes, scores\n"
    )


def test_a_killed_run_is_told_and_swept_by_the_next(tmp_path: Path, told: Told) -> None:
    script = (
        "import os, sys\nfrom pathlib import Path\n"
        "from rankmill.cli.runs.status import Told\n"
        "from rankmill.cli.runs.progress import Quiet\n"
        "from rankmill.mining.meter.underway import Underway\n"
        "stage = Underway('run', 'run', 'queries', 1, 1)\n"
        "Told(Path(sys.argv[1]), Quiet()).begin(stage)\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    (run,) = runs(tmp_path)
    assert not run.alive
    assert "gone without a word; last heard from" in watched(tmp_path)
    told.begin(stage())
    assert [run.facts["process"] for run in runs(tmp_path)] == [os.getpid()]
    told.close()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "[" * 100_000, '{"command": 3}', '{"stages": [1]}', "\x00\xff"]
)
def test_what_is_no_status_is_said(tmp_path: Path, told: Told, text: str) -> None:
    """The others are told, and then that one is not: with 6, but for a collector of metrics."""
    told.begin(stage())
    (folder_of(tmp_path) / "other.json").write_text(text)
    assert len(list(runs(tmp_path))) == 1
    assert "rankmill_damaged_status_files 1\n" in watched(tmp_path, "--prometheus")
    for more in ([], ["--json"]):
        result = CliRunner().invoke(app_of("watch"), ["watch", "-w", str(tmp_path), *more])
        assert result.output.count("process") == 1
        assert isinstance(result.exception, Corrupt)
        assert "a status file cannot be read" in str(result.exception)
        assert str(folder_of(tmp_path) / "other.json") in str(result.exception)
    assert json.loads(result.output)["damaged"] == [str(folder_of(tmp_path) / "other.json")]
    (folder_of(tmp_path) / "third.json").write_text(text)
    result = CliRunner().invoke(app_of("watch"), ["watch", "-w", str(tmp_path)])
    assert "2 status files cannot be read" in str(result.exception)
    told.close()


def test_the_text_format_of_prometheus(tmp_path: Path, told: Told) -> None:
    told.begin(stage('sc"ores\n', 4000))
    told.begin(stage('sc"ores\n', 50))  # two alike side by side
    lines = list(as_prometheus(list(runs(tmp_path))))
    sample = r'(rankmill_\w+(?:\{(?:\w+="(?:[^"\\\n]|\\[\\"n])*",?)+\})?) -?[\d.e+-]+'
    series = []
    for line in lines:
        assert re.fullmatch(rf"# (TYPE rankmill_\w+ gauge|HELP rankmill_\w+ .+)|{sample}", line), (
            line
        )
        series += re.findall(rf"^{sample}", line)
    assert len(series) == len(set(series)) > 20  # one value each
    assert any(
        line.startswith("rankmill_stage_count{") and line.endswith(" 4000") for line in lines
    )
    printed = watched(tmp_path, "--prometheus").splitlines()
    names = [line.split(" ")[0] for line in lines]
    assert [line.split(" ")[0] for line in printed] == names  # a line each; values go on
    assert json.loads(watched(tmp_path, "--json"))["runs"][0]["alive"] is True
    told.close()


def test_a_command_leaves_no_file(tmp_path: Path) -> None:
    words = ["collect", "python-docs", "--name", "d", "-w", str(tmp_path / "w")]
    result = CliRunner().invoke(app_of("collect"), words)
    assert result.exit_code == 0, result.output
    assert not folder_of(tmp_path / "w").exists()


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "1" + "0" * 400, "1e300", "true"])
def test_numbers_that_only_a_damaged_file_holds(tmp_path: Path, told: Told, value: str) -> None:
    """A file is told with all that it says, or passed over: no number ends `watch`."""
    told.begin(stage("run", 40))
    (path,) = (tmp_path / "tmp" / "status").glob("*.json")
    facts = json.loads(path.read_text())
    names = [name for name, said in facts.items() if isinstance(said, int | float)]
    inner = [name for name, said in facts["stages"][0].items() if isinstance(said, int | float)]
    assert {"began", "updated"} <= set(names)
    for name in (*names, *inner):
        whole = json.dumps(facts | {"stages": [facts["stages"][0] | {name: "ODD"}], name: "ODD"})
        path.write_text(whole.replace('"ODD"', value))
        read = list(runs(tmp_path))
        assert read == [] or value == "true" or name in ("shards_found", "seconds")
        result = CliRunner().invoke(app_of("watch"), ["watch", "-w", str(tmp_path)])
        assert isinstance(result.exception, Corrupt if read == [] else type(None)), name


def test_a_pipe_in_the_place_of_a_status_is_passed_over(tmp_path: Path, told: Told) -> None:
    told.begin(stage("run", 40))
    os.mkfifo(tmp_path / "tmp" / "status" / "pipe.json")
    assert len(list(runs(tmp_path))) == 1
