"""Other people's parts: members of a family whose code is not rankmill's own.

They come from installed packages (entry points such as `rankmill.sources`, loaded when they are
first named) or are registered by a decorator in a script or a notebook. Three things are done for
them: the version of their code is part of what identifies their values; an error of their code
names them; and a worker in another process registers them before it starts. Nothing here is run
for rankmill's own members.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any

from . import devices
from .errors import PluginError, RankmillError, UsageError

if TYPE_CHECKING:
    from importlib import metadata

_OURS = __name__.partition(".")[0]
_KEPT = {"__post_init__", "__call__"}  # of the methods with underscores, those that authors write


# ---- who wrote it, and which version it is ----------------------------------------------------


def is_foreign(thing: Any) -> bool:
    """Say whether a class or function was written outside rankmill."""
    return str(getattr(thing, "__module__", _OURS)).partition(".")[0] != _OURS


def place_of(member: Any) -> str:
    """Return where a class is defined: `ours.py: MineOurs`."""
    return f"{_file_of(member.__module__) or member.__module__}: {member.__qualname__}"


def version_of(member: type) -> str | None:
    """Return the version of a foreign member's code; None for rankmill's own."""
    return getattr(member, "code_version", None)


def check_version(member: type, said: str, where: str) -> None:
    """Raise UsageError for a text that names another version of the code than is there."""
    if said != version_of(member):
        raise UsageError(
            f"this was made by version {said} of its code; here is version {version_of(member)}",
            where=f"{where}; the code is in {place_of(member)}",
            do="bring back the code of that version, or make it again, without version=…",
        )


def prepare(member: type, title: str, group: str) -> None:
    """Give a foreign class its version, and let errors of its methods name it.

    `title` is what it is called: `source mine_of_ours`. Raises UsageError for a class that is no
    frozen dataclass, has a parameter called version, or has neither a version nor a source.
    """
    if not is_dataclass(member) or not member.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise UsageError(
            f"{title} is no frozen dataclass",
            where=place_of(member),
            do="write @dataclass(frozen=True) between the decorator and the class",
        )
    if "version" in (f.name for f in fields(member)):
        raise UsageError(
            f"{title} has a parameter called version",
            where=place_of(member),
            do='that word is kept for the version of the code: write version = "1" without a type',
        )
    if "code_version" not in vars(member):  # else it comes from another process
        member.code_version = _version(member, title)  # type: ignore[attr-defined]
    for name, method in list(vars(member).items()):
        if name.startswith("__") and name not in _KEPT:
            continue
        if isinstance(method, FunctionType):
            setattr(member, name, guarded(method, title, group))
        elif isinstance(method, property) and isinstance(method.fget, FunctionType):
            setattr(member, name, property(guarded(method.fget, title, group)))


def _version(member: type, title: str) -> str:
    declared = getattr(member, "version", None)
    if isinstance(declared, str | int) and not isinstance(declared, bool) and str(declared):
        return str(declared)
    if declared is not None:
        raise UsageError(
            f"{title}: version={declared!r} is no text", where=place_of(member), do='write "1"'
        )
    source = _source_of(member)
    if source is None:
        raise UsageError(
            f"{title} has no version, and its source cannot be read",
            where=place_of(member),
            do='declare one in the class, version = "1", and raise it whenever the code changes',
        )
    return f"src-{hashlib.sha256(source.encode()).hexdigest()[:12]}"


def _source_of(member: type) -> str | None:
    """Return the source of the class's module or, in a notebook, of its methods and fields."""
    whole = _read(sys.modules.get(member.__module__))
    if whole is not None:
        return whole
    own = {n: m.fget if isinstance(m, property) else m for n, m in vars(member).items()}
    methods = [m for m in own.values() if isinstance(m, FunctionType) and not _generated(m)]
    sources = [_read(method) for method in methods]
    if not methods or None in sources:
        return None
    parameters = [f"{f.name}: {f.type} = {f.default!r}" for f in fields(member)]
    return "\n".join([*parameters, *map(str, sources)])


def _read(thing: Any) -> str | None:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return None  # what was typed at a prompt stands in no file


def _generated(method: FunctionType) -> bool:
    return method.__code__.co_filename == "<string>"  # by dataclass


def _file_of(module: str) -> str | None:
    return getattr(sys.modules.get(module), "__file__", None)


# ---- errors of their code name them -----------------------------------------------------------


def guarded(function: Callable[..., Any], title: str, group: str | None) -> Callable[..., Any]:
    """Return the function, its exceptions turned into a PluginError that says whose code it is.

    Errors of rankmill pass, as do those of a device that a fresh process gets over. A ValueError
    of a constructor is a refused value.
    """
    if getattr(function, "guarded", False):
        return function

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except (RankmillError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, RuntimeError) and devices.damaged(error):
                raise
            if isinstance(error, ValueError) and function.__name__ == "__post_init__":
                raise UsageError(str(error), where=title) from error
            raise _plugin_error(error, title, group, function.__module__) from error

    call.guarded = True  # type: ignore[attr-defined]
    return call


def _plugin_error(error: Exception, title: str, group: str | None, module: str) -> PluginError:
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename == _file_of(module)] or list(frames)
    at = f"{own[-1].filename} line {own[-1].lineno}, in {own[-1].name}"
    maker = _maker(group, module)
    return PluginError(
        f"{title}: {type(error).__name__}: {error}",
        where=f"{maker}, {at}" if maker else at,
        do="this is code of a plug-in, not of rankmill: ask its author "
        "(--workers 0 --debug shows the traceback)"
        if maker
        else "this is code of your own, not of rankmill: mend it there "
        "(--workers 0 --debug shows the traceback)",
    )


def _maker(group: str | None, module: str) -> str:
    """Return the distribution whose entry points name a module; empty for a script."""
    root = module.partition(".")[0]
    for points in installed(group).values():
        for point in points:
            if point.module.partition(".")[0] == root:
                return distribution_of(point)
    return ""


# ---- installed packages -----------------------------------------------------------------------


def installed(group: str | None) -> Mapping[str, tuple[metadata.EntryPoint, ...]]:
    """Return the entry points of a group by name, loading none of them."""
    return _installed(group, tuple(sys.path)) if group else {}


@functools.cache
def _installed(group: str, path: tuple[str, ...]) -> Mapping[str, tuple[metadata.EntryPoint, ...]]:
    from importlib import metadata  # slow, and only lists of names need it

    points: dict[str, tuple[metadata.EntryPoint, ...]] = {}
    for point in metadata.entry_points(group=group):
        points[point.name] = (*points.get(point.name, ()), point)
    return points


def distribution_of(point: metadata.EntryPoint) -> str:
    """Return name and version of the package that an entry point is of."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "a package without a name"


def load(group: str | None, name: str, noun: str) -> None:
    """Import the module of an entry point; raises PluginError that names its package."""
    points = list(installed(group)[name])
    if len(points) > 1:
        raise PluginError(
            f"{len(points)} packages have a {noun} called {name!r}",
            where=", ".join(map(distribution_of, points)),
            do="uninstall all but one",
        )
    try:
        points[0].load()
    except Exception as error:
        ours = isinstance(error, RankmillError)
        cause = str(error) if ours else f"{type(error).__name__}: {error}"
        raise PluginError(
            f"the {noun} {name!r} cannot be loaded: {cause}",
            where=f"{distribution_of(points[0])}, entry point {points[0].value}",
            do="mend or uninstall that package; everything else works without it",
        ) from error


def not_registered(group: str | None, name: str, noun: str) -> PluginError:
    """Return the error for an entry point whose module does not register what it promises."""
    point = installed(group)[name][0]
    return PluginError(
        f"{point.value} registers no {noun} called {name!r}",
        where=distribution_of(point),
        do=f"decorate the class: rankmill.plugins.{noun.split()[-1]}({name!r})",
    )


# ---- workers in other processes ---------------------------------------------------------------


class Carried:
    """A worker's constructor that first registers code of other people where it is called.

    Classes of modules travel by name, with the places where modules are found here; those of a
    script, a notebook or a function travel themselves. In the process that they come from nothing
    is left to do.
    """

    def __init__(self, worker: Callable[..., Any], members: list[tuple[Any, str, type]]):
        self.worker, self.members = worker, members

    def __call__(self, **options: Any) -> Any:
        """Make the worker."""
        made = self.worker(**options)
        return _Guarded(made) if is_foreign(self.worker) else made

    def __reduce__(self) -> tuple[Any, ...]:
        members = [(family, name, sent(member)) for family, name, member in self.members]
        return _Arrived, (sent(self.worker), list(sys.path), members)


class _Arrived:
    """What `Carried` is in another process."""

    def __init__(self, worker: Any, path: list[str], sent: list[tuple[Any, str, Any]]):
        self.worker, self.path, self.sent = worker, path, sent

    def __call__(self, **options: Any) -> Any:
        sys.path.extend(place for place in self.path if place not in sys.path)
        for family, name, one in self.sent:
            member = fetched(one)  # a module registers what it has when it is imported
            if member is one:
                family.add(name, member)
        return Carried(fetched(self.worker), [])(**options)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a class or function is found again."""

    module: str
    name: str


def sent(thing: Any) -> Any:
    """Return what stands for a class or function on its way to another process: where it is found
    there, or itself."""
    by_value = not is_foreign(thing) or thing.__module__ == "__main__"
    by_value = by_value or "<" in getattr(thing, "__qualname__", "<")
    return thing if by_value else _Place(thing.__module__, thing.__qualname__)


def fetched(thing: Any) -> Any:
    """Return the class or function that arrived; raises PluginError where its module is missing."""
    if not isinstance(thing, _Place):
        return thing
    try:
        member: Any = import_module(thing.module)
        for name in thing.name.split("."):
            member = getattr(member, name)
    except Exception as error:
        raise PluginError(
            f"a worker cannot import {thing.name} from {thing.module}: {error}",
            do="install that module where workers run",
        ) from error
    return member


class _Guarded:
    """A worker of a plug-in: its errors name its file."""

    def __init__(self, worker: Callable[[Any], Any]):
        self.worker = worker

    def __call__(self, shard: Any) -> Any:
        kind = type(self.worker)
        return guarded(kind.__call__, f"worker {kind.__qualname__}", None)(self.worker, shard)
