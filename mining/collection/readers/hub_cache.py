"""Where the files of a data set of the Hugging Face Hub are: its local cache, else a download.

Nothing of a repository is run: files are listed, and those that hold rows are read.
"""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ...errors import BadInput, UsageError
from ...inputs.blocks import COMPRESSED
from ...inputs.hub_place import (
    cache_folder,
    failures,
    is_offline,
    recorded_names,
    revisions_held,
)
from .hub_names import HubFile, hub_file, of_subset, pattern_file

_ONE = re.compile(
    r"(?P<name>[\w.-]+/[\w.-]+)(?::(?P<subset>[^@:+]+))?(?:@(?P<revision>\w[\w./-]*))?"
)
_BETWEEN = re.compile(r"\+(?=[\w.-]+/[\w.-]+)")
_PATTERN = re.compile(r"[\w*][^\[\]{}:#]*[/.*][^\[\]{}:#]*$")  # no lists, no addresses
_HEAD = re.compile(r"\ufeff?---\r?\n(.*?)\n---", re.S)
_PATH = re.compile(r"^[ \t]*(?:-[ \t]+)?(?:path|data_files):[ \t]*(\S[^\r\n]*)$", re.M)
_SHAPE = "hf:OWNER/NAME, hf:OWNER/NAME:CONFIG, hf:OWNER/NAME@REVISION, several joined by +"
_SHOWN = 20
Wanted = Callable[[list[HubFile]], Iterable[HubFile]]
"""Which files of a listing are needed."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A data set of the Hub, at a branch, tag or commit."""

    name: str
    revision: str


def repositories(spec: str) -> tuple[list[Repository], str]:
    """Return the repositories that a text names, and the one subset that is asked of them ("").

    A subset that is given for one of them holds for all. Raises UsageError for other texts.
    """
    named, subsets = [], set()
    for one in _BETWEEN.split(spec.removeprefix("//").removeprefix("datasets/")):
        match = _ONE.fullmatch(one)
        if match is None or ".." in one:
            raise UsageError(f"hf:{spec}: {one!r} names no data set", do=f"write {_SHAPE}")
        named.append(Repository(match["name"], match["revision"] or "main"))
        subsets |= {match["subset"]} - {None, "default"}
    if len(subsets) > 1:
        raise UsageError(
            f"hf:{spec}: two configs: {' and '.join(sorted(subsets))}",
            do="one collection has one config; collect the other one by itself",
        )
    return named, next(iter(subsets), "")


def files_of(
    repository: Repository, subset: str, wanted: Wanted
) -> tuple[list[HubFile], list[str]]:
    """Return the files of a repository that hold rows, with their places, and all names.

    `subset`: what is asked of it, "" for all. `wanted`: which files of a listing are needed; they
    are downloaded where the cache has not got them. Raises BadInput if there is no way to them.
    """
    folder = _cached(repository, subset, wanted)
    if folder is None and is_offline():
        why = "and the network is off (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE)"
        raise _not_there(repository, why)
    if folder is None:
        folder = _downloaded(repository, wanted)
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())
    return [one.at(folder) for one in listed(repository, names)], names


def listed(repository: Repository, names: Iterable[str]) -> list[HubFile]:
    """Return the files that hold rows, sorted by name; of a file also compressed the plain one."""
    files: dict[str, HubFile] = {}
    for name in sorted(names):
        one = hub_file(repository.name, name)
        if one is not None:
            plain = next((name[: -len(end)] for end in COMPRESSED if name.endswith(end)), name)
            files.setdefault(plain, one)
    return list(files.values())


def _cached(repository: Repository, subset: str, wanted: Wanted) -> Path | None:
    """Return the snapshot in the cache; None where there is none, or it is known to be partial: by
    the library's record of all names, else by what the repository's card promises."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    try:
        folder = snapshot_download(
            repository.name,
            repo_type="dataset",
            revision=repository.revision,
            cache_dir=cache_folder(),
            local_files_only=True,
            allow_patterns=[],  # the folder is asked for: which files are needed is known below
        )
    except HFValidationError as error:
        raise UsageError(f"hf:{repository.name}: {error}", do=f"write {_SHAPE}") from error
    except (EntryNotFoundError, FileNotFoundError):
        return None
    snapshot = Path(str(folder))
    names = recorded_names(repository.name, repository.revision, "dataset")
    if names is None:
        return None if _lacks(snapshot, repository.name, subset) else snapshot
    needed = wanted(listed(repository, names))
    return snapshot if all((snapshot / one.name).is_file() for one in needed) else None


def _lacks(snapshot: Path, repo: str, subset: str) -> bool:
    """Say whether documents, queries or judgements that the card names are not there, none of them.

    Other programs fetch a part of a data set at times: the documents only.
    """
    card = snapshot / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    head = _HEAD.match(text)
    promised = [p.strip("\"' ") for p in _PATH.findall(head[1])] if head else []
    names = [p.relative_to(snapshot).as_posix() for p in snapshot.rglob("*") if not p.is_dir()]
    for pattern in promised:
        one = pattern_file(repo, pattern) if _PATTERN.match(pattern) else None
        if one is None or not (one.role or not one.subset):
            continue
        needed = not subset or not one.subset or bool(of_subset([one], subset))
        if needed and not any(_matches(name, pattern) for name in names):
            return True
    return False


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) or name.startswith(f"{pattern.rstrip('/')}/")


def _downloaded(repository: Repository, wanted: Wanted) -> Path:
    """Fetch the wanted files and the README into the cache; returns the snapshot."""
    from huggingface_hub import HfApi, snapshot_download

    try:
        names = HfApi().list_repo_files(
            repository.name, repo_type="dataset", revision=repository.revision
        )
        files = [one.name for one in wanted(listed(repository, names))]
        return Path(
            snapshot_download(
                repository.name,
                repo_type="dataset",
                revision=repository.revision,
                cache_dir=cache_folder(),
                allow_patterns=[*map(glob.escape, files), "README.md"],
            )
        )
    except failures() as error:
        text = " ".join(str(error).split())[:200]
        raise _not_there(
            repository, f"and cannot be fetched: {type(error).__name__}: {text}"
        ) from (error)


def _not_there(repository: Repository, why: str) -> BadInput:
    known = revisions_held(repository.name, "dataset")
    there = f"the cache holds its revisions {', '.join(known[:_SHOWN])}; " if known else ""
    return BadInput(
        f"the data set {repository.name!r} is not (or not whole) in the Hub's cache at revision "
        f"{repository.revision!r}, {why}",
        where=cache_folder(),
        do=f"{there}where there is a network: hf download {repository.name} --repo-type dataset "
        f"--revision {repository.revision}; then copy the cache, or set HF_HUB_CACHE to it; check "
        "the name, and HF_TOKEN where access is restricted",
    )
