"""What nobody should give a verb, and what a refusal has to be: for tests of all that is public."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy
import polars

import rankmill as rm
from rankmill.objects.speech import commands_in

LIBRARY = re.compile(
    r"object is not|has no attribute|codec can't|not iterable|positional arg|Errno|Arrow(Inv|Type)"
    r"|unhashable|could not convert|Could not convert|not supported between|is a bug|Traceback"
)
"""Texts of Python and of libraries, which say nothing to whoever gave a wrong value."""
NOTHING = (
    "None",
    "no ",
    "nothing",
    "empty",
    "none",
    "needs",
    "both",
    "[]",
    "{}",
    "''",
    '""',
    "= ",
    "=\\n",
)


ELSEWHERE = {("import_run", "system")}
"""What says only how a file is to be read: the error is about the file then."""


class Odd:
    """An object of a class that nobody knows."""

    def __repr__(self) -> str:
        return "<Odd>"


def values(other: rm.Object, folder: Path) -> dict[str, tuple[Any, str]]:
    """Return hostile values by name, each with what an error about it has to say; `other` is a
    handle of a kind that nothing takes, called `odd-one`, `folder` holds a file."""
    return {
        "None": (None, ""),
        "5": (5, "5"),
        "-1": (-1, "-1"),
        "nan": (float("nan"), "nan"),
        "empty text": ("", ""),
        "x": ("x", "x"),
        "unwritable": ("/proc/x", "/proc"),
        "a file's folder": (str(folder / "a-file" / "x"), "a-file"),
        "a file": (str(folder / "a-file"), "a-file"),
        "a path": (folder / "a-file", "a-file"),
        "NUL": ("a\0b", "x00"),
        "surrogate": ("a\ud800", "ud800"),
        "bytes": (b"x", "b'x'"),
        "object": (Odd(), "Odd"),
        "list": ([], ""),
        "mapping": ({}, ""),
        "list of 5": ([5], "5"),
        "mapping to 5": ({"a": 5}, "a"),
        "lambda": (lambda text: text, "lambda"),
        "class": (int, "int"),
        "frame": (polars.DataFrame({"odd": [1, 2]}), "DataFrame|odd"),
        "array": (numpy.arange(3), "array|int"),
        "another kind": (other, "omparison|p_randomisation"),
        "a name of another kind": ("odd-one", "odd-one|omparison"),
    }


def faults_of(
    called: str,
    function: Callable[..., Any],
    base: Mapping[str, Any],
    hostile: Mapping[str, tuple[Any, str]],
) -> Iterator[str]:
    """Yield what is wrong with how a function takes each value as each of its arguments, when the
    others are those of `base`."""
    parameters = inspect.signature(function).parameters.values()
    usual = _outcome(function, base)
    for one in parameters:
        if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL, one.POSITIONAL_ONLY):
            continue
        for name, (value, token) in hostile.items():
            if (called, one.name) in ELSEWHERE:
                continue
            if one.name == "name" and called != "open" and isinstance(value, str) and value:
                continue  # what it stood for until now would be gone
            got = _outcome(function, {**base, one.name: value})
            fault = _fault(got, usual, one, value, token)
            if fault and "does not say" in fault:  # or is that what it says anyway, by now?
                usual = _outcome(function, base)
                fault = _fault(got, usual, one, value, token)
            if fault:
                yield f"{called}({one.name}={name}): {fault}"


def _outcome(function: Callable[..., Any], given: Mapping[str, Any]) -> BaseException | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(**given)
    except Exception as error:
        return error
    return None


def _fault(
    got: BaseException | None,
    usual: BaseException | None,
    parameter: inspect.Parameter,
    value: Any,
    token: str,
) -> str:
    """Say what is wrong with an outcome; nothing where it is as it should be."""
    if got is None:
        return "" if may_be(value, str(parameter.annotation)) else "was accepted"
    if not isinstance(got, rm.RankmillError):
        return f"{type(got).__name__}: {got}"
    said = str(got)
    if usual is not None and said == str(usual):
        return ""  # of the other arguments: whatever this one is, they are looked at first
    if not got.do:
        return f"no next step: {said}"
    if theirs := [*commands_in(said)]:
        return f"speaks as the command line does, {theirs}: {said}"
    if LIBRARY.search(said):
        return f"is a library's text: {said}"
    words = token.split("|") if token else NOTHING
    if not any(word in said.encode("unicode_escape").decode() for word in words):
        return f"does not say {token or 'that nothing was given'}: {said}"
    return ""


def may_be(value: Any, annotation: str) -> bool:
    """Say whether an annotation lets a value be; what may be anything may be a text or a table."""
    if value is None:
        return "None" in annotation or "Any" in annotation
    if isinstance(value, polars.DataFrame | numpy.ndarray):
        return "Any" in annotation
    if isinstance(value, str | Path):
        return any(word in annotation for word in ("str", "Path", "Any"))
    if isinstance(value, int | float):
        return any(word in annotation for word in ("int", "float")) and value == value
    if isinstance(value, list):
        words = ("Sequence[int]",) if value else ("Sequence", "Names", "tuple", "Overrides", "Any")
        return any(word in annotation for word in words)
    if isinstance(value, dict):
        return any(word in annotation for word in ("Mapping", "Overrides", "Any"))
    return isinstance(value, rm.Object) and "Artifact" in annotation
