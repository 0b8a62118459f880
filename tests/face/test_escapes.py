"""Texts and ids of others are shown on a terminal, never done by it.

Sequences for the clipboard, the title, the screen and colours, in C0 and in C1 spelling, carriage
returns, and characters that turn the direction of what follows.
"""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from rankmill.cli import streams

EVIL = "\x1b]52;c;cm0=\x07\x1b]0;title\x07\x1b[2J\x1b[31m\x9b31m\x90q\r\x08\x7f\u202ecod\u2066x"
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def evil(name: str) -> str:
    return f"{name}{EVIL}"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Return a folder with a collection whose ids and texts would act on a terminal."""
    root = tmp_path_factory.mktemp("escapes")
    folder = root / "evil"
    folder.mkdir()
    docs = [{"doc_id": evil(f"d{n}"), "text": evil(f"text {n}")} for n in range(12)]
    docs += [{"doc_id": evil("empty"), "text": ""}]
    queries = [{"query_id": evil(f"q{n}"), "text": evil(f"question\n{n}")} for n in range(3)]
    for name, rows in (("documents", docs), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    judged = [{"query_id": evil(f"q{n}"), "doc_id": evil(f"d{n}"), "grade": 1} for n in range(3)]
    (folder / "qrels.jsonl").write_text("".join(json.dumps(r) + "\n" for r in judged))
    return root


@pytest.fixture
def held(place, rankmill):
    """Return the runner, over a workspace with every kind of artifact that is shown."""
    if (place / "rankmill-work" / "names" / "groups.json").exists():
        return rankmill
    scores = [
        {"query_id": evil(f"q{q}"), "doc_id": evil(f"d{d}"), "score": float(q - d)}
        for q in range(3)
        for d in range(12)
    ]
    (place / "scores.jsonl").write_text("".join(json.dumps(row) + "\n" for row in scores))
    for words in STEPS:
        status, out, err = rankmill(*words)
        assert status == 0, (words, err)
        clean(out, err)
    return rankmill


def clean(*said: str) -> None:
    """Check that nothing of what was printed acts."""
    for text in said:
        assert not ACTING.search(text), ascii(text[:3000])


STEPS = [
    shlex.split(line)
    for line in (
        "collect jsonl:evil --name evil",
        "mine random -c evil --split all --depth 8 -n r",
        "pool r -n p --min-grade 1",
        "import scores.jsonl --as scores --kind logit -c evil -n s",
        "select top --pool p --scores s --size 3 -n groups",
    )
]

LINES = [
    "show evil",
    "show r",
    "show p",
    "show s",
    "show groups",
    "list",
    "verify",
    "survey evil",
    "audit --groups groups",
    "doctor s",
    "cost",
    "cost groups",
    "list --json",
    "survey evil --json",
    "audit --groups groups --json",
]


@pytest.mark.parametrize("line", LINES)
def test_no_command_prints_what_acts(held, line):
    status, out, err = held(*shlex.split(line))
    assert status in (0, 1), err
    assert "this is a bug" not in err
    clean(out, err)


def test_a_query_is_explained_by_its_id(held):
    for more in ([], ["--json"]):
        status, out, err = held("explain", evil("q0"), "--groups", "groups", *more)
        assert status == 0, err
        clean(out, err)
        assert "\\u001b]52;c;" in out
    assert json.loads(out)["query_id"] == evil("q0")


@pytest.mark.parametrize(
    "words",
    [
        ["explain", evil("nobody"), "--groups", "groups"],
        ["show", evil("x")],
        ["list", evil("x")],
        [evil("x")],
        ["list", f"--{EVIL}"],
        ["mine", evil("bm25"), "-c", "evil", "--split", "train"],
        ["mine", "random", "-c", "evil", "--split", evil("x")],
        ["mine", "random", "-c", evil("x"), "--split", "train"],
        ["show", "r", "--format", evil("x")],
        ["show", "r", "--to", evil("no/x")],
        ["import", evil("no.jsonl"), "-c", "evil", "--split", "*"],
        ["check", evil("x.toml")],
        ["mine", "random", "-c", "evil", "--split", "*", "--depth", evil("3")],
        ["collect", f"jsonl:{EVIL}"],
        ["hash", "r", "-w", evil("ws")],
    ],
    ids=lambda words: words[0] if words[0].isascii() and words[0].isalnum() else "odd",
)
def test_no_refusal_prints_what_acts(held, words):
    status, out, err = held(*words)
    assert status in (0, 2, 4)
    assert "this is a bug" not in err
    clean(out, err)


def test_refusals_of_files_print_nothing_that_acts(held, place):
    rows = {
        "q.txt": f"q1 Q0 {EVIL.replace(chr(13), '')} 1 1 t\n",
        "s.txt": f"q1 Q0 d1 1 {EVIL} t\n",
        "k.jsonl": json.dumps({EVIL: 1}) + "\n",
        "t.jsonl": "{" + f'"{EVIL}": 1, ' * 2 + "}\n",
    }
    for name, text in rows.items():
        (place / name).write_text(text)
        kind = ["--as", "scores", "--kind", "logit"] if name.endswith("jsonl") else []
        status, out, err = held("import", name, "-c", "evil", "--split", "*", *kind)
        assert status in (2, 4), err
        clean(out, err)
    (place / "r.toml").write_text(f'name = "x"\n"{EVIL.encode("unicode_escape").decode()}" = 1\n')
    clean(*map(str, held("check", "r.toml")))


def corpus(held) -> str:
    """Return a name of the corpus."""
    listed = json.loads(held("list", "corpus", "--json")[1])["artifacts"]
    return str(listed[0]["fingerprint"][:12])


def test_data_for_other_tools_is_as_it_is(held, place):
    out = held("show", corpus(held), "--format", "csv")[1]
    assert EVIL.replace("\r", "") in out.replace("\r", "")
    out = held("show", corpus(held), "--format", "jsonl")[1]
    assert {json.loads(line)["doc_id"] for line in out.splitlines()} >= {evil("d0"), evil("d7")}
    assert held("show", corpus(held), "--format", "csv", "--to", "out.csv")[0] == 0
    assert "\x1b]52;c;" in (place / "out.csv").read_text()


@pytest.mark.parametrize("line", ["show r --format csv", "show r --format jsonl", "show r"])
def test_a_terminal_is_safe_whatever_the_form(held, place, line):
    parent, child = pty.openpty()
    words = [sys.executable, "-m", "rankmill", *line.split()]
    names = os.environ | {"NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.Popen(words, stdout=child, stderr=child, cwd=place, env=names)
    os.close(child)
    said = b""
    while True:
        try:
            piece = os.read(parent, 1 << 16)
        except OSError:  # EIO: all ends of the other side are closed
            break
        if not piece:
            break
        said += piece
    os.close(parent)
    assert done.wait() == 0
    clean(said.decode().replace("\r\n", "\n"))


def test_a_bar_shows_no_markup_and_nothing_that_acts():
    import io

    from rankmill.cli.runs.progress import Bars
    from rankmill.mining.meter.underway import Underway

    bar, stage = Bars(io.StringIO()), Underway("run", evil("run"), "[/]", count=10, work=10)
    bar.announce(f"[red]{EVIL}[/nothing]")
    bar.begin(stage)
    stage.partly(0, 5)
    bar.live.refresh()
    stage._clock -= 2  # it took noticeable time
    bar.end(stage)
    said = bar.console.file.getvalue()
    clean(said)
    assert "[red]" in said


def test_what_acts_and_what_does_not():
    assert streams.harmless(EVIL).startswith("\\u001b]52;c;cm0=\\u0007")
    plain = "a\tb\nü 文 \u200d é … עברית"
    assert streams.harmless(plain) == plain
    assert streams.on_one_line("a\nb") == "a⏎b"
    assert json.loads(streams.json_text({"a": EVIL})) == {"a": EVIL}


def test_an_encoding_of_ascii_gets_twins_and_no_other_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii"))
    streams.prepare()
    streams.tell("queries × documents, 95 % … 東")
    assert printed.getvalue() == b"queries x documents, 95 % ... \\u6771\n"


class Full(io.StringIO):
    """A stream on a disk without room."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_what_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    table = Table("a", box=None)
    table.add_row("b")
    for write in (
        lambda: streams.tell("a line"),
        lambda: streams.write_data("a,b\n"),
        lambda: streams.print_table(table),
        lambda: streams.print_whole(table),
    ):
        with pytest.raises(OSError, match="No space left") as refused:
            write()
        assert refused.value.filename == "standard output"
