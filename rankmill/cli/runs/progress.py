"""How a stage gets on: a live bar on a terminal, plain lines with the same facts elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rankmill.cli import streams
from rankmill.study.words import duration

if TYPE_CHECKING:
    from rankmill.mining.store.execution import Progress

LINE_EVERY_S = 5.0


def for_stream(stream: Any = sys.stderr, *, quiet: bool = False) -> Progress:
    """Return the progress that fits the stream: a bar for a terminal, lines for anything else."""
    if quiet:
        from rankmill.mining.store.execution import Silent

        return Silent()
    return Bar(stream) if stream.isatty() else Lines(stream)


class Meter:
    """Counts committed work; the rate and the time left follow from it."""

    def __init__(self) -> None:
        self.kind, self.unit = "", ""
        self.work = self.done = 0
        self.began = 0.0

    def announce(self, text: str) -> None:
        """Show what a stage will take."""

    def begin(self, kind: str, unit: str, shards: int, done: int, work: int) -> None:
        """Start counting a stage; `done` shards were finished by earlier runs."""
        self.kind, self.unit, self.work = kind, unit, work
        self.done, self.began = 0, time.monotonic()
        self.started(f"{kind}: {shards} parts to do" + (f", {done} done before" if done else ""))

    def advance(self, work: int, usage: Mapping[str, float]) -> None:
        """Count one committed shard, or one step."""
        self.done += work
        self.moved()

    def failed(self, cause: str) -> None:
        """Say what an attempt at a shard came to; the shard is tried again elsewhere."""
        self.announce(f"{self.kind}: {cause}; its shards go to another")

    def end(self) -> None:
        """Close the stage."""
        self.ended()

    @property
    def facts(self) -> str:
        """Share done, rate and time left; a plan balances work, so work is the measure."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        rate = self.done / seconds
        if not self.done and self.work:
            return f"{self.kind}: none of {self.work:,} {self.unit} yet, {duration(seconds)}"
        if self.done >= self.work:
            unit = self.unit.removesuffix("s") if self.work == 1 else self.unit
            speed = f", {rate:,.0f}/s" if rate >= 1 else ""
            return f"{self.kind}: {self.work:,} {unit} in {duration(seconds)}{speed}"
        left = duration((self.work - self.done) / rate)
        return (
            f"{self.kind}: {100 * self.done // self.work} % of {self.work:,} {self.unit}, "
            f"{rate:,.0f}/s, {left} left"
        )

    def started(self, text: str) -> None:
        """Show that a stage begins."""

    def moved(self) -> None:
        """Show that a part was committed."""

    def ended(self) -> None:
        """Show that the stage is over."""


class Lines(Meter):
    """One plain line at most every five seconds."""

    def __init__(self, stream: Any):
        super().__init__()
        self.stream, self.shown = stream, 0.0

    def announce(self, text: str) -> None:
        """Print the line."""
        streams.say(text, self.stream)

    def moved(self) -> None:
        """Print the facts when the last line is old enough."""
        now = time.monotonic()
        if now - self.shown >= LINE_EVERY_S and 0 < self.done < self.work:
            self.shown = now
            streams.say(self.facts, self.stream)

    def ended(self) -> None:
        """Print the last line of a stage that took noticeable time."""
        if time.monotonic() - self.began >= 1.0:
            streams.say(self.facts, self.stream)


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(streams.harmless(text))


class Bar(Meter):
    """A rich status line that disappears when the stage ends."""

    def __init__(self, stream: Any):
        super().__init__()
        from rich.console import Console

        self.console = Console(file=stream)
        self.status: Any = None

    def announce(self, text: str) -> None:
        """Print the line; it stays."""
        self.console.print(_plain(text), highlight=False)

    def started(self, text: str) -> None:
        """Open the status line."""
        self.status = self.console.status(_plain(text))
        self.status.start()

    def moved(self) -> None:
        """Refresh the facts."""
        self.status.update(_plain(self.facts))

    def ended(self) -> None:
        """Close the status line; keep one line of a stage that took noticeable time."""
        self.status.stop()
        if time.monotonic() - self.began >= 1.0:
            self.console.print(_plain(self.facts), highlight=False)
