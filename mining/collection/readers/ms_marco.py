"""MS MARCO's files under the names that Microsoft gave them, as its archives unpack into a folder.

    collection.tsv, msmarco-docs.tsv                        documents
    queries.train.tsv, queries.dev.small.tsv, …             queries
    msmarco-doctrain-queries.tsv, msmarco-test2019-queries.tsv
    qrels.train.tsv, qrels.dev.small.tsv, …                 judgements: splits train, dev.small, …
    msmarco-doctrain-qrels.tsv, 2019qrels-pass.txt          splits train, test2019

All of them may be compressed. Other files of the archives (triples, top1000) are no part of a
collection.
"""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import BadInput
from ...inputs.shards import unpacked_name
from .judgement_files import ENDINGS

DOCUMENTS = ("collection", "msmarco-docs")
_QUERIES = re.compile(r"queries\.(.+)\.tsv|msmarco-(?:doc)?(.+)-queries\.tsv")
_QRELS = re.compile(
    rf"qrels\.(.+)(?:{'|'.join(map(re.escape, ENDINGS))})|msmarco-(?:doc)?(.+)-qrels\.tsv"
)
_YEARS = re.compile(r"([0-9]{4})qrels-(?:pass|docs)\.txt")


def query_files(folder: Path) -> list[Path]:
    """Return the files of queries, sorted by name."""
    return [path for name, path in _files(folder).items() if _QUERIES.fullmatch(name)]


def split_files(folder: Path) -> dict[str, Path]:
    """Return split → file of judgements; raises BadInput for one that cannot be read or stands
    twice."""
    by_split: dict[str, Path] = {}
    for name, path in _files(folder).items():
        split = _split_of(name)
        if split is None and name.startswith("qrels.") and name[5:] not in ENDINGS:
            raise BadInput(
                f"{path.name} is no judgement file that can be read",
                where=folder,
                do=f"call it qrels.SPLIT{', qrels.SPLIT'.join(ENDINGS)}, plain or compressed, or "
                "move it out of the folder",
            )
        if split is None:
            continue
        if split in by_split:
            raise two_files(folder, split, by_split[split], path)
        by_split[split] = path
    return by_split


def two_files(folder: Path, split: str, first: Path, second: Path) -> BadInput:
    """Return the refusal of a split that stands in two files."""
    return BadInput(
        f"the split {split!r} has two files: {first.name} and {second.name}",
        where=folder,
        do="remove one of them",
    )


def _split_of(name: str) -> str | None:
    if match := _YEARS.fullmatch(name):
        return f"test{match[1]}"
    match = _QRELS.fullmatch(name)
    return match[1] or match[2] if match else None


def _files(folder: Path) -> dict[str, Path]:
    """Return the files of a folder by their names unpacked, sorted; plain before compressed."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    by_name: dict[str, Path] = {}
    for path in paths:  # `x.tsv` sorts before `x.tsv.gz`
        by_name.setdefault(unpacked_name(path.name), path)
    return dict(sorted(by_name.items()))
