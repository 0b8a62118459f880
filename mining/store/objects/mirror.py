"""A workspace on an object store, and its mirror on the local disk in which the engine works.

<address>/<kind>/<fingerprint>/part-00042.arrow.<sha256>   the data of a part; no key ever gets
                                                           other bytes, whoever puts them
                               part-00042.json             its record, created once: the first wins
                               attempts/<process>.jsonl    what unfinished parts cost so far
                               <file>.<sha256>             files of a folder, and those beside parts
                               ledger.json, manifest.json  created in this order, once
<address>/names/<alias>.json                               as on disk

What is published in the store never changes. The mirror holds the small files of what was opened,
and of the parts as many as the cache may hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...errors import BadInput, Corrupt, RankmillError
from .. import attempts, files, ledger
from ..aliases import NAMES
from ..ledger import ATTEMPTS, LEDGER
from ..manifest import MANIFEST, canonical_json
from ..sums import LOCK, RECORD
from .address import ENDPOINTS, SCHEMES, Address, endpoint_of
from .bucket import Bucket, Torn, Unconditional
from .cache import Cache

MARKER = "mirror.json"
_TAGS = "names.tags.json"
_NOTE_S = 10.0  # between two notes of what parts have cost
_TRIES = 5  # to open a file that another process's needs remove in the same moment
_NO_KINDS = {NAMES, "tmp"}
_HASH = re.compile(r"[0-9a-f]{64}")
_LONGEST_NAME = 200  # bytes of what stands among the names: files here have the same
_MANIFEST_NAME = re.compile(r"(\w[\w-]*)/\w+/" + re.escape(MANIFEST))


class IsStored(Protocol):
    """A part as its manifest tells it."""

    @property
    def file(self) -> str:
        """Its name within the artifact."""
        ...

    @property
    def bytes(self) -> int:
        """Its size."""
        ...

    @property
    def sha256(self) -> str:
        """The hash of its content."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A part as its record tells it: a file, its size and its SHA-256."""

    file: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Stored:
        """Take from a completion record."""
        return cls(record["file"], record["bytes"], record["sha256"])


class Mirror:
    """What a workspace asks of the object store behind it."""

    def __init__(self, root: Path, address: Address):
        self.root, self.address = root, address
        self.bucket, self.cache = Bucket(address), Cache(root)
        self._seen: set[Path] = set()  # artifacts that this process has compared with the store's
        self._kept: dict[Path, int] = {}  # files that stay as long as the process does
        self._noted: dict[Path, float] = {}
        self._vouched: set[Path] = set()  # records that this process has read
        self._probed = False

    def begin(self) -> None:
        """Make the folder on the local disk; a later process knows it by the marker in it."""
        if not files.holds(self.root / MARKER, marker_of(self.address)):
            files.make_private(self.root)
            files.write_bytes(self.root / MARKER, marker_of(self.address), mode=0o600)

    def turn(self, name: str) -> AbstractContextManager[None]:
        """Wait until no other process of this cache changes what `name` says, and keep them away
        for a block."""
        return files.turn(self.root / "tmp" / "turns" / f"{name}.lock")

    def turn_at(self, folder: Path) -> AbstractContextManager[None]:
        """Likewise what stands here of an artifact."""
        return self.turn(f"{folder.parent.name}-{folder.name}")

    # ---- finished artifacts ----------------------------------------------------------------------

    def pull(self, folder: Path, *, afresh: bool = False) -> None:
        """Bring the small files of an artifact that is finished in the store, once per process.

        One that is finished here alone was removed there, or made anew: what is here goes. So do
        small files that are damaged here.
        """
        if folder in self._seen and not afresh:
            return
        self.begin()
        there = self.bucket.get(self._name(folder, MANIFEST))
        local = folder / MANIFEST
        if there is None and not local.exists():
            return
        if afresh or there is None or not (files.holds(local, there) and self._is_sound(folder)):
            with self.turn_at(folder):
                there = self._pull(folder, there, afresh=afresh)
        if there is not None:
            self._seen.add(folder)

    def _pull(self, folder: Path, there: bytes | None, *, afresh: bool) -> bytes | None:
        """Make what is here of an artifact what is in the store; returns its manifest."""
        if there is None:  # another process may have published it since
            there = self.bucket.get(self._name(folder, MANIFEST))
        local = folder / MANIFEST
        if local.exists() and (there is None or not files.holds(local, there)):
            self._clear(folder, parts=True)
        if there is None:
            return None
        if not local.exists():
            self._clear(folder, parts=False)
        files.make_folder(folder)
        told = self._ledger_of(folder, there)
        if told is not None:
            self._bring_beside(folder, told, afresh=afresh)
            files.write_bytes(folder / LEDGER, told, mode=0o644)
        files.create_only(local, there)
        return there

    def _ledger_of(self, folder: Path, manifest: bytes) -> bytes | None:
        """Return the ledger of a finished artifact: where another run had stored its own under the
        plain name, and came to nothing, the one that names this manifest."""
        told, root = self.bucket.get(self._name(folder, LEDGER)), _sha256(manifest)
        if told is None or _sums_of(told).get(MANIFEST, root) != root:
            return self.bucket.get(self._name(folder, f"{LEDGER}.{root}")) or told
        return told

    def _is_sound(self, folder: Path) -> bool:
        """Whether the ledger here, and what it binds, is what was written."""
        try:
            sums = _sums_of((folder / LEDGER).read_bytes())
        except OSError:
            return False
        beside = (_holds(folder / name, sums[name]) for name in sums.keys() - {MANIFEST})
        return ledger.state(folder) == ledger.WHOLE and all(beside)

    def _bring_beside(self, folder: Path, told: bytes, *, afresh: bool = False) -> None:
        """Bring what the ledger binds: attempts, timings. Where it is damaged, what is called so:
        it can be summed up again from the attempts."""
        for name, sha256 in (_sums_of(told) or self._beside(folder)).items():
            if name == MANIFEST or (not afresh and _holds(folder / name, sha256)):
                continue
            data = self.bucket.get(self._name(folder, f"{name}.{sha256}"))
            if data is None:  # whoever verifies is told that it is missing
                files.remove_file(folder / name)
            else:
                files.make_folder((folder / name).parent)
                files.write_bytes(folder / name, data, mode=0o644)

    def _beside(self, folder: Path) -> dict[str, str]:
        """Return the attempts of a finished artifact by their hash: of several the longest."""
        size: dict[str, int] = {}
        sums: dict[str, str] = {}
        for one in self.bucket.below(self._name(folder)):
            name, _, sha256 = one.name[len(self._name(folder)) + 1 :].rpartition(".")
            if name == ATTEMPTS and _HASH.fullmatch(sha256) and one.size > size.get(name, -1):
                size[name], sums[name] = one.size, sha256
        return sums

    def _clear(self, folder: Path, *, parts: bool) -> None:
        """Remove what stands here of an artifact, its lock and what others are just writing apart;
        parts and their records only on demand."""
        self._seen.discard(folder)
        for path in list(folder.iterdir()) if folder.is_dir() else ():
            staged = RECORD.fullmatch(path.with_suffix(".json").name) is not None
            under_way = path.name.endswith(".tmp") and not attempts.is_left(path.name)
            if path.name != LOCK and not under_way and (parts or not staged):
                files.remove_tree(path)

    def manifests(self, kind: str | None = None) -> list[Path]:
        """Return where the manifest of every finished artifact stands here, or will when opened."""
        return [
            self.root / one.name
            for one in self.bucket.below(kind or "")
            if (named := _MANIFEST_NAME.fullmatch(one.name)) and named[1] not in _NO_KINDS
        ]

    def bring_records(self, folder: Path) -> None:
        """Bring the completion records of a finished artifact as they are in the store, for
        `verify`."""
        for path in folder.glob("part-*.json"):
            files.remove_file(path)
        self._bring_records(folder, {one.name for one in self.bucket.below(self._name(folder))})

    # ---- parts -----------------------------------------------------------------------------------

    @contextmanager
    def holding(self, folder: Path, part: IsStored, *, afresh: bool = False) -> Iterator[None]:
        """Bring a part into the cache unless it is there, and let nobody remove it in the block."""
        descriptor = self._held(folder, part, afresh=afresh)
        try:
            yield
        finally:
            os.close(descriptor)

    def keep(self, folder: Path, part: IsStored) -> None:
        """Bring a file and let nobody remove it as long as this process runs: libraries open it."""
        path = folder / part.file
        if path not in self._kept:
            self._kept[path] = self._held(folder, part)

    def _keep_on(self, path: Path) -> None:
        """Where a file that stays was brought again, let the new one stay."""
        if path in self._kept:
            os.close(self._kept[path])
            self._kept[path] = files.hold(path)

    def _held(self, folder: Path, part: IsStored, *, afresh: bool = False) -> int:
        path = folder / part.file
        if afresh:
            self._fetch(folder, part)
        for _ in range(_TRIES):
            try:
                return files.hold(path)
            except FileNotFoundError:
                self._fetch(folder, part)
        return files.hold(path)

    def _fetch(self, folder: Path, part: IsStored) -> None:
        self.cache.check_fits(part.bytes, f"{self._name(folder, part.file)}")
        self.cache.make_room(part.bytes)
        place = files.make_folder(self.root / "tmp" / "fetched")
        files.sweep_left(place)
        temp = place / f".{part.sha256}.{attempts.own()}.tmp"
        key = self._key(folder, part)
        try:
            self.bucket.fetch(key, temp, part.bytes, part.sha256)
            files.make_folder((folder / part.file).parent)
            files.publish(temp, folder / part.file)
            self._keep_on(folder / part.file)
        except (FileNotFoundError, Torn) as error:
            what = error.what if isinstance(error, Torn) else "it is missing"
            raise Corrupt(
                f"a part of {folder.parent.name} is not in the object store as it was stored: "
                f"{what}",
                where=f"{self.address}/{key}",
                do=f"rankmill repair {folder.name[:12]}, or remove {self.address}/"
                f"{self._name(folder)} and run the command that made it",
            ) from error
        finally:
            files.remove_file(temp)

    def send(self, folder: Path, parts: Sequence[IsStored]) -> None:
        """Store files of an artifact that stand here under their own names."""
        for part in parts:
            self.bucket.send(folder / part.file, self._key(folder, part))

    def send_from(self, path: Path, folder: Path, part: IsStored) -> None:
        """Store a file as the data of a part."""
        self.bucket.send(path, self._key(folder, part))

    def bring_attempt(self, folder: Path, part: IsStored, path: Path) -> None:
        """Write the data of a part to a path outside of the cache."""
        self.bucket.fetch(self._key(folder, part), path, part.bytes, part.sha256)

    # ---- making ----------------------------------------------------------------------------------

    def check_writable(self) -> None:
        """See, before the first artifact is made, that the store has a put that never overwrites.

        Raises BadInput where a second one does.
        """
        if self._probed:
            return
        self.begin()
        name = f"tmp/probe-{attempts.own()}"
        try:
            first = self.bucket.create(name, b"first")
        except Unconditional as error:
            raise self._overwrites("has no put that fails where an object is there") from error
        second = self.bucket.create(name, b"second")
        self.bucket.remove([name])
        if first is not None or second != b"first":
            raise self._overwrites("lets a second put replace what a first one has created")
        self._probed = True

    def _overwrites(self, what: str) -> BadInput:
        return BadInput(
            f"this object store {what}, so two machines could damage each other's work",
            where=str(self.address),
            do="use one that has conditional writes (If-None-Match: *): AWS S3, Google Cloud "
            "Storage, Azure, MinIO, R2; or a shared folder",
        )

    def adopt(self, folder: Path) -> Mapping[str, int]:
        """Bring the records of parts that are done, on whichever machine, and what they cost.

        Returns the size of every object of the artifact by its name within it. A part that is done
        here alone is not: somebody has removed it there.
        """
        names = {one.name: one.size for one in self.bucket.below(self._name(folder))}
        for path in sorted(folder.glob("part-*.json")):
            gone = self._name(folder, path.name) not in names
            if RECORD.fullmatch(path.name) and (gone or not self._vouches(path)):
                files.remove_file(path)
        self._bring_records(folder, names.keys())
        self._merge_attempts(folder, [n for n in names if "/attempts/" in n])
        start = len(self._name(folder)) + 1
        return {name[start:]: size for name, size in names.items()}

    def _vouches(self, path: Path) -> bool:
        """Whether a record here is one of its artifact: looked at once per process."""
        if path in self._vouched:
            return True
        try:
            told = json.loads(path.read_bytes())
            sound = isinstance(told, dict) and told.get("fingerprint") == path.parent.name
            if sound and canonical_json(told) == path.read_bytes():
                self._vouched.add(path)
                return True
        except (OSError, ValueError, RecursionError):
            return False
        return False

    def _bring_records(self, folder: Path, names: Any) -> None:
        wanted = [self.root / name for name in sorted(names)]
        wanted = [p for p in wanted if p.parent == folder and RECORD.fullmatch(p.name)]
        lacking = [self._name(folder, path.name) for path in wanted if not path.exists()]
        for name, data in self.bucket.get_all(lacking):
            if data is not None:
                files.write_bytes(self.root / name, data)

    def commit(self, folder: Path, path: Path, part: IsStored, record: bytes) -> bytes:
        """Store the data of a finished attempt, then its record; returns the record that counts.

        That is another machine's where it was first. An attempt that lies on another machine was
        stored by that one: then its size is compared.
        """
        key = self._key(folder, part)
        if path.exists():
            self.bucket.send(path, key)
        else:
            stored = self.bucket.size_of(key)
            if stored != part.bytes:
                raise Corrupt(
                    f"an attempt on another machine has stored {stored or 0:,} bytes, it reported "
                    f"{part.bytes:,}",
                    where=f"{self.address}/{key}",
                    do="run the same command again",
                )
        record_name = Path(part.file).with_suffix(".json").name
        other = self.bucket.create(self._name(folder, record_name), record)
        if other is not None and not self._is_whole(folder, other):
            self.bucket.put(self._name(folder, record_name), record)  # it vouches for nothing
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
        try:
            part = Stored.of(json.loads(record))
        except (ValueError, KeyError, TypeError):
            return False
        return self.bucket.size_of(self._key(folder, part)) == part.bytes

    def note(self, folder: Path, *, last: bool = False, within: float | None = None) -> None:
        """Store what the parts of this artifact have cost so far, for who goes on with it; not
        after each of many small parts, but after the `last` of a run.

        `within`: a run that was stopped waits no longer, and is told nothing.
        """
        path, now = folder / ATTEMPTS, time.monotonic()
        if path.exists() and (last or now - self._noted.get(folder, -_NOTE_S) >= _NOTE_S):
            self._noted[folder] = now
            name = self._name(folder, f"attempts/{attempts.here()}-{os.getpid()}.jsonl")
            if within is None:
                self.bucket.put(name, path.read_bytes())
            else:
                self.bucket.put_within(name, path.read_bytes(), within)

    def _merge_attempts(self, folder: Path, names: Sequence[str]) -> None:
        """Append what other runs have noted, as another process of this machine may do just now."""
        path = folder / ATTEMPTS
        known = path.read_bytes().splitlines() if path.exists() else []
        lines: dict[bytes, None] = {}
        for _, data in self.bucket.get_all(sorted(names)):
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
        sums = _sums_of(told)
        for name in sums.keys() - {MANIFEST}:
            self.bucket.send(folder / name, self._name(folder, f"{name}.{sums[name]}"))
        other = self.bucket.create(self._name(folder, LEDGER), told)
        if other is not None and _sums_of(other).get(MANIFEST) != sums[MANIFEST]:
            # Of a run with other bytes: one that was killed, or one that goes on and may be first.
            other = self.bucket.create(self._name(folder, f"{LEDGER}.{sums[MANIFEST]}"), told)
        if self.bucket.create(self._name(folder, MANIFEST), manifest) is not None:
            raise RankmillError(
                f"another run published a different {MANIFEST}",
                where=f"{self.address}/{self._name(folder, MANIFEST)}",
                do="compare the two runs; this is a determinism alarm",
            )
        if other is not None:
            self._bring_beside(folder, other)
            files.write_bytes(folder / LEDGER, other, mode=0o644)
        names = [one.name for one in self.bucket.below(self._name(folder, "attempts"))]
        self.bucket.remove(names)  # all they say is in the ledger's attempts
        self._seen.add(folder)

    def replace(self, folder: Path, part: IsStored, record: bytes | None) -> None:
        """Store a repaired part and its record, if it has one, again: the same bytes under the same
        keys."""
        self.bucket.send(folder / part.file, self._key(folder, part))
        if record is None:
            return
        record_name = Path(part.file).with_suffix(".json").name
        self.bucket.put(self._name(folder, record_name), record)

    def replace_ledger(self, folder: Path) -> None:
        """Store a repaired ledger, and what it binds."""
        told = (folder / LEDGER).read_bytes()
        sums = _sums_of(told)
        for name in sums.keys() - {MANIFEST}:
            self.bucket.send(folder / name, self._name(folder, f"{name}.{sums[name]}"))
        self.bucket.put(self._name(folder, LEDGER), told)

    # ---- names -----------------------------------------------------------------------------------

    def bring_names(self) -> None:
        """Let the names here be those of the store."""
        self.begin()
        if not self._names_are(self._listed_names()):
            with self.turn(NAMES):
                self._bring_names()

    def give_name(self, name: str, write: Callable[[], bool]) -> None:
        """Give a name here and in the store: `write` writes its file here, and says whether it had
        to. Other processes of this cache look at names before, or after."""
        self.begin()
        with self.turn(NAMES):
            self._bring_names()
            known = _tags(self.root / _TAGS)
            if (
                known.pop(f"{name}.json", None) is not None
            ):  # until it is stored, the store's counts
                files.write_bytes(self.root / _TAGS, canonical_json(known), mode=0o600)
            if write():
                data = (self.root / NAMES / f"{name}.json").read_bytes()
                self.bucket.put(f"{NAMES}/{name}.json", data)

    def _bring_names(self) -> None:
        folder, listed = self.root / NAMES, self._listed_names()
        for name in self._names_here() - listed.keys():
            files.remove_file(folder / name)
        known, told = _tags(self.root / _TAGS), dict[str, list[str]]()
        lacking = []
        for name, tag in listed.items():
            if self._is_known(name, tag, known):
                told[name] = known[name]
            else:
                lacking.append(f"{NAMES}/{name}")
        for key, data in self.bucket.get_all(lacking):
            if data is not None:
                files.make_folder(folder)
                files.write_bytes(self.root / key, data, mode=0o644)
                name = key.removeprefix(f"{NAMES}/")
                told[name] = [listed[name], _sha256(data)]
        if told != known:
            files.write_bytes(self.root / _TAGS, canonical_json(told), mode=0o600)

    def _names_are(self, listed: Mapping[str, str]) -> bool:
        """Whether the names here are those of a listing."""
        known = _tags(self.root / _TAGS)
        same = self._names_here() == known.keys() == listed.keys()
        return same and all(self._is_known(name, tag, known) for name, tag in listed.items())

    def _is_known(self, name: str, tag: str, known: Mapping[str, list[str]]) -> bool:
        """Whether the file of a name is here as it was brought, and the store's is still that."""
        there = known.get(name)
        if there is None or not tag or there[0] != tag:
            return False
        return _holds(self.root / NAMES / name, there[1])

    def _listed_names(self) -> dict[str, str]:
        """Return the tags of the names in the store; what can be none is passed over."""
        listed = {one.name.removeprefix(f"{NAMES}/"): one.tag for one in self.bucket.below(NAMES)}
        return {
            name: tag
            for name, tag in listed.items()
            if "/" not in name and name.endswith(".json") and len(name.encode()) <= _LONGEST_NAME
        }

    def _names_here(self) -> set[str]:
        return {path.name for path in (self.root / NAMES).glob("*.json")}

    # ---- keys ------------------------------------------------------------------------------------

    def _name(self, folder: Path, file: str = "") -> str:
        name = folder.relative_to(self.root).as_posix()
        return f"{name}/{file}" if file else name

    def _key(self, folder: Path, part: IsStored) -> str:
        return self._name(folder, f"{part.file}.{part.sha256}")


def marker_of(address: Address) -> bytes:
    """Return the content of the file by which a folder says that it is a mirror."""
    told = {name: getattr(address, name) for name in ("scheme", "bucket", "prefix", "endpoint")}
    return canonical_json(told)


def address_in(root: Path) -> Address | None:
    """Return the address of which a folder is the mirror; None for any other folder.

    Raises Corrupt for a marker that tells none, BadInput for an endpoint that the environment does
    not name: whoever gives a folder away must not choose where credentials are sent.
    """
    try:
        data = (root / MARKER).read_bytes()
    except OSError:
        return None
    try:
        told = json.loads(data)
        texts = [told[name] for name in ("scheme", "bucket", "prefix")]
        if not all(isinstance(one, str) for one in texts) or texts[0] not in SCHEMES:
            raise TypeError(f"no address: {texts}")
        scheme, bucket, prefix = texts
        place = Address(scheme, bucket, prefix, told["endpoint"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corrupt(
            f"{MARKER} does not say of which object store this is the mirror",
            where=root / MARKER,
            do="remove this folder: all in it can be brought again",
        ) from error
    if place.endpoint is not None and place.endpoint != endpoint_of(place.scheme):
        raise BadInput(
            f"this is the mirror of {place} at {place.endpoint!r}, an endpoint that the "
            "environment does not name",
            where=root / MARKER,
            do=f"if that is the store you mean, set {ENDPOINTS[place.scheme]}, or give the address "
            "in place of this folder",
        )
    return place


def _sums_of(told: bytes) -> dict[str, str]:
    try:
        sums = json.loads(told)["sums"]
        return {str(name): str(value) for name, value in sums.items() if _inside(str(name))}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}  # damaged: the ledger's own reader says so


def _inside(name: str) -> bool:
    pieces = name.split("/")
    own = name in (LOCK, LEDGER) or RECORD.fullmatch(name) is not None
    return (
        not own
        and re.fullmatch(r"[\w.+@=/-]+", name) is not None
        and not {"", ".", ".."} & set(pieces)  # "" is first in an absolute path
    )


def _holds(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _tags(path: Path) -> dict[str, list[str]]:
    """Return the tag and the hash of each name that was brought; what is no such pair is none."""
    try:
        told = json.loads(path.read_bytes())
        pairs = told.items() if isinstance(told, dict) else ()
    except (OSError, ValueError, RecursionError):
        return {}
    return {
        name: pair
        for name, pair in pairs
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)
    }
