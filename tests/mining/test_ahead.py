"""Work ahead: order, errors, and that no generator of ours joins a thread when it is closed.

The garbage collector closes what an error has left behind, in whatever thread it happens to run, be
it one that holds the locks of `threading` while it starts: a join there waits for ever.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rankmill.mining import ahead, processors
from rankmill.mining.ahead import Ahead, awaited, in_turn
from rankmill.mining.devices import on_every_core
from rankmill.mining.inputs import blocks


def numbers(count: int, fails_at: int = -1) -> Iterator[int]:
    for number in range(count):
        if number == fails_at:
            raise ValueError(f"number {number}")
        yield number


@pytest.mark.parametrize("depth", [1, 3])
def test_items_come_in_order_and_an_error_in_its_turn(depth):
    assert list(Ahead(lambda: numbers(50), depth, "t")) == list(range(50))
    seen = []
    with pytest.raises(ValueError, match="number 7"):
        seen.extend(Ahead(lambda: numbers(50, 7), depth, "t"))
    assert seen == list(range(7))


def test_no_more_than_depth_items_are_ahead():
    made = []

    def slowly():
        for number in range(20):
            made.append(number)
            yield number

    items = iter(Ahead(slowly, 2, "t"))
    assert next(items) == 0
    time.sleep(0.3)
    assert len(made) <= 1 + 2 + 1  # taken, waiting, and the one that has no room yet
    items.close()


def test_closing_ends_the_thread_and_what_follows_waits_for_it():
    running = []

    def work():
        running.append(1)
        assert len(running) == 1, "two at once"
        try:
            yield from range(1000)
        finally:
            time.sleep(0.2)
            running.pop()

    first = Ahead(work, 1, "first")
    items = iter(first)
    next(items)
    items.close()
    assert next(iter(Ahead(work, 1, "second", after=first))) == 0
    first._thread.join(5)
    assert not first._thread.is_alive()


@pytest.fixture
def no_join(monkeypatch):
    def join(self, timeout=None):
        raise AssertionError("a thread is joined")

    monkeypatch.setattr(threading.Thread, "join", join)


def test_nothing_is_joined_when_blocks_of_a_file_are_left(tmp_path: Path, monkeypatch, no_join):
    monkeypatch.setattr(blocks, "_SMALL", 0)
    path = tmp_path / "lines.tsv"
    path.write_text("a\tb\n" * 1000)
    left: Any = blocks.read_blocks(path, size=100)
    next(left)
    left.close()


def test_nothing_is_joined_when_batches_are_left(no_join):
    done = on_every_core(lambda x: x + 1, np.arange(100).tolist(), device="cpu")
    assert next(done) == 1
    done.close()


def slow_square(number: int) -> int:
    time.sleep(0.002 * (number % 3))
    if number == 13:
        raise ValueError(f"number {number}")
    return number * number


@pytest.mark.parametrize("count", [1, 2, 5])
def test_work_comes_in_turn_and_an_error_in_its_turn(count, monkeypatch):
    monkeypatch.setattr(ahead, "threads", lambda: count)
    assert list(in_turn(slow_square, range(13))) == [n * n for n in range(13)]
    seen = []
    with pytest.raises(ValueError, match="number 13"):
        seen.extend(in_turn(slow_square, range(40)))
    assert seen == [n * n for n in range(13)]
    seen = []
    with pytest.raises(ValueError, match="number 9"):  # of what makes the items
        seen.extend(in_turn(slow_square, numbers(40, 9)))
    assert seen == [n * n for n in range(9)]


def test_as_many_are_worked_on_at_once_as_there_are_threads_and_each_by_one(monkeypatch):
    monkeypatch.setattr(ahead, "threads", lambda: 3)
    at_once, most, taken = [], [], []

    def work(number: int) -> int:
        at_once.append(number)
        most.append(len(at_once))
        assert processors.threads() == 1
        time.sleep(0.01)
        at_once.remove(number)
        return number

    def made() -> Iterator[int]:
        for number in range(30):
            taken.append(number)
            yield number

    for number in in_turn(work, made()):
        assert len(taken) <= number + 4 + 1
    assert max(most) == 3
    assert processors.threads() >= 1


def test_no_more_are_worked_on_at_once_than_was_said(monkeypatch):
    monkeypatch.setattr(ahead, "threads", lambda: 5)
    at_once, most = [], []

    def work(number: int) -> int:
        at_once.append(number)
        most.append(len(at_once))
        time.sleep(0.01)
        at_once.remove(number)
        return number

    assert list(in_turn(work, range(20), 2)) == list(range(20))
    assert max(most) == 2
    assert list(in_turn(work, range(3), 1)) == [0, 1, 2]


def test_nothing_is_joined_when_work_in_turn_is_left(monkeypatch, no_join):
    monkeypatch.setattr(ahead, "threads", lambda: 2)
    left: Any = in_turn(slow_square, range(100))
    assert next(left) == 0
    left.close()


def test_what_is_awaited_comes_in_order_and_so_many_at_once(no_join):
    """All of the first three must have begun before one of them ends."""
    together = threading.Barrier(3, timeout=30)
    stop = threading.Event()

    def work(item: int) -> int:
        together.wait()
        return item * item

    assert awaited(work, range(12), 3, stop) == [n * n for n in range(12)]
    assert awaited(work, [], 3, stop) == []
    assert not stop.is_set()


def test_the_error_that_ends_what_is_awaited_is_the_first(no_join):
    """Those that end because of it, when they see the mark, do not hide it; none is begun after."""
    stop, begun = threading.Event(), []

    def work(item: int) -> int:
        begun.append(item)
        if item == 2:
            raise KeyError("the first")
        assert stop.wait(30)
        raise RuntimeError("stopped")

    with pytest.raises(KeyError, match="the first"):
        awaited(work, range(50), 4, stop)
    assert stop.wait(30)
    assert set(begun) <= set(range(7))  # others took at most one more each before the mark was set


def test_a_signal_that_reaches_another_thread_ends_the_wait_too() -> None:
    """Whichever thread of a process gets it: the system chooses."""
    stop = threading.Event()

    def work(item: int) -> None:
        time.sleep(0.5)  # by then the main thread waits
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        time.sleep(10)  # no bytecode of the main thread runs meanwhile, unless it wakes by itself

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    since = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            awaited(work, [0], 1, stop)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - since < 5
    assert stop.is_set()


def test_what_is_awaited_is_left_when_interrupted(no_join, monkeypatch):
    """A signal comes while the thread waits: no answer is waited for."""
    stop, waiting = threading.Event(), threading.Event()

    left = threading.Event()

    def work(item: int) -> None:
        waiting.set()
        left.wait(60)

    class Cut:
        def put(self, item: Any) -> None:
            assert stop.is_set(), "nothing has ended before"

        def get(self, timeout: float) -> Any:
            assert waiting.wait(30)
            raise KeyboardInterrupt("a signal")

    monkeypatch.setattr(queue, "SimpleQueue", Cut)
    with pytest.raises(KeyboardInterrupt):
        awaited(work, range(5), 2, stop)
    assert stop.is_set()
    left.set()
