"""The door to all that is public: what arguments may be, and in which words their refusal is told.

Verbs, methods and functions stand behind it. It names options that do not fit, refuses values of
another kind than the annotation has, tells what the system refuses as an error of ours, and lets
every error speak Python and say what to do.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from rankmill.mining.actors import Execution
from rankmill.mining.errors import RankmillError, UsageError, of_the_system, wording
from rankmill.mining.inputs.bounds.guards import brief
from rankmill.mining.inputs.given_paths import check_path
from rankmill.mining.names import nearest
from rankmill.mining.store import Workspace
from rankmill.objects.speech import in_python

P = ParamSpec("P")
R = TypeVar("R")

Fits = Callable[[Any], bool]

_SORTS: Mapping[str, tuple[str, Fits, str]] = {
    "str": ("a text", lambda value: isinstance(value, str), '"…"'),
    "int": ("a whole number", lambda value: type(value) is int, "1"),
    "float": ("a number", lambda value: type(value) in (int, float), "0.5"),
    "bool": ("True or False", lambda value: isinstance(value, bool), "True"),
    "Mapping": ("a mapping", lambda value: isinstance(value, Mapping), "{…}"),
    "Workspace": ("a Workspace", lambda value: isinstance(value, Workspace), 'rm.Workspace("…")'),
    "Execution": (
        "an Execution",
        lambda value: isinstance(value, Execution),
        "rm.Execution(workers=2)",
    ),
    "None": ("None", lambda value: value is None, "None"),
}
"""By the type of an annotation what people call it, what is of it, and how one is written."""

_ALIASES = {
    "Place": "Workspace | str | Path | None",
    "Overrides": "Mapping | Sequence[str]",
}


def door(function: Callable[P, R]) -> Callable[P, R]:
    """Let a public function look at its arguments, and its errors speak Python."""
    signature = inspect.signature(function)
    of = next(iter(signature.parameters), "") in ("self", "own")

    @functools.wraps(function)
    def opened(*args: Any, **kwargs: Any) -> Any:
        called = opened.__name__  # as it is called in public
        if of and args:
            called = f"{type(args[0]).__name__.lower()}.{called}"
        with speaking(called):
            given = bound(called, signature, args, kwargs)
            check_arguments(signature, given)
            return function(*args, **kwargs)  # type: ignore[arg-type]

    return opened  # type: ignore[return-value]


@contextlib.contextmanager
def speaking(called: str, request: type | None = None) -> Iterator[None]:
    """Tell the errors of a block in the words of Python, each with a next step."""
    try:
        with wording(lambda text: in_python(text, request)):
            yield
    except RankmillError as error:
        _say_in_python(error, called, request)
        raise
    except KeyboardInterrupt as error:
        if hasattr(error, "__notes__"):
            raise  # said by a call within this one
        raise _interrupted(called) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        told = of_the_system(error)
        _say_in_python(told, called, request)
        raise told from error


def _interrupted(called: str) -> KeyboardInterrupt:
    """Return what stands for Ctrl-C in a call: without the traceback of whatever library was at
    work, and with how to go on."""
    told = KeyboardInterrupt()
    whole = called if "." in called else f"rm.{called}"
    told.add_note(
        f"{whole} was stopped; what is finished is kept, the same call goes on from there"
    )
    return told


def _say_in_python(error: RankmillError, called: str, request: type | None) -> None:
    error.what = in_python(error.what, request)
    error.where = None if error.where is None else in_python(error.where, request)
    error.do = f"see {help_of(called)}" if error.do is None else in_python(error.do, request)


def help_of(called: str) -> str:
    """Return what tells the options of a verb, or of a method: `run.pool`."""
    return f"help(rm.{called[0].upper() + called[1:] if '.' in called else called})"


# ---- which arguments there are -------------------------------------------------------------------


def bound(
    called: str, signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of a call by name; one that does not fit is said in words, with the
    nearest option."""
    parameters = signature.parameters.values()
    known = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name in kwargs:
        if name not in known and not takes_any:
            raise UsageError(f"{called}() has no option {name!r}", do=nearest(name, known))
    placed = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(args) > len(placed) and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        own = placed[:1] == ["self"]
        raise UsageError(
            f"{called}() takes {_counted(len(placed) - own)} without a name, {len(args) - own} "
            "were given",
            do=_as_list(signature, called)
            or _by_name([name for name in known if name not in placed], called),
        )
    for name in placed[: len(args)]:
        if name in kwargs:
            raise UsageError(f"{called}() was given {name} twice", do="keep one of the two")
    taken = {*placed[: len(args)], *kwargs}
    missing = [
        p.name
        for p in parameters
        if p.default is p.empty
        and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        and p.name not in taken
    ]
    if missing:
        raise UsageError(
            f"{called}() needs {' and '.join(missing)}",
            do=f"add {', '.join(f'{name}=…' for name in missing)}; {help_of(called)} has an "
            "example",
        )
    return dict(signature.bind(*args, **kwargs).arguments)


def _counted(number: int) -> str:
    return {0: "no value", 1: "one value"}.get(number, f"{number} values")


_EVERYWHERE = ("name", "executor", "workspace", "progress")


def _as_list(signature: inspect.Signature, called: str) -> str:
    """Say that several values are given as a list, where the first place takes one."""
    first = next(iter(signature.parameters.values()), None)
    if first is None or not str(first.annotation).startswith("Sequence["):
        return ""
    return f"give several as one list: {'' if '.' in called else 'rm.'}{called}([…, …])"


def _by_name(names: Sequence[str], called: str) -> str:
    names = [name for name in names if name not in _EVERYWHERE]
    if not names:
        return f"see {help_of(called)}"
    return f"give the others by name: {', '.join(f'{name}=…' for name in names[:4])}"


# ---- what they may be ----------------------------------------------------------------------------


def check_arguments(
    signature: inspect.Signature, given: Mapping[str, Any], only: Sequence[str] | None = None
) -> None:
    """Refuse arguments of another kind than their annotation has; those of kinds that are not told
    here are left to the function."""
    for name, value in given.items():
        if name not in signature.parameters or (only is not None and name not in only):
            continue
        annotation = signature.parameters[name].annotation
        if isinstance(annotation, str):
            check_argument(name, value, annotation)


def check_argument(name: str, value: Any, annotation: str) -> None:
    """Refuse a value of another kind than an annotation has."""
    sorts = _alternatives(_ALIASES.get(annotation, annotation))
    if any(s not in _SORTS and s != "Path" and not s.startswith("Sequence[") for s in sorts):
        return  # a handle, or what only the function knows
    if "Path" in sorts and (isinstance(value, str | Path) or "Workspace" not in sorts):
        if value is None and "None" in sorts:
            return
        check_path(name, value)
        return
    items = next((sort for sort in sorts if sort.startswith("Sequence[")), None)
    plain = [_SORTS[s] for s in sorts if s in _SORTS and not (s == "str" and "Path" in sorts)]
    if any(fits(value) for _, fits, _ in plain):
        return
    if items is not None and isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for number, one in enumerate(value):
            check_argument(f"{name}[{number}]", one, items[len("Sequence[") : -1])
        return
    nouns = [noun for noun, _, _ in plain if noun != "None"]
    nouns += [_list_of(items)] if items is not None else []
    nouns += ["the path of a folder"] if "Path" in sorts else []
    samples = [f"{name}={sample}" for noun, _, sample in plain if noun != "None"]
    samples += [f"{name}=[…]"] if items is not None else []
    samples += [f'{name}="FOLDER"'] if "Path" in sorts else []
    raise UsageError(
        f"{name}={brief(value)} is not {' or '.join(nouns)}",
        do=f"write {' or '.join(samples)}{', or leave it out' if 'None' in sorts else ''}",
    )


def _list_of(items: str) -> str:
    """Return `a list of texts` of `Sequence[str]`."""
    noun = _SORTS.get(items[len("Sequence[") : -1], ("",))[0].partition(" ")[2]
    return f"a list of {noun}s" if noun else "a list"


@functools.cache
def _alternatives(annotation: str) -> tuple[str, ...]:
    """Return the alternatives of an annotation: `str`, `None`, `Sequence[int]`, `Mapping`."""
    node = ast.parse(annotation, mode="eval").body
    parts = []
    while isinstance(node, ast.BinOp):
        parts.append(ast.unparse(node.right))
        node = node.left
    parts.append(ast.unparse(node))
    return tuple("Mapping" if part.startswith("Mapping[") else part for part in reversed(parts))
