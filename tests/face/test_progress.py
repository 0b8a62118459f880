"""What is shown of stages under way, on a terminal and elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rankmill.cli.runs import words
from rankmill.cli.runs.progress import Bars, Lines, Quiet, fitting, for_stream
from rankmill.mining.meter.underway import Underway, listening, so_far
from rankmill.study.words import duration, size

TITLE = "scores of pool nf-pool by MiniLM-L6"


def scores(**more: Any) -> Underway:
    return Underway("scores", TITLE, "pairs", count=1000, work=50_000, **more)


def ago(stage: Underway, seconds: float) -> None:
    """Let the stage have begun so long ago."""
    stage._clock -= seconds
    stage._moments[0] = (stage._clock, *stage._moments[0][1:])


def test_a_line_says_name_share_rate_and_time_left() -> None:
    stage = scores()
    ago(stage, 10)
    assert words.line(stage.facts()) == f"{TITLE}: none of 1,000 pairs yet, 10 s"
    stage.committed(0, 12_500, 250)
    assert words.line(stage.facts()) == f"{TITLE}: 25 % of 1,000 pairs, 25 pairs/s, 30 s left"
    stage.committed(1, 37_500, 750)
    assert words.ended(stage.facts()) == f"{TITLE}: 1,000 pairs in 10 s, 100 pairs/s"


def test_batches_count_before_their_part_is_committed_and_once() -> None:
    stage = scores()
    stage.partly(0, 10_000, 200)
    stage.partly(1, 5_000, 100)
    assert (stage.facts()["share"], stage.facts()["count_done"]) == (0.3, 300)
    stage.partly(0, 2_500, 50)  # a second look at the same pairs
    assert stage.facts()["share"] == 0.3
    stage.committed(0, 20_000, 400)
    assert (stage.facts()["share"], stage.facts()["count_done"]) == (0.5, 500)
    stage.given_up(1)  # its actor died
    assert (stage.facts()["share"], stage.facts()["shards_done"]) == (0.4, 1)


def test_the_rate_is_that_of_the_last_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    stage = Underway("run", "run", "queries", count=10_000, work=10_000)
    for second in range(1, 301):  # 1 a second while a model is loaded, 20 a second after that
        now = 1000.0 + second
        stage.committed(second, 1 if second <= 200 else 20, 1 if second <= 200 else 20)
    facts = stage.facts()
    assert facts["rate"] == pytest.approx(20)
    assert facts["seconds_left"] == pytest.approx((10_000 - 2_200) / 20)
    now += 60
    assert stage.facts()["rate"] == pytest.approx(10, rel=0.05)  # nothing for a minute


def test_a_rate_below_one_a_second_is_told_as_the_time_of_one() -> None:
    assert words.rate(0.25, "queries") == "4.0 s per query"
    assert words.rate(3.21, "queries") == "3.2 queries/s"
    assert words.rate(1234.5, "pairs") == "1,234 pairs/s"
    assert words.rate(1234.5, "pairs", brief=True) == "1,234/s"
    assert words.rate(0.0, "pairs") == ""


def test_a_look_at_the_input_tells_how_long_it_takes() -> None:
    stage = Underway("corpus", "corpus, looking at its input", "", count=0, work=0)
    ago(stage, 12)
    assert words.line(stage.facts()) == "corpus, looking at its input: 12 s"
    assert words.ended(stage.facts()) == "corpus, looking at its input: 12 s"
    assert fitting(stage.facts(), 20) == "12 s"


def test_one_slow_thing_has_no_plural_and_no_rate() -> None:
    stage = Underway("qrels", "qrels (train)", "splits", count=1, work=1)
    ago(stage, 15)
    stage.committed(0, 1, 1)
    assert words.ended(stage.facts()) == "qrels (train): 1 split in 15 s"


def test_a_stage_that_fails_says_how_far_it_came() -> None:
    stage = scores()
    ago(stage, 60)
    stage.partly(0, 25_000, 500)
    assert words.ended(stage.facts()) == f"{TITLE}: stopped at 500 of 1,000 pairs after 1 min 0 s"


def test_lines_come_every_few_seconds_and_seldom_later() -> None:
    stream = io.StringIO()
    shown, stage = Lines(stream), scores(shards=3, shards_found=7)
    shown.begin(stage)
    assert stream.getvalue() == f"{TITLE}: 7 of 10 parts already there\n"
    shown.look()
    assert stream.getvalue().count("\n") == 1
    ago(stage, 3600)
    stage.partly(0, 12_500, 250)
    stage.said = "loss 0.3"
    shown.due[id(stage)] = stage, 0.0
    shown.look()
    shown.look()
    last = stream.getvalue().splitlines()[1:]
    assert last == [f"{TITLE}: 25 % of 1,000 pairs, 14 s per pair, 3 h 0 min left, loss 0.3"]
    assert shown.due[id(stage)][1] - time.monotonic() > 55
    shown.end(stage)
    assert shown.due == {}


def test_short_stages_are_silent() -> None:
    stream = io.StringIO()
    shown, stage = Lines(stream), scores()
    shown.begin(stage)
    stage.committed(0, 50_000, 1000)
    shown.end(stage)
    assert stream.getvalue() == ""


def test_quiet_shows_nothing_and_a_file_gets_lines() -> None:
    assert type(for_stream(io.StringIO())) is Lines
    assert type(for_stream(io.StringIO(), quiet=True)) is Quiet


@pytest.mark.parametrize("room", range(20, 120, 7))
def test_facts_fit_a_terminal(room: int) -> None:
    stage = scores()
    ago(stage, 10)
    assert len(fitting(stage.facts(), 20)) <= 20
    stage.partly(0, 12_500, 250)
    stage.said = "step 3 of 12, loss 0.1234"
    said = fitting(stage.facts(), room)
    assert len(said) <= max(room, len("25 %  25/s  30 s left"))
    assert said.startswith("25 %")
    assert said.count("left") == 1


def test_the_loss_of_a_student_fits_eighty_columns() -> None:
    stage = Underway("student", "student", "documents", count=6000, work=6000)
    ago(stage, 10)
    stage.partly("steps", 1800)
    stage.said = "step 12 of 40, loss 0.3123"
    assert fitting(stage.facts(), 56) == "30 %  180/s  23 s left  step 12 of 40, loss 0.3123"


STAGES = """
import sys, tempfile, time
from pathlib import Path
from rankmill.cli.runs.progress import for_stream
from rankmill.cli.runs.status import Told
from rankmill.mining.meter.underway import Underway
told = Told(Path(tempfile.mkdtemp()), for_stream(sys.stderr))
title = "scores of pool nf-pool by a-model-with-quite-a-long-name-L6"
stage = Underway("scores", title, "pairs", count=1000, work=50_000)
told.begin(stage)
for batch in range(1, 8):
    stage.partly(0, batch * 5000, batch * 100)
    time.sleep(0.1)
told.announce("between two batches")
time.sleep(0.4)
stage._clock -= 60
stage.committed(0, 50_000, 1000)
told.end(stage)
told.close()
print("the end")
"""


@pytest.mark.parametrize("columns", [80, 40])
def test_a_terminal_shows_bars_that_fit_and_keeps_lines(columns: int, tmp_path: Path) -> None:
    def sized() -> None:
        fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    said = on_terminal([sys.executable, "-c", STAGES], sized)
    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "\n", said)
    rows = [row.rstrip() for row in re.split(r"[\r\n]+", plain)]
    live = [row for row in rows if row.lstrip(" ━╺╸").startswith("70 %")]
    assert live, said  # 700 of 1,000 pairs, while no part is committed
    assert max(map(len, live)) <= columns
    assert ("pairs/s" in live[-1]) == (columns == 80)
    assert "left" in live[-1]
    assert "between two batches" in rows
    whole = "".join(rows)
    assert "1,000 pairs in 1 min" in whole
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l")  # the cursor is there again
    assert rows[-2:] == ["the end", ""]


def on_terminal(command: list[str], before: Callable[[], None]) -> str:
    """Return what a command writes to a terminal."""
    parent, child = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
    done = subprocess.Popen(
        command,
        stdin=child,
        stdout=child,
        stderr=child,
        env=environment | {"TERM": "xterm-256color"},
        preexec_fn=before,
    )
    os.close(child)
    said = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while piece := os.read(parent, 65536):
            said += piece
    os.close(parent)
    assert done.wait() == 0
    return said.decode()


def test_bars_leave_one_line_of_each_stage() -> None:
    stream = io.StringIO()
    shown, one, other = Bars(stream), scores(), Underway("run", "run r", "queries", 5, 5)
    shown.begin(one)
    thread = threading.Thread(target=shown.begin, args=(other,))
    thread.start()
    thread.join()
    ago(one, 30)
    one.committed(0, 50_000, 1000)
    shown.end(one)
    shown.end(other)
    assert shown.live is None
    assert re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", stream.getvalue()).split() == (
        f"{TITLE}: 1,000 pairs in 30 s, 33 pairs/s".split()
    )


def test_a_terminal_is_left_as_it_was_by_a_stage_that_could_not_end() -> None:
    shown = Bars(io.StringIO())
    shown.begin(scores())
    live = shown.live
    shown.close()
    assert not live.live.is_started
    assert shown.live is None
    shown.close()


def test_a_worker_says_how_far_it_is_twice_a_second_at_most() -> None:
    heard: list[float] = []
    so_far(1, 2)  # nobody listens
    with listening(heard.append):
        for batch in range(10_000):
            so_far(batch, 10_000)
    assert heard == []  # all of it took less than half a second
    with listening(heard.append), listening(lambda share: None):
        time.sleep(0.51)
        so_far(1, 2)
    assert heard == []  # only the innermost hears
    with listening(heard.append):
        time.sleep(0.51)
        so_far(1, 2)
        so_far(3, 2)
    assert heard == [0.5]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.21, "4.2 s"), (42, "42 s"), (190, "3 min 10 s"), (7500, "2 h 5 min")],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(12, "12 B"), (1200, "1.2 kB"), (3.4e9, "3.4 GB")])
def test_sizes_are_for_people(count: float, text: str) -> None:
    assert size(count) == text
