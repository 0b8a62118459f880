from __future__ import annotations

import io

import pytest

from rankmill.cli.runs.progress import Lines
from rankmill.study.words import duration, size


def test_facts_name_share_rate_and_time_left():
    meter = Lines(io.StringIO())
    meter.begin("vectors", "tokens", 4, 0, 1000)
    assert meter.facts.startswith("vectors: none of 1,000 tokens yet")
    meter.began -= 10  # ten seconds ago
    meter.advance(250, {})
    assert meter.facts.startswith("vectors: 25 % of 1,000 tokens, 25/s, 30 s left")
    meter.advance(750, {})
    assert meter.facts.startswith("vectors: 1,000 tokens in 10 s, 100/s")


def test_one_slow_thing_has_no_plural_and_no_rate():
    meter = Lines(io.StringIO())
    meter.begin("qrels", "splits", 1, 0, 1)
    meter.began -= 15
    meter.advance(1, {})
    assert meter.facts == "qrels: 1 split in 15 s"


def test_lines_are_plain_and_short_stages_are_silent():
    stream = io.StringIO()
    meter = Lines(stream)
    meter.begin("run", "pairs", 1, 0, 10)
    meter.advance(10, {})
    meter.end()
    assert stream.getvalue() == ""
    meter.began -= 2
    meter.end()
    assert stream.getvalue() == "run: 10 pairs in 2.0 s, 5/s\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.21, "4.2 s"), (42, "42 s"), (190, "3 min 10 s"), (7500, "2 h 5 min")],
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(12, "12 B"), (1200, "1.2 kB"), (3.4e9, "3.4 GB")])
def test_sizes_are_for_people(count, text):
    assert size(count) == text
