"""A finished artifact: its manifest, its memory-mapped parts, and the four levels at which they are
checked.

0 trust (manifest, size) · 1 structure (footer, schema, rows) · 2 content (SHA-256) · 3 meaning
(order, ranges, finite scores, counts). Stages and trainers read the parts that they use
at level 2: a process hashes a part once, when it first touches it. `rankmill verify` goes to 3.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..errors import BadInput, Corrupt, RankmillError
from . import files, ledger
from .checks.faults import faults_of
from .checks.meaning import faults_of_meaning, faults_of_shape
from .manifest import MANIFEST, damaged, made_again, parse_manifest, read_manifest
from .showing import shown

if TYPE_CHECKING:
    from .workspace import Workspace

FaultsIn = Callable[[str, pa.Table, dict[str, int]], list[str]]
Compared = tuple[str, int, int, int]  # path, inode, time of the last change, size
_checked: set[Compared] = set()  # parts whose hash this process has compared
_shaped: set[Compared] = set()  # parts whose shape it has checked
_limits: dict[tuple[str, str], dict[str, int]] = {}  # by folder and root hash, where complete


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
        workspace.bring(path)
        self._manifest_bytes = read_manifest(path)
        self._refuse_unpublished()  # first: of another format version may be one flipped bit
        self.manifest: dict[str, Any] = parse_manifest(self._manifest_bytes, path)
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
        rows = "row" if self.rows == 1 else "rows"  # the store stands below what counts in words
        return f"<{self.kind} {self.fingerprint[:12]} {self.rows:,} {rows}>"

    def _refuse_unpublished(self) -> None:
        """Compare the manifest with the hash that the ledger beside it holds, if it is whole."""
        sums = ledger.read(self.path).get("sums", {})
        published = sums.get(MANIFEST, self.root_hash)
        if published != self.root_hash:
            raise damaged(
                self.path,
                f"has the root hash {self.root_hash[:12]}, {published[:12]} was published here",
            )

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
        """Map part `number` at a validation level (0–3); raises Corrupt naming the file.

        At level 2 its shape is checked too, once per process: kernels index by what it holds.
        """
        part = self.parts[number]
        with self._here(part):
            key = self.check(part, min(level, 2))
            try:
                table = files.read_arrow(self.path / part.file)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise self.corrupt(part, f"cannot be opened: {error}") from error
        if level >= 1 and table.num_rows != part.rows:
            raise self.corrupt(part, f"holds {table.num_rows} rows, recorded {part.rows}")
        if level >= 3 or (level == 2 and key not in _shaped):
            self._refuse_shape(part, table, faults_of_meaning if level >= 3 else faults_of_shape)
            _shaped.add(key)
        return table

    @contextlib.contextmanager
    def _here(self, part: Part, *, afresh: bool = False) -> Iterator[None]:
        """Let a part of an object store stand in its mirror for a block; brought once more where
        nothing that is here is trusted."""
        mirror = self.workspace.mirror
        if mirror is None:
            yield
            return
        with mirror.parts.holding(self.path, part, afresh=afresh):
            yield

    def _refuse_shape(self, part: Part, table: pa.Table, faults_in: FaultsIn) -> None:
        try:
            faults = self._other_columns(part, table)
            faults = faults or faults_in(self.kind, table, self._limits_of(part))
        except (pa.ArrowException, ValueError) as error:  # names of columns that are no UTF-8
            raise self.corrupt(part, f"cannot be read: {error}") from error
        if faults:
            raise self.corrupt(part, "; ".join(faults))

    def _other_columns(self, part: Part, table: pa.Table) -> list[str]:
        """Compare the columns with those that the manifest lists; a folder's tables have none."""
        listed = self.manifest["schema"].get(part.table)
        columns = [f"{field.name}: {field.type}" for field in table.schema]
        return [] if listed in (None, columns) else [f"has the columns {columns}, not {listed}"]

    def tables(self, level: int = 2) -> Iterator[pa.Table]:
        """Map every part in order."""
        for part in self.parts:
            yield self.table(part.number, level)

    def to_arrow(self) -> pa.Table:
        """Return all rows as one Arrow table, `query` and `doc` resolved to ids and texts.

        Raises BadInput for a folder of files, such as a student.
        """
        return shown().first_rows(self, None)

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
        return shown().all_rows(self)

    def records(self, texts: bool = True) -> Iterator[dict[str, Any]]:
        """Yield every row as a dictionary, the texts of lists of documents too unless told not to;
        some thousand documents are in memory at a time."""
        return shown().all_rows(self, texts=texts)

    def head(self, rows: int = 5) -> Any:
        """Return the first rows as a polars frame, ids and texts resolved."""
        import polars

        return polars.from_arrow(shown().first_rows(self, rows))

    def _repr_html_(self) -> str:
        return shown().html(self)

    def check(self, part: Part, level: int, *, afresh: bool = False) -> Compared:
        """Compare a part's size (0) and content hash (2) with its record, once per process; returns
        the file as it is now.

        `afresh` trusts nothing that this process has compared before. A part that is damaged in the
        cache of an object store is brought again.
        """
        try:
            with self._here(part, afresh=afresh):
                return self._compare(part, level, afresh=afresh)
        except Corrupt:
            if self.workspace.mirror is None or afresh:
                raise
        with self._here(part, afresh=True):  # only the cache is damaged: the store has it
            return self._compare(part, level, afresh=True)

    def _compare(self, part: Part, level: int, *, afresh: bool) -> Compared:
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
        return key

    def check_content(self) -> Artifact:
        """Compare the content hash of every part, once per process; returns the artifact itself.

        Files of a folder stay where they are as long as the process runs: libraries open them.
        """
        for part in self.parts:
            if not self.manifest["schema"]:
                self._keep(part)
            self.check(part, 2)
        return self

    def _keep(self, part: Part) -> None:
        if self.workspace.mirror is not None:
            self.workspace.mirror.parts.keep(self.path, part)

    def verify(self) -> int:
        """Read everything at level 3, and compare each input's root hash with the one that this
        artifact was made from; returns the number of parts. Raises Corrupt for the first fault."""
        for fault in faults_of(self):
            raise fault
        return len(self.parts)

    def faults(self) -> list[Corrupt]:
        """Return everything that `verify` finds wrong, in order; empty when nothing is."""
        return list(faults_of(self))

    def file(self, name: str, level: int = 2) -> Path:
        """Return the path of a named file of a folder artifact (a checkpoint), checked at
        `level`."""
        for part in self.parts:
            if part.file == name:
                self._keep(part)
                self.check(part, level)
                return self.path / name
        raise BadInput(f"{self.kind} has no file {name!r}", where=self.path)

    def input(self, role: str) -> Artifact:
        """Open the input that this artifact was made from in the given role.

        Raises Corrupt where it no longer has the root hash that it had then.
        """
        if role not in self.inputs:
            raise BadInput(
                f"{self.kind} {self.fingerprint[:12]} has no input {role!r}",
                do=f"its inputs are: {', '.join(self.inputs) or 'none'}",
            )
        said = self.manifest["inputs"][role]
        made_from = self.workspace.open(said["kind"], said["fingerprint"])
        if made_from.root_hash != said["root"]:
            raise Corrupt(
                f"its input {role!r} has the root hash {made_from.root_hash[:12]}, but it was made "
                f"from {said['root'][:12]}",
                where=made_from.path / MANIFEST,
                do="that manifest is damaged, or the input was made again with another result: "
                f"rankmill verify {self.fingerprint[:12]} says more",
            )
        return made_from

    def cost(self) -> dict[str, Any]:
        """What making it cost, from ledger.json: seconds, memory, bytes, usage, attempts, host."""
        return ledger.read(self.path)

    def _limits_of(self, part: Part) -> dict[str, int]:
        block = {"block": part.counts["documents"]} if "documents" in part.counts else {}
        return self.limits | block

    @property
    def limits(self) -> dict[str, int]:
        """How many queries ("query") and documents ("doc") ordinals may name: from the inputs, or
        theirs; what cannot be opened bounds nothing, and whoever needs it is told."""
        return self._limits()[0]

    def _limits(self) -> tuple[dict[str, int], bool]:
        """Return the limits, and whether all inputs could be opened.

        Complete ones follow from the root hash: a process walks up to the collection once for each
        artifact, not once for each handle and each way through its ancestors.
        """
        key = (str(self.path), self.root_hash)
        if key in _limits:
            return dict(_limits[key]), True
        limits: dict[str, int] = {}
        complete = True
        for role in self.inputs:
            name = {"queries": "query", "corpus": "doc"}.get(role)
            try:
                if name is not None:
                    limits[name] = self.input(role).rows
                else:
                    theirs, whole = self.input(role)._limits()
                    limits, complete = theirs | limits, complete and whole
            except (RankmillError, OSError):
                complete = False
        if complete:
            _limits[key] = dict(limits)
        return limits, complete

    def corrupt(self, part: Part, what: str) -> Corrupt:
        """Return the error that says what is wrong with the file of a part."""
        return Corrupt(
            f"{self.kind} part {part.number}: the file {what}",
            where=self.path / part.file,
            do=made_again(self.path),
        )


def compared_parts() -> frozenset[Compared]:
    """Return the files, as they are now, whose content this process has compared."""
    return frozenset(_checked)


def take_over(compared: frozenset[Compared]) -> None:
    """Believe what the process that started this one has compared: `compared_parts` of it."""
    _checked.update(compared)
