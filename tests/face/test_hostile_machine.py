"""The machine as it is met: streams that are closed, full or no UTF-8, places that cannot be
written, outputs that are no files, stray files in a workspace."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_collection import tiny_beir

from rankmill.cli import streams
from rankmill.mining.errors import BadInput, RankmillError
from rankmill.mining.store import Workspace, files, places

Command = Callable[..., tuple[int, str, str]]
MAIN = [sys.executable, "-m", "rankmill"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder with a tiny collection."""
    root = tmp_path_factory.mktemp("machine")
    tiny_beir(root / "tiny")
    return root


@pytest.fixture
def held(place, rankmill, monkeypatch) -> Path:
    """Return a workspace with a collection `t` and a run `r`."""
    monkeypatch.setenv("RANKMILL_WORKSPACE", str(place / "ws"))
    if not (place / "ws").exists():
        assert rankmill("collect", "beir:tiny", "--name", "t")[0] == 0
        assert rankmill(*"mine random -c t --split train --depth 5 --name r".split())[0] == 0
    return place / "ws"


def shell(command: str, held: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash in which $RM is the command line over the workspace."""
    names = os.environ | {"RANKMILL_WORKSPACE": str(held), "RM": " ".join(MAIN)} | environment
    done = subprocess.run(["bash", "-c", command], env=names, capture_output=True, timeout=300)
    for said in (done.stdout, done.stderr):
        no_bug(said.decode())
    return done


def no_bug(said: str) -> None:
    for word in ("this is a bug", "Traceback", "Exception ignored"):
        assert word not in said


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("$RM list >&- 2>&- <&-", 0),
        ("$RM list 2>/dev/full", 0),
        ("$RM list >/dev/full 2>/dev/full", 1),
        ("$RM show nosuch 2>&-", 4),
        ("$RM show nosuch 2>&1 | true; exit ${PIPESTATUS[0]}", 4),
        ("$RM show t --rows 0 --format jsonl | head -c 9 >&2; exit ${PIPESTATUS[0]}", 0),
        ("$RM show t --rows 0 --format csv --to >(head -c 9 >&2); exit $?", 0),
    ],
)
def test_whatever_the_streams_are_a_command_ends_as_it_should(held, command, status):
    assert shell(command, held).returncode == status


@pytest.fixture
def printed(rankmill, monkeypatch):
    """Return a function: what a command prints on streams of an encoding, status and bytes."""

    def run(encoding: str, *words: str) -> tuple[int, bytes]:
        raw = io.BytesIO()
        for name in ("stdout", "stderr"):
            stream = io.TextIOWrapper(raw, encoding, errors="strict", write_through=True)
            monkeypatch.setattr(sys, name, stream)
        status = rankmill(*words)[0]
        no_bug(raw.getvalue().decode(encoding, "replace"))
        return status, raw.getvalue()

    return run


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "iso8859-7"])
@pytest.mark.parametrize(
    "line", ["--help", "mine --help", "list", "show r", "show r…", "mine --nosuch…", "cost"]
)
def test_characters_that_the_terminal_lacks_are_degraded(held, printed, encoding, line):
    status, said = printed(encoding, *line.split())
    assert status == {"show r…": 4, "mine --nosuch…": 2}.get(line, 0)
    assert said


def test_under_the_posix_locale_the_help_is_printed(held):
    names = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert shell("$RM mine --help", held, **names).returncode == 0


def test_twins_and_escapes_are_what_is_printed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    streams.prepare()
    sys.stdout.write("a … b × c → ü \U0001f600 │\n")
    sys.stdout.write(streams.json_text({"ü": "\U0001f600"}))
    sys.stdout.flush()
    first, second = sys.stdout.buffer.getvalue().decode("ascii").splitlines()
    assert first == "a ... b x c -> \\xfc \\U0001f600 |"
    assert json.loads(second) == {"ü": "\U0001f600"}


def test_rows_for_other_tools_are_utf8_whatever_the_terminal_is(held, printed, rankmill, tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d…", "text": "naïve … 文"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "x"}\n')
    assert rankmill("collect", f"beir:{tmp_path}", "-w", str(tmp_path / "ws"))[0] == 0
    listed = rankmill("list", "corpus", "--json", "-w", str(tmp_path / "ws"))[1]
    name = json.loads(listed)["artifacts"][0]["fingerprint"][:12]
    for form in ("csv", "jsonl"):
        words = ("show", name, "--format", form, "-w", str(tmp_path / "ws"))
        plain, degraded = printed("utf-8", *words), printed("ascii", *words)
        assert "naïve … 文".encode() in degraded[1]
        assert plain == degraded


# ---- places ------------------------------------------------------------------------------------


def test_a_pipe_stays_a_pipe_and_its_reader_gets_the_rows(tmp_path):
    pipe, got = tmp_path / "p", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with files.replacing(pipe) as out:
        out.write("one\ntwo\n")
    reader.join(timeout=20)
    assert got == [b"one\ntwo\n"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.listdir(tmp_path) == ["p"]


def test_devices_are_written_through():
    before = os.stat("/dev/null")
    with files.replacing(Path("/dev/null")) as out:
        out.write("gone")
    assert os.stat("/dev/null").st_ino == before.st_ino
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with (
        pytest.raises(RankmillError, match="No space left"),
        files.replacing(Path("/dev/full")) as out,
    ):
        out.write("full")


@pytest.mark.parametrize("chain", [1, 2])
def test_of_a_link_the_target_is_replaced_and_the_link_stays(tmp_path, chain):
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "file"
    target.write_text("old")
    link = tmp_path / "link"
    link.symlink_to("there/file")
    if chain == 2:
        (tmp_path / "link2").symlink_to(link)
        link = tmp_path / "link2"
    with files.replacing(link) as out:
        out.write("new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert os.listdir(tmp_path / "there") == ["file"]


def test_a_dangling_link_gets_its_target(tmp_path):
    (tmp_path / "link").symlink_to("file")
    with files.replacing(tmp_path / "link") as out:
        out.write("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_standard_output_is_appended_to_not_begun_anew(held, tmp_path):
    out = tmp_path / "out"
    out.write_text("head\n")
    done = shell(
        f"$RM show r --rows 2 --format jsonl --to /dev/stdout >> {out}; echo tail >> {out}", held
    )
    lines = out.read_text().splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("head", "tail", 4)
    assert b"2 of" in done.stderr  # the message does not stand among the rows


def _place(tmp_path: Path, kind: str) -> str:
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "away").symlink_to("no/where")
    return {
        "folder": str(tmp_path),
        "missing": str(tmp_path / "no" / "file"),
        "below a file": str(tmp_path / "file" / "x"),
        "loop": str(tmp_path / "loop"),
        "dangling": str(tmp_path / "away"),
        "long": str(tmp_path / ("n" * 300)),
        "nul": str(tmp_path / "a\0b"),
        "empty": "",
        "proc": "/proc/x",
    }[kind]


KINDS = ["folder", "missing", "below a file", "loop", "dangling", "long", "nul", "empty", "proc"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_that_cannot_be_written_is_refused_with_place_and_next_step(tmp_path, kind):
    place = _place(tmp_path, kind)
    if kind == "proc" and os.geteuid() == 0:
        pytest.skip("root may")
    with pytest.raises(BadInput, match="  where: .*\n  do: "):
        places.check_place(place)


@pytest.mark.parametrize(
    "line",
    [
        "mine random -c t --split train --depth 4 --seed 77 --trec {}",
        "show t --to {}",
        "eval --run r --alone --per-query {}.csv",
        "run {recipe} --report {}",
        "demo --report {}",
    ],
)
def test_outputs_are_looked_at_before_any_work(held, rankmill, tmp_path, line):
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        f'name = "x"\ncollection = "beir:{held.parent / "tiny"}"\nteacher = "stored(scores=x)"\n'
        '[mine]\n[mine.sources]\nr = "random"\n[groups.samplers]\nr = "top"\n'
    )
    before = sorted(held.rglob("*"))
    line = line.replace("{recipe}", str(recipe)).replace("{}", str(tmp_path / "no" / "file"))
    status, _, said = rankmill(*line.split())
    assert status == 4
    assert "there is no folder" in said
    assert sorted(held.rglob("*")) == before


def test_a_folder_place_is_looked_at_too(tmp_path):
    (tmp_path / "file").write_text("x")
    for place in (tmp_path, tmp_path / "file", tmp_path / "file" / "x", "a\0b"):
        with pytest.raises(BadInput):
            places.check_folder_place(place)
    places.check_folder_place(tmp_path / "new" / "deeper")
    places.check_folder_place(tmp_path, empty=False)


# ---- a workspace with stray files --------------------------------------------------------------

STRAY = {
    "empty": b"",
    "list": b"[]",
    "null": b"null",
    "text": b"hello",
    "no utf-8": b"\xff\xfe\x00",
    "other keys": b'{"name": "x"}',
    "no text": b'{"kind": 5, "fingerprint": 6}',
    "a way out": b'{"kind": "../..", "fingerprint": "../../etc"}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("what", STRAY)
def test_a_stray_file_among_the_names_closes_nothing(held, rankmill, what):
    path = held / "names" / "odd.json"
    path.write_bytes(STRAY[what])
    try:
        here = Workspace(held)
        assert here.find("r").kind == "run"
        assert "odd" not in here.names()
        with pytest.raises(RankmillError, match="passed over") as caught:
            here.find("odd")
        assert caught.value.exit_status == 6
        assert str(path) in str(caught.value)
        status, _, said = rankmill("list")
        assert status == 0
        assert "odd.json" in said
        here.alias("odd", here.find("r"))  # the name can be given again
        assert here.find("odd").fingerprint == here.find("r").fingerprint
    finally:
        path.unlink()


@pytest.mark.parametrize(
    ("where", "data"),
    [
        ("names/t (conflicted copy).json", b'{"kind":"run","fingerprint":"0123456789"}'),
        ("names/.json", b"{}"),
        ("names/.DS_Store", b"x"),
        ("run/.DS_Store", b"x"),
        ("run/notes/manifest.json", b""),
        ("run/notes/manifest.json", b"[]"),
        ("run/notes/manifest.json", b'{"format": 1}'),
        ("node_modules/x/manifest.json", b'{"name": "x"}'),
        ("tmp/x", b""),
        ("desktop.ini", b""),
    ],
)
def test_stray_files_elsewhere_close_nothing(held, rankmill, where, data):
    path = held / where
    made = [p for p in path.parents if not p.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        for line in ("list", "verify", "cost", "mine random -c t --split train --depth 5"):
            assert rankmill(*line.split())[0] == 0, line
    finally:
        path.unlink()
        for folder in made:
            folder.rmdir()


def test_a_folder_or_a_dangling_link_among_the_names_closes_nothing(held, rankmill):
    odd, away = held / "names" / "odd.json", held / "names" / "away.json"
    odd.mkdir()
    away.symlink_to("nowhere")
    try:
        assert rankmill("list")[0] == 0
        assert rankmill("show", "away")[0] == 6
    finally:
        odd.rmdir()
        away.unlink()


@pytest.mark.parametrize(
    "line",
    [
        "mine random -c t --split train --depth 3 --depth 4",
        "mine random -c t --collection t --split train",
        "list --json --json",
        "show r --rows 1 --rows 2",
        "check x.toml --set seed=1 --set seed=2",
    ],
)
def test_an_option_said_twice_is_refused(held, rankmill, tmp_path, line):
    recipe = tmp_path / "x.toml"
    recipe.write_text('name = "x"\n')
    status, _, said = rankmill(*line.replace("x.toml", str(recipe)).split())
    assert status == 2
    assert "is given twice" in said


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        OSError("Failed to launch worker thread: Resource temporarily unavailable"),
        ImportError("libtorch.so: failed to map segment from shared object"),
    ],
)
def test_a_machine_without_memory_or_threads_is_no_bug(
    rankmill: Command, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def starve(*_: object) -> None:
        try:
            raise error
        except Exception as first:
            raise ValueError("what a library makes of it") from first

    monkeypatch.setattr("rankmill.cli.entry.app_of", lambda _: lambda **_: starve())
    status, _, said = rankmill("hash", "x")
    assert status == 1
    assert "rankmill: out of memory" in said
    assert "ulimit" in said
    assert "bug" not in said
