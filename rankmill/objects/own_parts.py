"""Functions and values of one's own, given directly where a verb takes a source, a teacher, a
statistic or a loss by name.

They become parts as a decorator of `rankmill.plugins` would make them, so the version of their
code is in the fingerprint of what is made with them. What has no version that could stand for its
code is refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from rankmill import plugins
from rankmill.mining import foreign
from rankmill.mining.errors import UsageError
from rankmill.mining.inputs.bounds.guards import brief
from rankmill.mining.store import Artifact

OPTIONS = {
    ("mine", "source"): "source",
    ("score", "teacher"): "teacher",
    ("stats", "statistics"): "statistic",
    ("diagnose", "statistics"): "statistic",
    ("train", "loss"): "loss",
    ("select", "strategy"): "strategy",
    ("select", "filters"): "filter",
    ("cross", "filters"): "filter",
}
"""(verb, option) → the kind of part that the option names."""
OR_TEACHER = {("rerank", "student"), ("evaluate", "student")}
"""(verb, option) that takes a teacher in place of an artifact: as its text."""

_METHODS = {
    "source": ("searcher",),
    "teacher": ("score", "scorer"),
    "statistic": ("measure",),
    "loss": ("values",),
    "strategy": ("choose",),
    "filter": ("keeps",),
}
_FROM_FUNCTIONS = ("source", "teacher", "statistic", "loss")
_TAKES = {
    "source": (
        "collection",
        "def my_source(collection): return lambda text, depth: (docs, scores)",
    ),
    "teacher": (
        "pairs",
        "def my_teacher(pairs): return [float(len(text)) for query, text in pairs]",
    ),
    "statistic": (
        "rows",
        "def my_statistic(rows): return np.diff(rows.offsets), a number for every row",
    ),
    "loss": ("f, g", "def my_loss(f, g): return ((f - g) ** 2).mean(dim=1)"),
}
"""What a function of a kind is called with, and the smallest one."""
_WRITE = {
    "source": "my_source(collection), which returns search(text, depth)",
    "teacher": "my_teacher(pairs), which returns a score for each (query text, document text)",
    "statistic": "my_statistic(rows), which returns a number for every row",
    "loss": "my_loss(f, g), of student's and teacher's scores [groups, k]",
    "strategy": "the protocol Strategy",
    "filter": "the protocol Filter",
}


def parts_in(verb: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a verb, with functions and unregistered values as parts."""
    parts = dict(given)
    for name, value in given.items():
        if (verb, name) in OR_TEACHER and not isinstance(value, str | Path | Artifact):
            parts[name] = _text_of_teacher(value)
            continue
        kind = OPTIONS.get((verb, name))
        if kind is None or value is None or isinstance(value, str):
            continue
        several = isinstance(value, list | tuple)
        made = [part_of(kind, one) for one in (value if several else [value])]
        parts[name] = made if several else made[0]
    return parts


def _text_of_teacher(given: Any) -> Any:
    """Return the text of a function or value that is a teacher; all else as it is."""
    from rankmill.mining.teachers.base import TEACHERS

    if isinstance(given, FunctionType):
        given = _of_function("teacher", given)
    return TEACHERS.text(given) if hasattr(type(given), "canonical_name") else given


def part_of(kind: str, given: Any) -> Any:
    """Return a function, or a value of a class that is not registered, as a part of a kind.

    Texts and parts are returned as they are. Raises UsageError for what has no version: a lambda, a
    closure, code whose source cannot be read; and for what is no part at all.
    """
    if isinstance(given, str) or hasattr(type(given), "canonical_name"):
        return given
    if isinstance(given, FunctionType):
        return _of_function(kind, given)
    if isinstance(given, type):
        raise UsageError(
            f"{given.__name__} is a class, not a {kind}", do=f"give a value: {given.__name__}()"
        )
    plain = isinstance(given, Mapping | bytes | list | tuple | set)  # one has `values`, of no loss
    if not plain and any(hasattr(given, name) for name in _METHODS[kind]):
        return _of_value(kind, given)
    raise UsageError(
        f"{_said(given)} is no {kind}",
        do=f"give the text of one, a function {_WRITE[kind]}, or a value with "
        f"{' or '.join(_METHODS[kind])} (docs/plugins.md)",
    )


def _said(given: Any) -> str:
    said = brief(given)
    name = type(given).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}" if said.endswith("…") else said


def _of_value(kind: str, given: Any) -> Any:
    """Register the class of a value, and return the value."""
    member = type(given)
    params = getattr(member, "__dataclass_params__", None)
    if params is None or not params.frozen:
        raise UsageError(
            f"{member.__name__} is no frozen dataclass: what it was made with is in no fingerprint",
            do="write @dataclass(frozen=True) above the class, and its parameters as fields",
        )
    getattr(plugins, kind)(member.__name__)(member)
    return given


# ---- functions -----------------------------------------------------------------------------------


def _of_function(kind: str, function: FunctionType) -> Any:
    name = function.__name__
    if kind not in _FROM_FUNCTIONS:
        raise UsageError(
            f"the function {name} cannot be a {kind}", do=f"write a class: {_WRITE[kind]}"
        )
    if not name.isidentifier():
        raise UsageError(
            f"a {kind} without a name: {name}",
            do=f"write it with def: its name and its code go into the fingerprint; {_WRITE[kind]}",
        )
    _check_signature(kind, function)
    return _registered(kind, function, _version_of(kind, function))()


def _check_signature(kind: str, function: FunctionType) -> None:
    """Raise UsageError for a function that cannot be called as its kind is."""
    takes, sample = _TAKES[kind]
    signature, arguments = inspect.signature(function), takes.split(", ")
    try:
        signature.bind(*arguments)
    except TypeError:
        raise UsageError(
            f"{function.__name__}{signature} cannot be a {kind}: it is called with ({takes})",
            where=f"{function.__code__.co_filename} line {function.__code__.co_firstlineno}",
            do=f"write {sample} (docs/python.md)",
        ) from None


def _registered(kind: str, function: FunctionType, version: str) -> type:
    """Return the class that a function becomes, registered under the function's name."""
    bases: tuple[type, ...] = (plugins.Loss,) if kind == "loss" else ()
    member = type(function.__name__, bases, {**_body(kind, function), "version": version})
    # Other processes cannot import it by its name: in its module stands the function.
    member.__module__ = function.__module__
    member.__qualname__ = f"<{kind}>.{function.__qualname__}"
    made: type = dataclasses.dataclass(frozen=True)(member)
    getattr(plugins, kind)(function.__name__)(made)
    return made


def _body(kind: str, function: FunctionType) -> dict[str, Any]:
    """Return the methods and attributes of the class that a function becomes."""
    said = {
        name: getattr(function, name)
        for name in ("kind", "kinds", "unit", "needs", "supervised")
        if hasattr(function, name)
    }
    methods = _METHODS_OF[kind](_Called(function))
    for one in methods.values():
        one.__module__ = function.__module__  # where errors of the function are looked for
    return said | {"__doc__": function.__doc__} | methods


class _Called:
    """A function that other processes find by its module when it is first called: by then they know
    the places of modules here. One of a script, a notebook or a function travels itself."""

    def __init__(self, function: Any):
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        self.function = foreign.fetched(self.function)
        return self.function(*arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Called, (foreign.sent(self.function),)


def _source(function: Callable[..., Any]) -> dict[str, Any]:
    def searcher(self: Any, collection: Any) -> Any:
        return function(collection)

    return {"searcher": searcher}


def _teacher(function: Callable[..., Any]) -> dict[str, Any]:
    def score(self: Any, pairs: Any) -> Any:
        return function(pairs)

    return {"score": score}


def _statistic(function: Callable[..., Any]) -> dict[str, Any]:
    def measure(self: Any, rows: Any) -> Any:
        import numpy as np

        answer = function(rows)
        if isinstance(answer, tuple):
            return answer
        return answer, np.zeros(len(rows), np.uint8)

    return {"measure": measure}


def _loss(function: Callable[..., Any]) -> dict[str, Any]:
    def _values(self: Any, f: Any, g: Any) -> Any:
        return function(f, g)

    return {"_values": _values}


_METHODS_OF: Mapping[str, Callable[[Callable[..., Any]], dict[str, Any]]] = {
    "source": _source,
    "teacher": _teacher,
    "statistic": _statistic,
    "loss": _loss,
}


# ---- which version of a function this is ---------------------------------------------------------


def _version_of(kind: str, function: FunctionType) -> str:
    """Return what stands for a function's code: its attribute `version`, or a hash of the source of
    its module; in a notebook of itself and of the functions and constants that it uses."""
    declared = getattr(function, "version", None)
    if declared is not None:
        if isinstance(declared, str | int) and not isinstance(declared, bool) and str(declared):
            return str(declared)
        raise UsageError(
            f"{kind} {function.__name__}: version={declared!r} is no text",
            do=f'write {function.__name__}.version = "1"',
        )
    if function.__closure__:
        raise _unversioned(
            kind,
            function,
            f"is a closure over {', '.join(function.__code__.co_freevars)}, which its source does "
            "not tell",
        )
    text = _source_of(sys.modules.get(function.__module__))
    if text is None:
        text = "\n".join(_notebook_sources(kind, function, set()))
    return f"src-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _notebook_sources(kind: str, function: FunctionType, known: set[Any]) -> Iterator[str]:
    """Yield the source of a function that stands in no file, and of what it uses of its notebook:
    functions, classes and plain values.

    Raises UsageError for a value there that its source does not tell, such as a model.
    """
    known.add(function)
    text = _source_of(function)
    if text is None:
        raise _unversioned(kind, function, "stands in no file that could be read")
    yield text
    for name in sorted(_names_in(function.__code__) & function.__globals__.keys()):
        value = function.__globals__[name]
        if isinstance(value, _PLAIN):
            yield f"{name} = {value!r}"
        elif isinstance(value, ModuleType) or (
            isinstance(value, _NAMED) and value.__module__ != function.__module__
        ):
            continue  # imported: what a module imports is no part of its version either
        elif isinstance(value, FunctionType):
            if value not in known:
                yield from _notebook_sources(kind, value, known)
        elif isinstance(value, type) and (own := _source_of(value)) is not None:
            yield own
        else:
            raise _unversioned(kind, function, f"uses {name}, {_sort_of(value)}")


_PLAIN = str | int | float | bool | bytes | None
_NAMED = type | FunctionType | BuiltinFunctionType


def _sort_of(value: Any) -> str:
    return "a class" if isinstance(value, type) else f"a {type(value).__name__}"


def _names_in(code: CodeType) -> set[str]:
    """Return the names that code looks up outside, in functions within it too."""
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))


def _unversioned(kind: str, function: FunctionType, why: str) -> UsageError:
    """Return the error for code that no hash stands for."""
    name = function.__name__
    return UsageError(
        f"{kind} {name} {why}: two of them could not be told apart",
        where=f"{function.__code__.co_filename} line {function.__code__.co_firstlineno}",
        do=f'declare a version, {name}.version = "1", and raise it whenever results change; or '
        "write it at the top of a file (docs/plugins.md)",
    )


def _source_of(thing: Any) -> str | None:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return None  # of a prompt or a notebook
