"""Names in the store and their files here; other processes of a cache look before, or after."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from ... import files
from ...aliases import NAMES, may_name
from ...manifest import canonical_json
from .ends import Ends
from .sums_told import holds, sha256

_TAGS = "names.tags.json"
_LONGEST_NAME = 200  # bytes of what stands among the names: files here have the same


class NamesThere:
    """What the names of a store stand for, as files here."""

    def __init__(self, ends: Ends):
        self.ends = ends

    def bring(self) -> None:
        """Let the names here be those of the store."""
        self.ends.begin()
        if not self._names_are(self._listed_names()):
            with self.ends.turn(NAMES):
                self._bring()

    def give(self, name: str, write: Callable[[], bool]) -> None:
        """Give a name here and in the store: `write` writes its file here, and says whether it had
        to. Other processes of this cache look at names before, or after."""
        self.ends.begin()
        with self.ends.turn(NAMES):
            self._bring()
            known = _tags(self.ends.root / _TAGS)
            told = known.pop(f"{name}.json", None)
            if told is not None:  # until it is stored anew, the store's counts
                files.write_bytes(self.ends.root / _TAGS, canonical_json(known), mode=0o600)
            if write():
                data = (self.ends.root / NAMES / f"{name}.json").read_bytes()
                self.ends.bucket.put(f"{NAMES}/{name}.json", data)

    def ask(self, name: str) -> None:
        """Bring one name, for which a listing may be too old; there may be none."""
        file = f"{name}.json"
        if not may_name(name):
            return
        self.ends.begin()
        with self.ends.turn(NAMES):
            data = self.ends.bucket.get(f"{NAMES}/{file}")
            if data is not None:
                self._write(file, data)

    def _write(self, file: str, data: bytes) -> None:
        path = self.ends.root / NAMES / file
        if not files.holds(path, data):
            files.make_folder(path.parent)
            files.write_bytes(path, data, mode=0o644)

    def _bring(self) -> None:
        folder, listed = self.ends.root / NAMES, self._listed_names()
        known, told = _tags(self.ends.root / _TAGS), dict[str, list[str]]()
        lacking = []
        for name, tag in listed.items():
            if self._is_known(name, tag, known):
                told[name] = known[name]
            else:
                lacking.append(f"{NAMES}/{name}")
        # A listing may not show yet what was named just now: whatever else is here is asked for.
        lacking += [f"{NAMES}/{name}" for name in sorted(self._names_here() - listed.keys())]
        for key, data in self.ends.bucket.get_all(lacking):
            name = key.removeprefix(f"{NAMES}/")
            if data is not None:
                self._write(name, data)
                told[name] = [listed.get(name, ""), sha256(data)]
            elif name not in listed:
                files.remove_file(folder / name)
        if told != known:
            files.write_bytes(self.ends.root / _TAGS, canonical_json(told), mode=0o600)

    def _names_are(self, listed: Mapping[str, str]) -> bool:
        """Whether the names here are those of a listing."""
        known = _tags(self.ends.root / _TAGS)
        same = self._names_here() == known.keys() == listed.keys()
        return same and all(self._is_known(name, tag, known) for name, tag in listed.items())

    def _is_known(self, name: str, tag: str, known: Mapping[str, list[str]]) -> bool:
        """Whether the file of a name is here as it was brought, and the store's is still that."""
        there = known.get(name)
        if there is None or not tag or there[0] != tag:
            return False
        return holds(self.ends.root / NAMES / name, there[1])

    def _listed_names(self) -> dict[str, str]:
        """Return the tags of the names in the store; what can be none is passed over."""
        listed = {
            one.name.removeprefix(f"{NAMES}/"): one.tag for one in self.ends.bucket.below(NAMES)
        }
        return {name: tag for name, tag in listed.items() if _may_be(name)}

    def _names_here(self) -> set[str]:
        return {path.name for path in (self.ends.root / NAMES).glob("*.json")}


def _may_be(file: str) -> bool:
    return "/" not in file and file.endswith(".json") and len(file.encode()) <= _LONGEST_NAME


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
