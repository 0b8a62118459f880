"""Making artifacts together with other machines: of a part the first record counts."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from ....errors import BadInput, Corrupt, RankmillError
from ... import attempts, files
from ...ledger import ATTEMPTS, LEDGER
from ...manifest import MANIFEST
from ...sums import RECORD, is_sound_record
from ..refusals import Unconditional
from .ends import Ends
from .finished import FinishedThere
from .stored import IsStored, Stored
from .sums_told import sums_of

_NOTE_S = 10.0  # between two notes of what parts have cost


class Making:
    """What a run stores of an artifact that is not finished, and of one that it repairs."""

    def __init__(self, ends: Ends, finished: FinishedThere):
        self.ends, self.finished = ends, finished
        self._noted: dict[Path, float] = {}
        self._vouched: set[Path] = set()  # records that this process has read
        self._probed = False

    def check_writable(self) -> None:
        """See, before the first artifact is made, that the store has a put that never overwrites.

        Raises BadInput where a second one does.
        """
        if self._probed:
            return
        self.ends.begin()
        name = f"tmp/probe-{attempts.own()}"
        try:
            first = self.ends.bucket.create(name, b"first")
        except Unconditional as error:
            raise self._overwrites("has no put that fails where an object is there") from error
        second = self.ends.bucket.create(name, b"second")
        self.ends.bucket.remove([name])
        if first is not None or second != b"first":
            raise self._overwrites("lets a second put replace what a first one has created")
        self._probed = True

    def _overwrites(self, what: str) -> BadInput:
        return BadInput(
            f"this object store {what}, so two machines could damage each other's work",
            where=str(self.ends.address),
            do="use one that has conditional writes (If-None-Match: *): AWS S3, Google Cloud "
            "Storage, Azure, MinIO, R2; or a shared folder",
        )

    def adopt(self, folder: Path) -> None:
        """Bring the records of parts that are done, on whichever machine, and what they cost.

        A part that is done here alone is not: somebody has removed it there.
        """
        names = {one.name for one in self.ends.bucket.below(self.ends.name(folder))}
        unlisted = []
        for path in self._records(folder):
            if not self._vouches(path):
                files.remove_file(path)
            elif self.ends.name(folder, path.name) not in names:
                unlisted.append(self.ends.name(folder, path.name))
        for name, size in self.ends.bucket.sizes_of(unlisted):
            if size is None:
                files.remove_file(self.ends.root / name)
        self.finished.bring_named(folder, names)
        self._merge_attempts(folder, sorted(name for name in names if "/attempts/" in name))

    def sizes(self, folder: Path) -> Mapping[str, int | None]:
        """Return the bytes that the store has of the data of each part with a record here, by their
        name within the artifact."""
        told = (_stored(path.read_bytes()) for path in self._records(folder))
        keys = {self.ends.key(folder, part) for part in told if part is not None}
        start = len(self.ends.name(folder)) + 1
        return {name[start:]: size for name, size in self.ends.bucket.sizes_of(sorted(keys))}

    @staticmethod
    def _records(folder: Path) -> list[Path]:
        return [path for path in sorted(folder.glob("part-*.json")) if RECORD.fullmatch(path.name)]

    def _vouches(self, path: Path) -> bool:
        """Whether a record here is one of its artifact: looked at once per process."""
        if path in self._vouched:
            return True
        try:
            data = path.read_bytes()
            told = json.loads(data)
            if is_sound_record(told, data) and told["fingerprint"] == path.parent.name:
                self._vouched.add(path)
                return True
        except (OSError, ValueError, RecursionError):
            return False
        return False

    def commit(self, folder: Path, path: Path, part: IsStored, record: bytes) -> bytes:
        """Store the data of a finished attempt, then its record; returns the record that counts.

        That is another machine's where it was first. An attempt that lies on another machine was
        stored by that one: then its size is compared.
        """
        key = self.ends.key(folder, part)
        if path.exists():
            self.ends.bucket.send(path, key)
        else:
            stored = self.ends.bucket.size_of(key)
            if stored != part.bytes:
                raise Corrupt(
                    f"an attempt on another machine has stored {stored or 0:,} bytes, it reported "
                    f"{part.bytes:,}",
                    where=f"{self.ends.address}/{key}",
                    do="run the same command again",
                )
        record_name = Path(part.file).with_suffix(".json").name
        other = self.ends.bucket.create(self.ends.name(folder, record_name), record)
        if other is not None and not self._is_whole(folder, other):
            self.ends.bucket.put(
                self.ends.name(folder, record_name), record
            )  # it vouches for nothing
            other = None
        self.note(folder)
        if other is not None:
            warnings.warn(
                f"another machine has made {folder.parent.name} {part.file} with other bytes, and "
                "was first: its part is used (models give other scores on another processor)",
                RuntimeWarning,
                stacklevel=2,
            )
        return record if other is None else other

    def _is_whole(self, folder: Path, record: bytes) -> bool:
        """Whether the store has the data that a record tells of."""
        part = _stored(record)
        if part is None:
            return False
        return self.ends.bucket.size_of(self.ends.key(folder, part)) == part.bytes

    def note(self, folder: Path, *, last: bool = False, within: float | None = None) -> None:
        """Store what the parts of this artifact have cost so far, for who goes on with it; not
        after each of many small parts, but after the `last` of a run.

        `within`: a run that was stopped waits no longer, and is told nothing.
        """
        path, now = folder / ATTEMPTS, time.monotonic()
        if path.exists() and (last or now - self._noted.get(folder, -_NOTE_S) >= _NOTE_S):
            self._noted[folder] = now
            name = self.ends.name(folder, f"attempts/{attempts.here()}-{os.getpid()}.jsonl")
            if within is None:
                self.ends.bucket.put(name, path.read_bytes())
            else:
                self.ends.bucket.put_within(name, path.read_bytes(), within)

    def _merge_attempts(self, folder: Path, names: Sequence[str]) -> None:
        """Append what other runs have noted, as another process of this machine may do just now."""
        path = folder / ATTEMPTS
        known = path.read_bytes().splitlines() if path.exists() else []
        lines: dict[bytes, None] = {}
        for _, data in self.ends.bucket.get_all(sorted(names)):
            lines |= dict.fromkeys((data or b"").splitlines())
        new = [line for line in lines if line not in set(known)]
        if new:
            files.make_folder(folder)
            files.append_lines(path, new)

    def publish(self, folder: Path, manifest: bytes) -> None:
        """Store what stands beside the parts, the ledger, then the manifest, which makes it an
        artifact. An equal manifest that is there is success, and then its ledger counts.

        Raises RankmillError where another one is there; nothing is removed or replaced.
        """
        told = (folder / LEDGER).read_bytes()
        sums = sums_of(told)
        for name in sums.keys() - {MANIFEST}:
            self.ends.bucket.send(folder / name, self.ends.name(folder, f"{name}.{sums[name]}"))
        other = self.ends.bucket.create(self.ends.name(folder, LEDGER), told)
        if other is not None and sums_of(other).get(MANIFEST) != sums[MANIFEST]:
            # Of a run with other bytes: one that was killed, or one that goes on and may be first.
            other = self.ends.bucket.create(
                self.ends.name(folder, f"{LEDGER}.{sums[MANIFEST]}"), told
            )
        if self.ends.bucket.create(self.ends.name(folder, MANIFEST), manifest) is not None:
            raise RankmillError(
                f"another run published a different {MANIFEST}",
                where=f"{self.ends.address}/{self.ends.name(folder, MANIFEST)}",
                do="compare the two runs; this is a determinism alarm",
            )
        if other is not None:
            self.finished.bring_beside(folder, other)
            files.write_bytes(folder / LEDGER, other, mode=0o644)
        names = [one.name for one in self.ends.bucket.below(self.ends.name(folder, "attempts"))]
        self.ends.bucket.remove(names)  # all they say is in the ledger's attempts
        self.finished.are_equal(folder)

    def replace(self, folder: Path, part: IsStored, record: bytes | None) -> None:
        """Store a repaired part and its record, if it has one, again: the same bytes under the same
        keys."""
        self.ends.bucket.send(folder / part.file, self.ends.key(folder, part))
        if record is None:
            return
        record_name = Path(part.file).with_suffix(".json").name
        self.ends.bucket.put(self.ends.name(folder, record_name), record)

    def replace_ledger(self, folder: Path) -> None:
        """Store a repaired ledger, and what it binds."""
        told = (folder / LEDGER).read_bytes()
        sums = sums_of(told)
        for name in sums.keys() - {MANIFEST}:
            self.ends.bucket.send(folder / name, self.ends.name(folder, f"{name}.{sums[name]}"))
        self.ends.bucket.put(self.ends.name(folder, LEDGER), told)


def _stored(record: bytes) -> Stored | None:
    """Return the part that a record tells of; None where it tells of none, or was changed."""
    try:
        told = json.loads(record)
    except (ValueError, RecursionError):
        return None
    return Stored.of(told) if is_sound_record(told, record) else None
