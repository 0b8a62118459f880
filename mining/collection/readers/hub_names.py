"""What the files of a data set on the Hugging Face Hub are, by their names alone.

Every part of a path says something: a word for a role (`corpus`, `queries`, `qrels`), a split
(`dev`), the number of a shard, and what is left over is a subset, which the Hub calls a config:

    corpus/corpus-00000-of-00002.parquet    documents
    de-queries/test-00000-of-00001.parquet  queries of the subset `de`
    documents/biology-00000-of-00001.parquet            documents of `biology`
    miracl-v1.0-ar/qrels/qrels.miracl-v1.0-ar-dev.tsv   judgements of `miracl-v1.0-ar`, split `dev`
    data/test-00000-of-00001.parquet        split `test`; its columns say what it is
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ...inputs.shards import unpacked_name
from .judgement_files import TABLES

ENDINGS = (".parquet", ".jsonl", ".ndjson", ".tsv")  # best first
ROLES = {
    "corpus": ("corpus", "documents", "document", "docs", "passages", "passage", "collection"),
    "queries": ("queries", "query", "topics", "topic", "examples"),
    "qrels": ("qrels", "qrel", "judgements", "judgments"),
}
_ROLE_OF = {word: role for role, words in ROLES.items() for word in words}
_SPLIT = re.compile(
    r"(?:^|(?<=[-_.]))((?:train|training|dev|development|test|testing|validation|valid|val)"
    r"(?:[a-z]|\d+)?(?:[-_.](?:[a-z]|small|full))?)$",
    re.I,
)
_SHARD = re.compile(r"(?:^|[-_.])(?:\d+-of-\d+|0\d{3,})$")
_PART = re.compile(r"(?:^|[-_.])\d+$")  # docs-12, of documents only: qrels-2019 is a split
_GENERIC = ("data", "default", "all", "part")
_EDGES = "-_."


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository: its name there, the role it has by name ("" for none), subset,
    split and ending (unpacked)."""

    repo: str
    name: str
    role: str
    subset: str
    split: str
    ending: str
    path: Path = Path()

    @property
    def shown(self) -> str:
        """The file as an error names it."""
        return f"{self.repo}/{self.name}"

    def at(self, folder: Path) -> HubFile:
        """Return the file with its place on this machine."""
        return replace(self, path=folder / self.name)


def hub_file(repo: str, name: str) -> HubFile | None:
    """Return what a file is by its name; None for one that holds no rows that can be read."""
    pure = PurePosixPath(name)
    plain = unpacked_name(pure.name)
    ending = PurePosixPath(plain).suffix.lower()
    if any(part.startswith((".", "_")) for part in pure.parts):
        return None
    parts = [*pure.parts[:-1], plain[: len(plain) - len(ending)]]
    base = repo.rpartition("/")[2].lower()
    own = _role(re.split(r"[-_.]", base)[-1])  # BeIR/nfcorpus-qrels
    role = next((r for r in map(_role, parts) if r), "") or own
    if ending not in ENDINGS and not (role == "qrels" and ending in TABLES):
        return None
    split, left = "", []
    for part in parts:
        said, rest = _without(part, base, role)
        split = said or split
        if rest and rest not in left:
            left.append(rest)
    return HubFile(repo, name, role, "/".join(left), split, ending)


def pattern_file(repo: str, pattern: str) -> HubFile | None:
    """Return what the files of a pattern are: `de-corpus/test-*` as a card of a data set has it."""
    name = pattern.strip("/").replace("**/", "").replace("*", "00000-of-00001")
    known = any(name.endswith((end, f"{end}.gz")) for end in ENDINGS)
    return hub_file(repo, name if known else f"{name}.parquet")


def _role(part: str) -> str:
    """Return the role that a part of a path names, by the first of its words."""
    for word in re.split(r"[-_.]", part.lower()):
        if word in _ROLE_OF:
            return _ROLE_OF[word]
    return ""


def _without(part: str, base: str, role: str) -> tuple[str, str]:
    """Return the split that a part names, and the part without it, role, shard and the repository's
    own name."""
    part = _SHARD.sub("", part)
    part = _PART.sub("", part) if role == "corpus" else part
    words = "|".join(_ROLE_OF)
    part = re.sub(rf"(?:^|(?<=[-_.]))(?:{words})(?=$|[-_.])", "", part, flags=re.I)
    part = re.sub(r"[-_.]{2,}", "-", part).strip(_EDGES)
    match = _SPLIT.search(part)
    split = match[1] if match else ""
    part = (part[: match.start()] if match else part).strip(_EDGES)
    own = {base, re.sub(rf"[-_.](?:{words})$", "", base), *_GENERIC}
    return split, "" if part.lower() in own else part


def of_subset(files: list[HubFile], wanted: str) -> list[HubFile]:
    """Return the files of a subset: those called so, else those in a folder called so, else those
    whose name ends in it (`ar` of `miracl-v1.0-ar`); files for all subsets are not among them."""
    exact = [f for f in files if f.subset == wanted]
    inside = exact or [f for f in files if f.subset.startswith(f"{wanted}/")]
    return inside or [f for f in files if f.subset.endswith((f"-{wanted}", f"_{wanted}"))]


def subsets(files: list[HubFile]) -> list[str]:
    """Return the subsets there are, sorted."""
    return sorted({f.subset for f in files if f.subset})
