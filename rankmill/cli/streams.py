"""Standard output and error as they are met: closed, full, left by their reader, not in UTF-8.

A character that the terminal's encoding lacks is written as its ASCII twin, `…` as `...`, or as
`\\u2026`, and never ends a command. Data (csv, JSON) has no twins: `data_line`.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import select
import sys
from collections.abc import Iterator
from typing import Any, TextIO

TWINS = {
    "…": "...",
    "–": "-",
    "—": "-",
    "−": "-",
    "‑": "-",
    "·": "-",
    "•": "*",
    "×": "x",
    "→": "->",
    "←": "<-",
    "↔": "<->",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "±": "+-",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "«": '"',
    "»": '"',
    "⏎": "\\n",
    "⇥": "\\t",
    "µ": "u",
    "μ": "u",
    "Δ": "Delta",
    "κ": "kappa",
    "π": "pi",
    "τ": "tau",
    "ρ": "rho",
    "σ": "sigma",
    "α": "alpha",
    "β": "beta",
    "λ": "lambda",
    "²": "^2",
    "³": "^3",
    "½": "1/2",
    "\u00a0": " ",
    "\u202f": " ",
    "\u2009": " ",
}
_LINES = {  # of tables and bars
    **dict.fromkeys("─━═╌╍┄┅╴╶╸╺", "-"),
    **dict.fromkeys("│┃║╎╏", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼┏┓┗┛┣┫┳┻╋╭╮╰╯╔╗╚╝╠╣╦╩╬╇╈┡┩╞╡╪", "+"),
    **dict.fromkeys("█▉▊▋▌▍▎▏▐▇▆▅▄▃▂▁■", "#"),
    **dict.fromkeys("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "*"),
}
_TWIN_OF = TWINS | _LINES
_HANDLER = "rankmill.twins"


def _degraded(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    shown = []
    for character in error.object[error.start : error.end]:
        twin = _TWIN_OF.get(character)
        shown.append(twin or character.encode("ascii", "backslashreplace").decode())
    return "".join(shown), error.end


def prepare() -> None:
    """Make the standard streams such that printing never fails for what they are.

    A closed one becomes /dev/null at its own number, so that no file that is opened later takes
    its place. The others degrade characters that their encoding lacks.
    """
    for number in (0, 1, 2):
        _fill(number)
    codecs.register_error(_HANDLER, _degraded)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:  # the interpreter found it closed
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _fill(number: int) -> None:
    """Open /dev/null at the number of a closed stream; the lowest free one is taken."""
    try:
        os.fstat(number)
    except OSError:
        os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)


def _acting() -> dict[int, str]:
    controls = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\t"), ord("\n")}
    directions = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
    return {code: f"\\u{code:04x}" for code in controls | directions}


_ACTING = _acting()
_BREAKS = str.maketrans({"\n": "⏎", "\t": "⇥"})


def harmless(text: str) -> str:
    """Return a text with `\\u001b` for every character on which a terminal acts: escapes and other
    controls, and those that turn the direction of what follows. Line feeds and tabs stay.

    The spelling is JSON's, so JSON means the same as before.
    """
    return text.translate(_ACTING)


def on_one_line(text: str) -> str:
    """Return a text from outside as part of a line: its line feeds are shown, and end none."""
    return harmless(text.translate(_BREAKS))


def example(text: str) -> str:
    """Return one of the first of what was counted as part of a line: an id in it may be as long as
    a book."""
    return on_one_line(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


_LONGEST = 300  # characters


def tell(text: object = "", *, err: bool = False) -> None:
    """Print lines for people on standard output, or on standard error.

    All that commands print passes here, through `say`, `write_data` or `print_table`: texts and ids
    are other people's, and what they hold is shown, never done.
    """
    # Not by typer.echo, which writes UTF-8 where the encoding is ASCII, past the twins.
    with _writing_to("standard error" if err else "standard output"):
        print(harmless(str(text)), file=sys.stderr if err else sys.stdout, flush=True)


@contextlib.contextmanager
def _writing_to(name: str) -> Iterator[None]:
    """Say in an error of a block, which does not know it, what could not be written."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or name
        raise


def say(text: str, stream: TextIO | None = None) -> None:
    """Print a line for people on standard error (or `stream`); one that cannot be told is not.

    Neither a full disk nor a reader who left may end the work that the line is about.
    """
    stream = sys.stderr if stream is None else stream
    with contextlib.suppress(OSError, ValueError):  # ValueError: it was closed
        print(harmless(text), file=stream, flush=True)


def json_text(value: Any, **options: Any) -> str:
    """Return JSON that the encoding of standard output can hold: escapes where it is not UTF, and
    for characters on which a terminal acts."""
    return harmless(json.dumps(value, ensure_ascii=not _holds_all(), **options))


def write_data(text: str) -> None:
    """Write rows for other tools to standard output; they are UTF-8, as in a file.

    On a terminal, where a person reads them, they are harmless; a pipe or a file gets their bytes.
    """
    if sys.stdout.isatty():
        text = harmless(text)
    with _writing_to("standard output"):
        if _holds_all() or not hasattr(sys.stdout, "buffer"):
            sys.stdout.write(text)
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(text.encode("utf-8"))


def width() -> int:
    """Return how many characters a line of the terminal holds; of a file or a pipe 80, or what
    COLUMNS says."""
    from rich.console import Console

    return Console().width


def print_table(table: Any) -> None:
    """Print a rich table of texts; nothing of them is taken for markup or for the terminal."""
    from rich.console import Console

    with _writing_to("standard output"):
        Console().print(_plain(table))
        sys.stdout.flush()


def _plain(table: Any) -> Any:
    """Make all cells and headings of a rich table harmless texts."""
    from rich.text import Text

    for column in table.columns:
        column.header = Text(harmless(str(column.header)))
        column._cells = [Text(harmless(str(cell))) for cell in column.cells]
    return table


def print_whole(table: Any) -> None:
    """Print a rich table of texts with nothing cut off: a file gets 200 columns, and a terminal
    that is too narrow for the columns that do not wrap breaks the lines itself."""
    from rich.cells import cell_len
    from rich.console import Console

    console, table = Console(), _plain(table)
    least = 0
    for column in table.columns:
        head = str(column.header)
        texts = [head, *map(str, column.cells)] if column.no_wrap else head.split()
        least += 3 + max((cell_len(line) for text in texts for line in text.split("\n")), default=0)
    console.width = max(console.width, least, 0 if console.is_terminal else 200)
    with _writing_to("standard output"):
        console.print(table)
        sys.stdout.flush()


def _holds_all() -> bool:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return encoding.lower().replace("_", "-").startswith("utf")


def reader_left() -> bool:
    """Say whether nobody reads standard output any more, as behind `| head`."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return True  # no file, or closed after it failed
    poll = select.poll()
    poll.register(number, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def ended(status: int) -> int:
    """Flush standard output and return the status, 1 in place of 0 where it could not be written.

    A stream that cannot be flushed is closed here: at exit it would be tried again.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _close(sys.stdout)
    except OSError as error:
        _close(sys.stdout)
        say(f"rankmill: the output could not be written: {error.strerror}")
        status = status or 1
    try:
        sys.stderr.flush()
    except OSError:
        _close(sys.stderr)
    return status


def _close(stream: TextIO) -> None:
    with contextlib.suppress(OSError):
        stream.close()
