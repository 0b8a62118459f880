"""How stages get on: live bars on a terminal, plain lines with the same facts elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from rankmill.cli import streams
from rankmill.cli.runs import words

if TYPE_CHECKING:
    from rankmill.mining.meter.underway import Underway

LINE_EVERY_S = 5.0  # of a stage's first minutes; a twentieth of what it has taken after that,
SELDOM_S = 60.0  # and a minute at most
NOTICED_S = 1.0  # a stage of less leaves no line


def for_stream(stream: Any = sys.stderr, *, quiet: bool = False) -> Quiet:
    """Return the progress that fits the stream: bars for a terminal, lines for anything else."""
    if quiet:
        return Quiet()
    return Bars(stream) if stream.isatty() else Lines(stream)


class Quiet:
    """What people see of stages: here nothing."""

    def announce(self, text: str) -> None:
        """Ignore."""

    def there(self, kind: str, fingerprint: str) -> None:
        """Ignore."""

    def begin(self, stage: Underway) -> None:
        """Ignore."""

    def failed(self, cause: str) -> None:
        """Ignore."""

    def end(self, stage: Underway) -> None:
        """Ignore."""

    def look(self) -> None:
        """Show how far the stages are now; called twice a second while one is under way."""

    def close(self) -> None:
        """Leave the terminal as it was, also where a stage was stopped before it could end."""


class Lines(Quiet):
    """A plain line for every stage, every few seconds."""

    def __init__(self, stream: Any):
        self.stream = stream
        self.due: dict[int, tuple[Underway, float]] = {}
        self._lock = threading.Lock()

    def announce(self, text: str) -> None:
        """Print the line."""
        streams.say(text, self.stream)

    def failed(self, cause: str) -> None:
        """Say what an attempt at a shard came to; the shard is tried again elsewhere."""
        self.announce(f"{cause}; its shards go to another")

    def begin(self, stage: Underway) -> None:
        """Say what is there already; the first line comes when there is something to tell."""
        if said := words.found(stage.facts()):
            self.announce(said)
        with self._lock:
            self.due[id(stage)] = stage, time.monotonic() + LINE_EVERY_S

    def look(self) -> None:
        """Print the facts of every stage whose last line is old enough."""
        now = time.monotonic()
        with self._lock:
            for key, (stage, due) in self.due.items():
                if now >= due:
                    facts = stage.facts()
                    self.announce(words.line(facts))
                    pause = min(max(LINE_EVERY_S, facts["seconds"] / 20), SELDOM_S)
                    self.due[key] = stage, now + pause

    def end(self, stage: Underway) -> None:
        """Print the last line of a stage that took noticeable time."""
        with self._lock:
            self.due.pop(id(stage), None)
        facts = stage.facts()
        if facts["seconds"] >= NOTICED_S:
            self.announce(words.ended(facts))


class Bars(Quiet):
    """Two rows for every stage under way, its name and its facts; one line of it stays."""

    def __init__(self, stream: Any):
        from rich.console import Console

        self.console = Console(file=stream)
        self.live: Any = None
        self.rows: dict[int, Any] = {}
        self._lock = threading.Lock()

    def announce(self, text: str) -> None:
        """Print the line; it stays, above what is live."""
        self.console.print(_plain(text), highlight=False, soft_wrap=True)

    def failed(self, cause: str) -> None:
        """Say what an attempt at a shard came to; the shard is tried again elsewhere."""
        self.announce(f"{cause}; its shards go to another")

    def begin(self, stage: Underway) -> None:
        """Open the rows of a stage."""
        if said := words.found(stage.facts()):
            self.announce(said)
        with self._lock:
            if self.live is None:
                self.live = _live(self.console)
                self.live.start()
                self.console.show_cursor(True)  # a process that is killed would leave it hidden
            self.rows[id(stage)] = self.live.add_task("", total=1.0, stage=stage)

    def end(self, stage: Underway) -> None:
        """Close the rows of a stage; keep one line if it took noticeable time."""
        with self._lock:
            if self.live is None or id(stage) not in self.rows:
                return
            self.live.remove_task(self.rows.pop(id(stage)))
            if not self.rows:
                self.live.stop()
                self.live = None
        facts = stage.facts()
        if facts["seconds"] >= NOTICED_S:
            self.announce(words.ended(facts))

    def close(self) -> None:
        """Stop what is live."""
        with self._lock:
            live, self.live, self.rows = self.live, None, {}
        if live is not None:
            live.stop()


_BAR, _LEAST = 20, 60  # columns of a bar, and of a terminal that has room for one


def _live(console: Any) -> Any:
    from rich.progress import Progress, ProgressColumn
    from rich.progress_bar import ProgressBar
    from rich.table import Column, Table

    class Rows(ProgressColumn):
        """The name of a stage, and below it a bar and the facts."""

        def render(self, task: Any) -> Any:
            facts = task.fields["stage"].facts()
            bar = _BAR if console.width >= _LEAST else 0
            room = console.width - bar - 4
            rows = Table.grid()
            rows.add_row(_cut(facts["title"]))
            below = Table.grid(padding=(0, 2, 0, 0))
            cells = [_cut(fitting(facts, room))]
            if bar:
                known = 1.0 if facts["work_done"] else None  # None: it is drawn as waiting
                cells.insert(0, ProgressBar(known, facts["share"], width=bar))
            below.add_row("", *cells)
            rows.add_row(below)
            return rows

    columns = [Rows(table_column=Column(ratio=1))]
    return Progress(
        *columns, console=console, transient=True, refresh_per_second=4, redirect_stdout=False
    )


def fitting(facts: words.Facts, room: int) -> str:
    """Return as much of the facts as there are columns for."""
    whole, brief = words.pieces(facts), words.pieces(facts, brief=True)
    for pieces in (whole, [*brief, *whole[3:]], whole[:3], brief):
        said = "  ".join(pieces)
        if len(said) <= room:
            break
    return said


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(streams.harmless(text))


def _cut(text: str) -> Any:
    from rich.text import Text

    return Text(streams.on_one_line(text), no_wrap=True, overflow="ellipsis")
