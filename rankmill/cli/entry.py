"""The command line: one Typer app, one way to report errors, one way to end.

Exit status: 0 complete, 1 failed, 2 usage, 3 incomplete, 4 bad input, 5 locked, 6 corrupt, 75
interrupted and resumable. Heavy packages are imported inside commands, so that `--help` answers at
once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

import typer
from typer.exceptions import TyperException

from rankmill.cli import look, studies
from rankmill.cli.stages import STAGES
from rankmill.mining.errors import Explained, Interrupted

app = typer.Typer(
    name="rankmill",
    help="The engine for ranking-distillation data: mine, score, measure, select, stream.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
PANELS: dict[str, Sequence[Any]] = {
    "The whole way": (studies.demo, studies.run, studies.check, studies.figures),
    **STAGES,
    "Look": (
        look.show,
        look.list_,
        look.verify,
        look.cost,
        look.hash_,
        look.summary,
        look.doctor,
        look.unsafe_convert_pickle,
    ),
}
for _panel, _commands in PANELS.items():
    for _command in _commands:
        _name = _command.__name__.strip("_").replace("_", "-")
        app.command(_name, rich_help_panel=_panel)(_command)


def main() -> NoReturn:
    """Run the command line and leave with the exit status of what happened."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        status = app(standalone_mode=False)
    except Explained as error:
        status = _report(error, error.exit_status, debug)
    except TyperException as error:
        if hasattr(error, "show"):
            error.show()
        status = 2
    except typer.Abort:
        status = 75
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        sys.stderr.close()
        status = 0
    except Exception as error:
        if debug:
            raise
        status = _report(error, 1, debug)
    sys.exit(status if isinstance(status, int) else 0)


def _report(error: BaseException, status: int, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    elif isinstance(error, Explained):
        print(f"rankmill: {error}", file=sys.stderr)
    else:
        print(
            f"rankmill: {type(error).__name__}: {error}\n"
            "  do: this is a bug; run the same command with --debug and report the traceback",
            file=sys.stderr,
        )
    return status


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    name = signal.Signals(number).name
    signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
    raise Interrupted(
        f"stopped by {name}", do="finished parts are kept: run the same command to resume"
    )
