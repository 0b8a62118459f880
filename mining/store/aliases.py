"""Readable names: `<workspace>/names/<alias>.json` says what a name stands for, with the root hash
that it had when the name was given.

A file among them that is damaged, or not ours, is passed over and told; it closes nothing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import BadInput, Corrupt, UsageError
from . import files
from .manifest import canonical_json

if TYPE_CHECKING:
    from .artifact import Artifact

NAMES = "names"
_ALIAS = re.compile(r"[\w][\w.+@-]{0,127}")
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")
_ROOT = re.compile(r"[0-9a-f]{64}")


class Stray(Corrupt):
    """A file in a workspace that is not what its place says; the rest of the workspace is used.

    `ours`: it stands where an artifact of ours does, so something was lost.
    """

    def __init__(self, path: Path, error: Exception, *, ours: bool = False):
        what = getattr(error, "what", None) or getattr(error, "strerror", None) or str(error)
        super().__init__(
            f"passed over: {what}",
            where=path,
            do="make it again under this name, or remove the file",
        )
        self.ours = ours


class Alias(NamedTuple):
    """What a name stands for; `root`: the root hash it had then, None in old files."""

    kind: str
    fingerprint: str
    root: str | None = None


def read_aliases(root: Path) -> tuple[dict[str, Alias], dict[str, Stray]]:
    """Return the aliases of a workspace, and by name the files that are none."""
    aliases, stray = {}, {}
    for path in sorted((root / NAMES).glob("*.json")):
        name = path.name.removesuffix(".json")
        try:
            aliases[name] = _alias_of(path, name)
        except (ValueError, OSError) as error:
            ours = may_name(name) and path.is_file()
            stray[name] = Stray(path, error, ours=ours)
    return aliases, stray


def alias_at(root: Path, name: str) -> Alias | None:
    """Return what a name stands for; None where nothing, or what is no alias, stands there."""
    try:
        return _alias_of(root / NAMES / f"{name}.json", name)
    except (ValueError, OSError):
        return None


def may_name(text: str) -> bool:
    """Say whether a text can be the name of an artifact."""
    return _ALIAS.fullmatch(text) is not None and text.isprintable()


def check_name(name: str) -> None:
    """Raise UsageError for what cannot be a name."""
    if not may_name(name):
        raise UsageError(
            f"{name!r} cannot be a name",
            do="use letters, digits, '.', '_', '-', '+', '@': at most 128, a letter, digit or '_' "
            "first",
        )


def write_alias(root: Path, name: str, artifact: Artifact) -> bool:
    """Let `name` stand for the artifact from now on; what has that name already is not touched.
    Says whether anything was written.

    Raises UsageError for what cannot be a name, BadInput where `names` is a link.
    """
    check_name(name)
    entry = {
        "kind": artifact.kind,
        "fingerprint": artifact.fingerprint,
        "name": name,
        "root": artifact.root_hash,
    }
    path, data = root / NAMES / f"{name}.json", canonical_json(entry)
    if path.parent.is_symlink():
        raise BadInput(
            f"a name would be written outside the workspace: this is a link to "
            f"{path.parent.readlink()}",
            where=path.parent,
            do="replace the link by a folder with the files that it leads to",
        )
    if files.holds(path, data):  # a finished study is shown where nothing can be written
        return False
    files.make_folder(path.parent)
    files.sweep_left(path.parent)
    files.write_bytes(path, data, mode=0o644)
    return True


def _alias_of(path: Path, name: str) -> Alias:
    """Return what an alias stands for; raises ValueError or OSError for what is no alias."""
    if not may_name(name):
        raise ValueError(f"{name!r} cannot be the name of an artifact")
    data = files.read_small(path)
    try:
        entry = json.loads(data)
        ours = isinstance(entry, dict) and canonical_json(entry) == data
    except (ValueError, RecursionError) as error:  # also what is not UTF-8
        raise ValueError("no alias: this is not JSON") from error
    said = entry if isinstance(entry, dict) else {}
    kind, fingerprint = said.get("kind"), said.get("fingerprint")
    if not (isinstance(kind, str) and _KIND.fullmatch(kind)):
        raise ValueError("no alias: it names no kind of artifact")
    if not (isinstance(fingerprint, str) and _FINGERPRINT.fullmatch(fingerprint)):
        raise ValueError("no alias: it names no fingerprint")
    if said.keys() == {"kind", "fingerprint"}:  # as earlier versions wrote them
        return Alias(kind, fingerprint)
    root = said.get("root")
    if not (ours and said.keys() == {"kind", "fingerprint", "name", "root"}):
        raise ValueError("no alias: it is not spelled as one")
    if said["name"] != name:
        raise ValueError(f"no alias: it was written as {said['name']!r}")
    if not (isinstance(root, str) and _ROOT.fullmatch(root)):
        raise ValueError("no alias: it names no root hash")
    return Alias(kind, fingerprint, root)
