"""The command line: one Typer app, one way to report errors, one way to end.

Exit status: 0 complete, 1 failed, 2 usage, 3 incomplete, 4 bad input, 5 locked, 6 corrupt, 75
interrupted and resumable. Heavy packages are imported inside commands, so that `--help` answers at
once.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException

from rankmill.cli import advice, books, costs, estimates, look, streams, studies, watch
from rankmill.cli.commands import as_written, names_beginning
from rankmill.cli.discovery import listing, parts
from rankmill.cli.discovery.usage import in_our_words
from rankmill.cli.recipes import copies
from rankmill.cli.session import cache_options, quiet, quiet_option
from rankmill.cli.stages import commands
from rankmill.cli.upkeep import removal
from rankmill.mining.errors import (
    Explained,
    Interrupted,
    RankmillError,
    ReaderLeft,
    UsageError,
    extras_told,
    of_memory,
    of_the_system,
)
from rankmill.mining.options import options_of
from rankmill.stages import REQUESTS
from rankmill.wording import in_terminal

WHOLE = (
    studies.demo,
    studies.run,
    studies.study,
    studies.check,
    estimates.estimate,
    advice.advise,
    studies.figures,
    copies.recipes,
)
LOOK = (
    look.show,
    listing.list_,
    parts.describe,
    look.verify,
    watch.watch,
    look.repair,
    removal.gc,
    removal.rm,
    costs.cost,
    look.hash_,
    look.summary,
    look.doctor,
    look.unsafe_convert_pickle,
)
Made = tuple[str, str, Callable[[], Callable[..., None]]]  # panel, help, what makes the command


def app_of(only: str | None = None) -> typer.Typer:
    """Return the command line.

    With `only`, the other commands are there by name and help alone: making the options of all of
    them takes as long as a short command does.
    """
    app = typer.Typer(
        name="rankmill",
        help="The engine for ranking-distillation data: mine, score, measure, select, stream.",
        no_args_is_help=True,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
    )
    app.callback()(_before_the_command)
    for name, (panel, help, make) in _commands().items():
        command = make() if only in (None, name) else _named(name, help)
        said = as_written(help)
        app.command(name, help=said, rich_help_panel=panel, cls=_OnceEach)(command)
    return app


def helps() -> dict[str, str]:
    """Return the help of every command, by name."""
    return {name: as_written(help) for name, (_, help, _) in _commands().items()}


def _tell_version(asked: bool) -> None:
    if asked:
        import rankmill

        streams.tell(f"rankmill {rankmill.__version__}")
        raise typer.Exit(0)


def _before_the_command(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    pass


def _names(ctx: Any, parameter: Any, incomplete: str) -> list[str]:
    """Complete the names of artifacts, but not one that is about to be given."""
    if parameter.param_type_name == "option":
        return []
    return names_beginning(None)(ctx, incomplete)


class _OnceEach(TyperCommand):
    """A command that refuses an option given twice, unless it may be repeated; one that has a
    workspace also takes where the parts of one on an object store are cached."""

    def __init__(self, *args: Any, params: list[Any] | None = None, **more: Any):
        params = list(params or [])
        if any(one.name == "workspace" for one in params):
            params += [quiet_option(), *cache_options()]
        for one in params:
            if one.name in ("name", "names") and one._custom_shell_complete is None:
                one._custom_shell_complete = _names
        super().__init__(*args, params=params, **more)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command line."""
        said: set[str] = set()
        given, _, order = self.make_parser(ctx).parse_args(list(args))
        for parameter in order:
            once = parameter.param_type_name == "option" and not parameter.multiple
            if once and parameter.name in said:
                flag = max(parameter.opts, key=len)
                raise UsageError(f"{flag} is given twice", do="keep one of the two")
            said.add(str(parameter.name))
            if given[str(parameter.name)] == "" and _is_path(parameter):
                named = once and max(parameter.opts, key=len) or str(parameter.name).upper()
                raise UsageError(
                    f"{named}: '' is no path: it is empty",
                    do="write the path; the current folder is .",
                )
        return super().parse_args(ctx, args)


def _is_path(parameter: Any) -> bool:
    """Say whether a parameter is a path; that of a workspace has a parser of its own."""
    return parameter.name == "workspace" or parameter.type.name in ("path", "file", "directory")


def _commands() -> dict[str, Made]:
    made = dict(_written("The whole way", WHOLE))
    return made | commands() | dict(_written("Look", LOOK))


def _written(panel: str, functions: Sequence[Callable[..., None]]) -> Iterator[tuple[str, Made]]:
    for function in functions:
        name = function.__name__.strip("_").replace("_", "-")
        yield name, (panel, function.__doc__ or "", lambda f=function: f)  # type: ignore[misc]


def _named(name: str, help: str) -> Callable[..., None]:
    """Return a command without options, for the list of commands."""

    def command() -> None:
        raise AssertionError(f"{name} was called and not made")

    command.__doc__ = help
    return command


def _warned(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Tell a warning about somebody's data in one line; others as Python does."""
    if quiet():
        return
    if category is RuntimeWarning:
        streams.say(f"rankmill: warning: {_worded(str(message))}")
    else:
        _WARN(streams.harmless(str(message)), category, *where, **more)


_WARN = warnings.showwarning


def main() -> NoReturn:
    """Run the command line and leave with the exit status of what happened."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    books.begin()
    atexit.register(gc.freeze)  # else the end walks through all that torch and others hold: seconds
    streams.prepare()
    warnings.showwarning = _warned
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        words = [word for word in _words() if not word.startswith("-")]
        with extras_told():
            app = app_of(words[0] if words else "")
            status = app(prog_name="rankmill", standalone_mode=False)
    except Explained as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        status = _report(error, error.exit_status, debug)
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
            with contextlib.suppress(OSError):  # standard error is full, or its reader left
                error.show()  # type: ignore[attr-defined]
            status = 2
        else:
            status = _report(in_our_words(error), 2, debug)
    except typer.Abort:
        status = 75
    except SystemExit as ended:  # what typer and rich make of a reader that left
        status = 0 if isinstance(ended.__context__, BrokenPipeError) else ended.code
    except OSError as error:
        gone = isinstance(error, BrokenPipeError) and streams.reader_left()
        gone |= isinstance(error, ReaderLeft)
        told = of_memory(error) or of_the_system(error)
        status = 0 if gone else _report(told, told.exit_status, debug)
    except Exception as error:
        hungry = of_memory(error)
        if debug and hungry is None:
            raise
        status = _report(hungry or error, 1, debug)
    signal.setitimer(signal.ITIMER_REAL, 0)
    sys.exit(streams.ended(status if isinstance(status, int) else 0))


def _words() -> list[str]:
    """Return the words of the command line: when a shell asks what could follow, those so far."""
    typed = os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS")
    if "_RANKMILL_COMPLETE" in os.environ and typed:
        return typed.split()[1:]
    return sys.argv[1:]


def _report(error: BaseException, status: int, debug: bool) -> int:
    if debug:
        import traceback

        streams.say("".join(traceback.format_exception(error)).rstrip("\n"))
    elif isinstance(error, Explained):
        if isinstance(error, RankmillError):
            error.what = _worded(error.what)
            error.do = error.do and _worded(error.do)
        streams.say(f"rankmill: {error}")
    else:
        streams.say(
            f"rankmill: {type(error).__name__}: {error}\n"
            "  do: this is a bug; run the same command with --debug and report the traceback"
        )
    return status


def _worded(said: str) -> str:
    """Return a sentence with options of this command as they are typed: `--size 4` of `size=4`."""
    command = next((word for word in _words() if not word.startswith("-")), "")
    known = {
        option.name: option
        for verb, request in REQUESTS.items()
        if command == (request.command or verb).replace("_", "-")
        for option in options_of(request)
    }
    return in_terminal(said, known)


_SHOWN = 400  # characters of a command line that is shown again


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    name = signal.Signals(number).name
    signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
    signal.signal(signal.SIGALRM, lambda *_: _raise_unless_on_its_way(name))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S, _AGAIN_S)
    raise _stopped_by(name)


_AGAIN_S = 1.0


def _stopped_by(name: str) -> Interrupted:
    again = shlex.join(["rankmill", *sys.argv[1:]])
    again = f": {again}" if len(again) <= _SHOWN else ""
    return Interrupted(
        f"stopped by {name}", do=f"finished parts are kept: run the same command to resume{again}"
    )


def _raise_unless_on_its_way(name: str) -> None:
    """Raise for a signal once more where what it raised was lost: Python drops what is raised in a
    callback or while an object is destroyed, as happens during imports, and so does compiled code.
    What is being cleaned up because of it is left alone."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, Interrupted):
            return
        error = error.__context__
    raise _stopped_by(name)
