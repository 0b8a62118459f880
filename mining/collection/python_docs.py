"""`python-docs`: a collection that every machine has, made from docstrings.

Query = first paragraph of a docstring on one line; document = the rest, titled with its qualified
name. Sources are the standard library and a fixed list of packages that `rankmill[demo]` brings,
so that other installed packages change nothing. Files are parsed, never imported. One whole package
is kept out and becomes `python-docs:held-out`, the set outside the domain.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import hashlib
import os
import re
import sys
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..draws import key_of
from ..errors import BadInput, UsageError
from ..names import nearest
from .base import Judged, Outline, Texts, judged_of, outlines, texts_of
from .policies import Oddities, Policies

PACKAGES = (
    "fsspec",
    "huggingface_hub",
    "matplotlib",
    "numba",
    "numpy",
    "polars",
    "rich",
    "scipy",
    "sympy",
)
"""Read beside the standard library: they come with `rankmill[demo]`."""

HELD_OUT = "networkx"
"""The package outside the domain."""

MAX_DOCUMENTS = 16_000
SPLITS = {"test": 800, "validation": 400, "train": 4_000}
HELD_OUT_SPLITS = {"test": 600}
QUERY_WORDS = range(3, 51)
LEAST_REST_WORDS = 8

_RULES = 1  # raise it when what is read out of a file changes: part of the fingerprint
_SKIPPED_FOLDERS = {
    "__pycache__",
    "_distutils",
    "_vendor",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "site-packages",
    "dist-packages",
    "test",
    "testing",
    "tests",
    "turtledemo",
}
_OF_THE_BUILD = ("config-", "_sysconfigdata")  # differ from one build of Python to the next
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_SIGNATURE = re.compile(r"[\w.]+\(.*\)(\s*->.*)?")
_DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Entry:
    """One usable docstring: qualified name, first paragraph, rest."""

    name: str
    query: str
    rest: str


@dataclass(frozen=True, slots=True)
class Docstrings:
    """The entries that became documents, which of them are queries of which split, and the rest."""

    entries: tuple[Entry, ...]
    splits: dict[str, tuple[Entry, ...]]
    left_out: dict[str, int]


class PythonDocsReader:
    """Reads the docstrings of the fixed list, or with `held-out` those of the package kept out."""

    def __init__(self, variant: str = ""):
        if variant not in ("", "held-out"):
            raise UsageError(
                f"there is no python-docs:{variant}", do=nearest(variant, ["held-out"])
            )
        self.held_out, self.on = variant == "held-out", Policies()

    @cached_property
    def docstrings(self) -> Docstrings:
        """What was read, once per process."""
        return _read(self.held_out)

    def facts(self) -> dict[str, Any]:
        """Return one hash over names and contents of all files read, and the version of Python."""
        digest = hashlib.sha256()
        for name, path in _files(self.held_out):
            digest.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
        content = {
            "files": digest.hexdigest(),
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "rules": _RULES,
        }
        splits = HELD_OUT_SPLITS if self.held_out else SPLITS
        return {"corpus": content, "queries": content, "qrels": dict.fromkeys(splits, content)}

    def documents(self) -> Iterator[Texts]:
        """Yield (qualified name, the same as title, rest) by package, file and line."""
        entries = enumerate(self.docstrings.entries, 1)
        rows = ((number, entry.name, entry.name, entry.rest) for number, entry in entries)
        return texts_of(rows, self.place("corpus"), "entry")

    def queries(self) -> Iterator[Texts]:
        """Yield the queries of all splits in the order of their documents."""
        asked = [entry for split in self.docstrings.splits.values() for entry in split]
        entries = enumerate(_in_order(self.docstrings.entries, asked), 1)
        rows = ((number, f"q:{entry.name}", None, entry.query) for number, entry in entries)
        return texts_of(rows, self.place("queries"), "entry")

    def judgements(self, split: str) -> Judged:
        """Return each query's own document with grade 1."""
        entries = enumerate(self.docstrings.splits[split], 1)
        rows = ((number, f"q:{entry.name}", entry.name, 1) for number, entry in entries)
        return judged_of(rows, self.place("qrels", split), "entry")

    def outline(self, role: str) -> Iterator[Outline]:
        """Yield the outlines of the documents or queries."""
        blocks = self.documents() if role == "corpus" else self.queries()
        return outlines(blocks, self.on.looks_for_empty(role))

    def odd(self, role: str, split: str = "") -> Oddities:
        """Return nothing: what is not usable is left out and counted."""
        return Oddities()

    def counts(self) -> dict[str, int]:
        """Return how many docstrings were left out, by reason."""
        return self.docstrings.left_out

    def place(self, role: str, split: str = "") -> str:
        """Say which docstrings are meant."""
        packages = (HELD_OUT,) if self.held_out else ("the standard library", *PACKAGES)
        return f"the docstrings of {', '.join(packages)}"


def split_first_paragraph(name: str, docstring: str) -> Entry | str:
    """Return the entry of a cleaned docstring, or the reason why it is not usable."""
    first, *rest = _PARAGRAPH.split(docstring, maxsplit=1)
    query = " ".join(first.split())
    text = rest[0].strip() if rest else ""
    if len(text.split()) < LEAST_REST_WORDS:
        return "short_rest"
    if len(query.split()) not in QUERY_WORDS or not (query[0].isalnum() or query[0] == "`"):
        return "unusable_first_paragraph"
    if _SIGNATURE.fullmatch(query):
        return "signature"
    if query.casefold() in " ".join(text.split()).casefold():
        return "query_repeated_in_rest"
    return Entry(name, query, text)


def docstrings_of(source: bytes, module: str) -> Iterator[tuple[str, str]]:
    """Yield (qualified name, cleaned docstring) of a module, its classes, methods and functions.

    In the order of the file. Raises SyntaxError or ValueError for what this Python cannot parse.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # escapes in other people's strings
        tree = ast.parse(source)
    stack: list[tuple[str, Any]] = [(module, tree)]
    while stack:
        name, node = stack.pop()
        text = ast.get_docstring(node)
        if text:
            yield name, text
        inner = [n for n in node.body if isinstance(n, _DEFINITIONS)]
        stack.extend((f"{name}.{n.name}", n) for n in reversed(inner))


@cache
def _read(held_out: bool) -> Docstrings:
    left_out: Counter[str] = Counter()
    with _collector_paused():
        entries = list(_distinct(_usable(held_out, left_out), left_out))
    kept = _in_order(entries, _drawn(entries, "document")[:MAX_DOCUMENTS])
    if len(kept) < len(entries):
        left_out["beyond_cap"] = len(entries) - len(kept)
    order = _drawn(kept, "split")
    splits, start = {}, 0
    for split, size in (HELD_OUT_SPLITS if held_out else SPLITS).items():
        splits[split] = _in_order(kept, order[start : start + size])
        start += size
    return Docstrings(kept, splits, dict(sorted(left_out.items())))


def _usable(held_out: bool, left_out: Counter[str]) -> Iterator[Entry]:
    for module, path in _files(held_out):
        try:
            docstrings = list(docstrings_of(path.read_bytes(), module))
        except (SyntaxError, ValueError):
            left_out["unparsable_file"] += 1
            continue
        for name, docstring in docstrings:
            entry = split_first_paragraph(name, docstring)
            if isinstance(entry, Entry):
                yield entry
            else:
                left_out[entry] += 1


def _distinct(entries: Iterator[Entry], left_out: Counter[str]) -> Iterator[Entry]:
    """Yield the first entry of each name, of each query and of each text."""
    seen: dict[str, set[str]] = {"name": set(), "query": set(), "rest": set()}
    for entry in entries:
        repeated = next((f for f in seen if getattr(entry, f) in seen[f]), None)
        if repeated is not None:
            left_out[f"same_{repeated}"] += 1
            continue
        for field, values in seen.items():
            values.add(getattr(entry, field))
        yield entry


def _drawn(entries: Iterable[Entry], stage: str) -> list[Entry]:
    """Order entries by the hash of their names: a draw in which one entry does not move others."""
    return sorted(entries, key=lambda e: key_of(0, f"python-docs.{stage}", e.name))


def _in_order(entries: Iterable[Entry], chosen: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the chosen entries in the order of `entries`."""
    names = {entry.name for entry in chosen}
    return tuple(entry for entry in entries if entry.name in names)


def _files(held_out: bool) -> Iterator[tuple[str, Path]]:
    """Yield (module name, file) of everything to read, sorted by package and module name."""
    if held_out:
        yield from _modules(_package_folder(HELD_OUT), f"{HELD_OUT}.")
        return
    yield from _modules(Path(sysconfig.get_path("stdlib")), "")
    for package in PACKAGES:
        yield from _modules(_package_folder(package), f"{package}.")


def _modules(folder: Path, prefix: str) -> list[tuple[str, Path]]:
    modules = []
    for place, folders, names in os.walk(folder):
        inside = [part for part in place[len(str(folder)) :].split(os.sep) if part]
        folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS]
        for name in names:
            first = inside[0] if inside else name
            if name.endswith(".py") and not first.startswith(_OF_THE_BUILD):
                module = prefix + ".".join([*inside, name]).removesuffix(".py")
                modules.append((module.removesuffix(".__init__"), Path(place, name)))
    return sorted(modules)


def _package_folder(package: str) -> Path:
    spec = find_spec(package)  # a top-level name: found without importing it
    if spec is None or not spec.submodule_search_locations:
        raise BadInput(
            f"python-docs reads the source files of {package}, which is not installed",
            where=sys.prefix,
            do="pip install 'rankmill[demo]', which brings all packages that it reads",
        )
    return Path(spec.submodule_search_locations[0])


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Syntax trees are large and without cycles: collecting would cost a fifth more time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
