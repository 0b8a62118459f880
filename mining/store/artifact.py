"""A finished artifact: its manifest, its memory-mapped parts, and the four levels at which they are
checked.

0 trust (manifest, size) · 1 structure (footer, schema, rows) · 2 content (SHA-256) · 3 meaning
(order, ranges, finite scores, counts). Stages and trainers read the parts that they use
at level 2: a process hashes a part once, when it first touches it. `rankmill verify` goes to 3.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from ..errors import BadInput, Corrupt, OtherFormat, RankmillError
from . import files, ledger
from .tables import FORMAT_VERSION, faults_of_meaning

if TYPE_CHECKING:
    from .workspace import Workspace

Compared = tuple[str, int, int, int]  # path, inode, time of the last change, size
_checked: set[Compared] = set()  # parts whose hash this process has compared


@dataclass(frozen=True, slots=True)
class Part:
    """One file of an artifact, as its completion record tells it."""

    number: int
    file: str
    start: int
    rows: int
    bytes: int
    sha256: str
    table: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


class Artifact:
    """A read-only handle over `<workspace>/<kind>/<fingerprint>/` with its manifest."""

    def __init__(self, path: Path, workspace: Workspace):
        self.path, self.workspace = path, workspace
        self._manifest_bytes = _read_manifest(path)
        self.manifest: dict[str, Any] = _parse_manifest(self._manifest_bytes, path)
        self.kind: str = self.manifest["kind"]
        self.fingerprint: str = self.manifest["fingerprint"]
        self.parameters: dict[str, Any] = self.manifest["parameters"]
        self.inputs: dict[str, str] = {
            k: v["fingerprint"] for k, v in self.manifest["inputs"].items()
        }
        self.metadata: dict[str, str] = self.manifest["metadata"]
        self.counts: dict[str, int] = self.manifest["counts"]
        self.dropped: dict[str, list[int]] = self.manifest["dropped"]
        self.examples: dict[str, list[str]] = self.manifest.get("examples", {})

    def __repr__(self) -> str:
        return f"<{self.kind} {self.fingerprint[:12]} {self.rows:,} rows>"

    @property
    def root_hash(self) -> str:
        """SHA-256 of the manifest: two people compare a data set in one line."""
        return hashlib.sha256(self._manifest_bytes).hexdigest()

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts in order; `start` is the global number of a part's first row."""
        parts, start = [], 0
        for record in self.manifest["parts"]:
            parts.append(
                Part(
                    number=record["number"],
                    file=record["file"],
                    start=start,
                    rows=record["rows"],
                    bytes=record["bytes"],
                    sha256=record["sha256"],
                    table=record["table"],
                    counts=record["counts"],
                )
            )
            start += record["rows"]
        return tuple(parts)

    @property
    def rows(self) -> int:
        """Rows of all parts together."""
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        """Bytes of all parts together."""
        return sum(part.bytes for part in self.parts)

    def table(self, number: int = 0, level: int = 2) -> pa.Table:
        """Map part `number` at a validation level (0–3); raises Corrupt naming the file."""
        part = self.parts[number]
        self.check(part, min(level, 2))
        try:
            table = files.read_arrow(self.path / part.file)
        except (pa.ArrowInvalid, OSError) as error:
            raise self.corrupt(part, f"cannot be opened: {error}") from error
        if level >= 1 and table.num_rows != part.rows:
            raise self.corrupt(part, f"holds {table.num_rows} rows, recorded {part.rows}")
        if level >= 3:
            faults = faults_of_meaning(self.kind, table, self._limits())
            if faults:
                raise self.corrupt(part, "; ".join(faults))
        return table

    def tables(self, level: int = 2) -> Iterator[pa.Table]:
        """Map every part in order."""
        for part in self.parts:
            yield self.table(part.number, level)

    def to_arrow(self) -> pa.Table:
        """Return all rows as one Arrow table, `query` and `doc` resolved to ids and texts.

        Raises BadInput for a folder of files, such as a student.
        """
        return _shown().first_rows(self, None)

    def to_polars(self) -> Any:
        """Return all rows as a polars frame, ids and texts resolved."""
        import polars

        return polars.from_arrow(self.to_arrow())

    def to_pandas(self) -> Any:
        """Return all rows as a pandas frame, ids and texts resolved; pandas must be installed."""
        if importlib.util.find_spec("pandas") is None:
            raise RankmillError(
                "the package 'pandas' is not installed", do="pip install pandas, or use to_polars()"
            )
        return self.to_arrow().to_pandas()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield every row as a dictionary, ids and texts resolved."""
        return _shown().all_rows(self)

    def _repr_html_(self) -> str:
        return _shown().html(self)

    def check(self, part: Part, level: int, *, afresh: bool = False) -> None:
        """Compare a part's size (0) and content hash (2) with its record, once per process.

        `afresh` trusts nothing that this process has compared before.
        """
        path = self.path / part.file
        try:
            stat = path.stat()
        except FileNotFoundError as error:
            raise self.corrupt(part, "is missing") from error
        if stat.st_size != part.bytes:
            raise self.corrupt(part, f"has {stat.st_size:,} bytes, recorded {part.bytes:,}")
        key = (str(path), stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if level >= 2 and (afresh or key not in _checked):
            if files.sha256_of(path) != part.sha256:
                raise self.corrupt(part, "does not hold the bytes that were recorded (SHA-256)")
            _checked.add(key)

    def check_content(self) -> Artifact:
        """Compare the content hash of every part, once per process; returns the artifact itself."""
        for part in self.parts:
            self.check(part, 2)
        return self

    def verify(self) -> int:
        """Read everything at level 3, and compare each input's root hash with the one that this
        artifact was made from; returns the number of parts. Raises Corrupt."""
        for role in self.inputs:
            self._check_input(role)
        for part in self.parts:
            self.check(part, 2, afresh=True)
            if part.file.endswith(".arrow"):
                self.table(part.number, level=3)
        return len(self.parts)

    def _check_input(self, role: str) -> None:
        made_from = self.manifest["inputs"][role]["root"]
        try:
            root = self.input(role).root_hash
        except RankmillError as error:
            raise Corrupt(
                f"its input {role!r} cannot be opened: {error.what}",
                where=self.path,
                do="run the command that made that input again",
            ) from error
        if root != made_from:
            raise Corrupt(
                f"its input {role!r} has the root hash {root[:12]}, but it was made from "
                f"{made_from[:12]}",
                where=self.input(role).path / "manifest.json",
                do="that manifest is damaged, or the input was made again with another result: "
                "delete both and run their commands again",
            )

    def file(self, name: str, level: int = 2) -> Path:
        """Return the path of a named file of a folder artifact (a checkpoint), checked at
        `level`."""
        for part in self.parts:
            if part.file == name:
                self.check(part, level)
                return self.path / name
        raise BadInput(f"{self.kind} has no file {name!r}", where=self.path)

    def input(self, role: str) -> Artifact:
        """Open the input that this artifact was made from in the given role."""
        if role not in self.inputs:
            raise BadInput(
                f"{self.kind} {self.fingerprint[:12]} has no input {role!r}",
                do=f"its inputs are: {', '.join(self.inputs) or 'none'}",
            )
        return self.workspace.open(self.manifest["inputs"][role]["kind"], self.inputs[role])

    def cost(self) -> dict[str, Any]:
        """What making it cost, from ledger.json: seconds, memory, bytes, usage, attempts, host."""
        return ledger.read(self.path)

    def _limits(self) -> dict[str, int]:
        limits = {}
        for role, name in (("queries", "query"), ("corpus", "doc")):
            if role in self.inputs:
                limits[name] = self.input(role).rows
        return limits

    def corrupt(self, part: Part, what: str) -> Corrupt:
        """Return the error that says what is wrong with the file of a part."""
        return Corrupt(
            f"{self.kind} part {part.number}: the file {what}",
            where=self.path / part.file,
            do=f"delete {self.path} and run the command that made it again",
        )


class ShowsRows(Protocol):
    """What resolves ordinals to ids and texts: it knows collections, which stand on artifacts."""

    def first_rows(self, artifact: Artifact, count: int | None) -> pa.Table:
        """Return the first `count` rows, all for None."""
        ...

    def all_rows(self, artifact: Artifact) -> Iterator[dict[str, Any]]:
        """Yield every row as a dictionary."""
        ...

    def html(self, artifact: Artifact) -> str:
        """Return the first rows as a notebook shows them."""
        ...


_shows_rows: list[Callable[[], ShowsRows]] = []


def show_rows_by(load: Callable[[], ShowsRows]) -> None:
    """Say what shows the rows of artifacts; it is loaded when the first are shown."""
    _shows_rows[:] = [load]


def _shown() -> ShowsRows:
    if not _shows_rows:
        raise RankmillError(
            "nothing is loaded that shows the rows of artifacts",
            do="import rankmill.api first (import rankmill does so with the first verb)",
        )
    return _shows_rows[0]()


def compared_parts() -> frozenset[Compared]:
    """Return the files, as they are now, whose content this process has compared."""
    return frozenset(_checked)


def take_over(compared: frozenset[Compared]) -> None:
    """Believe what the process that started this one has compared: `compared_parts` of it."""
    _checked.update(compared)


_FINGERPRINT = re.compile(r"[0-9a-f]{40}")
_SAID = {"kind", "fingerprint", "parameters", "inputs", "metadata", "parts", "counts", "dropped"}


def _read_manifest(path: Path) -> bytes:
    manifest = path / "manifest.json"
    try:
        if files.is_torn(manifest):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(manifest))
        return manifest.read_bytes()
    except FileNotFoundError as error:
        raise BadInput(
            "there is no finished artifact here (no manifest.json)",
            where=path,
            do="run the command that makes it; it resumes what is already there",
        ) from error


def _parse_manifest(data: bytes, path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(data)
        version = int(manifest["format"])
        if version == FORMAT_VERSION and not manifest.keys() >= _SAID:
            raise KeyError(*(_SAID - manifest.keys()))
        if version == FORMAT_VERSION:
            for one in (manifest, *manifest["inputs"].values()):
                if not _FINGERPRINT.fullmatch(one["fingerprint"]):
                    raise ValueError(f"{one['fingerprint']!r} is no fingerprint")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(
            "manifest.json is damaged",
            where=path / "manifest.json",
            do=f"delete {path} and run the command that made it again",
        ) from error
    if version != FORMAT_VERSION:
        newer = version > FORMAT_VERSION
        raise OtherFormat(
            f"format version {version} is {'newer' if newer else 'older'} than this rankmill "
            f"reads ({FORMAT_VERSION})",
            where=path,
            do="install a newer rankmill"
            if newer
            else "make it again in a new workspace (--workspace DIR): nothing is lost, what is "
            "here stays as it is",
        )
    return manifest
