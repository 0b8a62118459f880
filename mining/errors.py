"""Every error a user can meet: what was received, where, what to do next, and the exit status."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

_LONGEST = 2000  # characters of each part of a message


class Explained(BaseException):
    """What ends a run and says so: an error raised to users, or a signal. `exit_status` is what the
    command line returns.

    Parameters: `what` was received or happened, `where` (file, line, query, shard), `do` = the next
    step.
    """

    exit_status = 1

    def __init__(self, what: str, *, where: str | Path | None = None, do: str | None = None):
        super().__init__(what, where, do)
        self.what = what
        self.where = None if where is None else str(where)
        self.do = do

    def __str__(self) -> str:
        lines = [_short(self.what)]
        if self.where:
            lines.append(f"  where: {_short(self.where)}")
        if self.do:
            lines.append(f"  do: {_short(self.do)}")
        return "\n".join(lines)

    def __reduce__(
        self,
    ) -> tuple[Any, ...]:  # survives the way back from an actor with its keyword arguments
        return _rebuild, (type(self), self.what, self.where, self.do)


def _short(text: str) -> str:
    """Return a text with its middle left out where it is longer than anybody reads: an id or a
    value from outside can be a whole file."""
    if len(text) <= _LONGEST:
        return text
    left_out = len(text) - _LONGEST
    return f"{text[: _LONGEST // 2]}… {left_out:,} characters …{text[-_LONGEST // 2 :]}"


class RankmillError(Explained, Exception):
    """Base of all errors raised to users."""


def _rebuild(kind: type[Explained], what: str, where: str | None, do: str | None):
    return kind(what, where=where, do=do)


def of_the_system(error: OSError) -> RankmillError:
    """Return the error that says which file the system refused, and why."""
    kind = RankmillError if error.errno in _OF_THE_DISK else BadInput
    return kind(
        error.strerror or str(error),
        where=error.filename2 or error.filename,
        do="check the path, its permissions, and free space",
    )


_STARVED = re.compile(
    "cannot allocate memory|failed to map segment|can't start new thread|bad_alloc"
    "|failed to launch worker thread|resource temporarily unavailable",
    re.IGNORECASE,
)


def of_memory(error: BaseException | None) -> RankmillError | None:
    """Return the error that says that the machine gave no more memory, or threads, which take
    some; None where neither an error nor what it came from tells of that. Libraries have words of
    their own for it."""
    while error is not None:
        if isinstance(error, MemoryError) or _STARVED.search(str(error)):
            said = f"out of memory: {error}" if str(error) else "out of memory"
            return RankmillError(
                said,
                do="see `rankmill doctor` and `ulimit -a`; give it less at a time, or a machine "
                "with more",
            )
        error = error.__cause__ or error.__context__
    return None


_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.ENOMEM}


_WORDS: ContextVar[Callable[[str], str]] = ContextVar("_WORDS", default=str)


@contextlib.contextmanager
def wording(words: Callable[[str], str]) -> Iterator[None]:
    """Let warnings of a block be told in the words of who asked, Python's for options, say."""
    token = _WORDS.set(words)
    try:
        yield
    finally:
        _WORDS.reset(token)


def worded(text: str) -> str:
    """Return a text about what to do in the words of who asked."""
    return _WORDS.get()(text)


def warn(text: str) -> None:
    """Warn of something that was asked for, at the line that asked: outside of rankmill."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_inside(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    warnings.warn(worded(text), RuntimeWarning, stacklevel=level)


def _is_inside(module: str) -> bool:
    return module.partition(".")[0] in ("rankmill", "contextlib")


class UsageError(RankmillError):
    """The request itself is not well formed: an unknown name, a parameter out of range."""

    exit_status = 2


class Incomplete(RankmillError):
    """The work is done except for queries that the recipe does not allow to be missing."""

    exit_status = 3


class NothingMade(Incomplete):
    """A stage dropped every one of its queries: what it would have made is empty."""


class BadInput(RankmillError):
    """A file or value that came from outside cannot be used; nothing was written."""

    exit_status = 4


class BadPair(BadInput):
    """Scores or documents of one query cannot be used.

    `query` and `doc` are ordinals: kernels know no more. What makes an artifact knows the
    collection and says their ids in place of them (`bad_pairs.named`). `what` has `{doc}` where the
    document belongs; `within`: the artifact that they are from.
    """

    def __init__(
        self,
        what: str,
        *,
        query: Any,  # a whole number, NumPy's too
        doc: Any = None,
        within: str | Path | None = None,
        do: str | None = None,
        ids: tuple[str | None, str | None] = (None, None),
    ):
        asked, shown = ids
        place = f"query ordinal {query}" if asked is None else f"query {asked!r}"
        super().__init__(
            what.replace("{doc}", f"document {doc}" if shown is None else f"document {shown!r}"),
            where=place if within is None else f"{within}, {place}",
            do=do,
        )
        self.query, self.doc = int(query), None if doc is None else int(doc)
        self._said: tuple[Any, ...] = (what, within, do)

    def named(self, query_id: str | None, doc_id: str | None) -> BadPair:
        """Return the error with ids in place of the ordinals that are known."""
        return _rebuilt_pair(self._said, self.query, self.doc, (query_id, doc_id))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt_pair, (self._said, self.query, self.doc, (None, None))


def _rebuilt_pair(
    said: tuple[Any, ...], query: int, doc: int | None, ids: tuple[str | None, str | None]
) -> BadPair:
    what, within, do = said
    return BadPair(what, query=query, doc=doc, within=within, do=do, ids=ids)


class OtherFormat(BadInput):
    """An artifact was written by a rankmill with another format version."""


class Locked(RankmillError):
    """Another process is writing this artifact."""

    exit_status = 5


class Corrupt(RankmillError):
    """A file of ours no longer holds what its record says."""

    exit_status = 6


class ReaderLeft(BrokenPipeError):
    """The reader of the pipe that an output goes to has left, as `head` does: no failure."""


class PluginError(RankmillError):
    """Code of other people, a plug-in, cannot be loaded or failed; it says whose code it is."""


class Interrupted(Explained):
    """Stopped by a signal; finished parts are kept and the same command resumes.

    It is raised wherever the program happens to be, also inside `except Exception`, ours or a
    library's, which would take it for a fault of a file. So it is no Exception, no more than
    KeyboardInterrupt is.
    """

    exit_status = 75


EXTRAS = {
    "faiss": ("cpu", "indexes of dense search need"),
    "matplotlib": ("report", "figures and report pages need"),
    "obstore": ("objects", "workspaces on object stores need"),
    "ray": ("ray", "--workers and --ray-address need"),
    "safetensors": ("cpu", "models and training need"),
    "tokenizers": ("cpu", "models and training need"),
    "torch": ("cpu", "models and training need"),
    "transformers": ("cpu", "models and training need"),
}
"""Packages that an installation may lack: the extra that brings each, and what needs it."""

MODELS = ("torch", "transformers", "safetensors", "tokenizers")
"""What everything that runs or trains a model needs."""


class MissingDependency(RankmillError):
    """A package of an extra is not installed."""

    def __init__(self, package: str, *, where: str | Path | None = None):
        extra, why = EXTRAS[package]
        super().__init__(
            f"the package {package!r} is not installed, which {why}",
            where=where,
            do=f"pip install 'rankmill[{extra}]'",
        )
        self.package, self.extra = package, extra

    def __reduce__(self) -> tuple[Any, ...]:
        return _missing, (self.package, self.where)


def _missing(package: str, where: str | None) -> MissingDependency:
    return MissingDependency(package, where=where)


def need(*packages: str, where: str | Path | None = None) -> None:
    """Raise MissingDependency for the first package of an extra that is not installed.

    For a stage to call before its work begins; an import that nothing asked for beforehand is told
    by `extras_told`.
    """
    for package in packages:
        if sys.modules.get(package) is None and importlib.util.find_spec(package) is None:
            raise MissingDependency(package, where=where)


@contextlib.contextmanager
def extras_told() -> Iterator[None]:
    """Tell an import in this block that fails for want of an extra as MissingDependency."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        # One that is there and lacks a module of its own is broken: pip install would not help.
        if package not in EXTRAS or error.name != package:
            raise
        raise MissingDependency(package) from error
