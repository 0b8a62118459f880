"""Finished artifacts: what of them stands here is made what is in the store."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ... import attempts, files, ledger
from ...aliases import NAMES
from ...ledger import ATTEMPTS, LEDGER
from ...manifest import MANIFEST
from ...sums import LOCK, RECORD
from .ends import Ends
from .sums_told import holds, sha256, sums_of

_HASH = re.compile(r"[0-9a-f]{64}")
_NO_KINDS = {NAMES, "tmp"}


_MANIFEST_NAME = re.compile(r"(\w[\w-]*)/\w+/" + re.escape(MANIFEST))


class FinishedThere:
    """The finished artifacts of a store, and their small files in its mirror."""

    def __init__(self, ends: Ends):
        self.ends = ends
        self._seen: set[Path] = set()  # artifacts that this process has compared with the store's

    def pull(self, folder: Path, *, afresh: bool = False) -> None:
        """Bring the small files of an artifact that is finished in the store, once per process.

        One that is finished here alone was removed there, or made anew: what is here goes. So do
        small files that are damaged here.
        """
        if folder in self._seen and not afresh:
            return
        self.ends.begin()
        there = self.ends.bucket.get(self.ends.name(folder, MANIFEST))
        local = folder / MANIFEST
        if there is None and not local.exists():
            return
        if afresh or there is None or not (files.holds(local, there) and self._is_sound(folder)):
            with self.ends.turn_at(folder):
                there = self._pull(folder, there, afresh=afresh)
        if there is not None:
            self._seen.add(folder)

    def _pull(self, folder: Path, there: bytes | None, *, afresh: bool) -> bytes | None:
        """Make what is here of an artifact what is in the store; returns its manifest."""
        if there is None:  # another process may have published it since
            there = self.ends.bucket.get(self.ends.name(folder, MANIFEST))
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
            self.bring_beside(folder, told, afresh=afresh)
            files.write_bytes(folder / LEDGER, told, mode=0o644)
        files.create_only(local, there)
        return there

    def _ledger_of(self, folder: Path, manifest: bytes) -> bytes | None:
        """Return the ledger of a finished artifact: where another run had stored its own under the
        plain name, and came to nothing, the one that names this manifest."""
        told, root = self.ends.bucket.get(self.ends.name(folder, LEDGER)), sha256(manifest)
        if told is None or sums_of(told).get(MANIFEST, root) != root:
            return self.ends.bucket.get(self.ends.name(folder, f"{LEDGER}.{root}")) or told
        return told

    def _is_sound(self, folder: Path) -> bool:
        """Whether the ledger here, and what it binds, is what was written."""
        try:
            sums = sums_of((folder / LEDGER).read_bytes())
        except OSError:
            return False
        beside = (holds(folder / name, sums[name]) for name in sums.keys() - {MANIFEST})
        return ledger.state(folder) == ledger.WHOLE and all(beside)

    def bring_beside(self, folder: Path, told: bytes, *, afresh: bool = False) -> None:
        """Bring what the ledger binds: attempts, timings. Where it is damaged, what is called so:
        it can be summed up again from the attempts."""
        for name, digest in (sums_of(told) or self._beside(folder)).items():
            if name == MANIFEST or (not afresh and holds(folder / name, digest)):
                continue
            data = self.ends.bucket.get(self.ends.name(folder, f"{name}.{digest}"))
            if data is None:  # whoever verifies is told that it is missing
                files.remove_file(folder / name)
            else:
                files.make_folder((folder / name).parent)
                files.write_bytes(folder / name, data, mode=0o644)

    def _beside(self, folder: Path) -> dict[str, str]:
        """Return the attempts of a finished artifact by their hash: of several the longest."""
        size: dict[str, int] = {}
        sums: dict[str, str] = {}
        for one in self.ends.bucket.below(self.ends.name(folder)):
            name, _, digest = one.name[len(self.ends.name(folder)) + 1 :].rpartition(".")
            if name == ATTEMPTS and _HASH.fullmatch(digest) and one.size > size.get(name, -1):
                size[name], sums[name] = one.size, digest
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

    def are_equal(self, folder: Path) -> None:
        """Note that this process has just made what is here what is in the store."""
        self._seen.add(folder)

    def manifests(self, kind: str | None = None) -> list[Path]:
        """Return where the manifest of every finished artifact stands here, or will when opened."""
        return [
            self.ends.root / one.name
            for one in self.ends.bucket.below(kind or "")
            if (named := _MANIFEST_NAME.fullmatch(one.name)) and named[1] not in _NO_KINDS
        ]

    def bring_records(self, folder: Path, wanted: Iterable[str]) -> None:
        """Bring the completion records of a finished artifact as they are in the store, for
        `verify`: those that are wanted, listed or not, and any other that is listed."""
        for path in folder.glob("part-*.json"):
            files.remove_file(path)
        listed = {one.name for one in self.ends.bucket.below(self.ends.name(folder))}
        self.bring_named(folder, listed | {self.ends.name(folder, name) for name in wanted})

    def bring_named(self, folder: Path, names: Iterable[str]) -> None:
        """Bring those of the named objects that are completion records and are not here."""
        wanted = [self.ends.root / name for name in sorted(names)]
        wanted = [p for p in wanted if p.parent == folder and RECORD.fullmatch(p.name)]
        lacking = [self.ends.name(folder, path.name) for path in wanted if not path.exists()]
        for name, data in self.ends.bucket.get_all(lacking):
            if data is not None:
                files.write_bytes(self.ends.root / name, data)
