"""Judgement files in columns: BEIR's `query-id corpus-id score` and TREC's `query 0 doc grade`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import BadInput
from .base import QREL_HEADERS, Judgement
from .lines import grade_of, read_lines


def qrels_files(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    """Return split name → file of a `qrels` folder, sorted; a file and its .gz twin are refused."""
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        name = path.name.removesuffix(".gz")
        ending = next((e for e in endings if name.endswith(e)), None)
        if ending is None or not path.is_file():
            continue
        split = name.removesuffix(ending)
        if split in files:
            raise BadInput(
                f"the split {split!r} has two files: {files[split].name} and {path.name}",
                where=folder,
                do="remove one of them",
            )
        files[split] = path
    return files


def read_qrels(path: Path) -> Iterator[Judgement]:
    """Yield judgements of a file with 3 columns, or 4 as TREC writes them (tabs or blanks)."""
    for number, line in read_lines(path):
        columns = line.split("\t")
        if len(columns) == 1:
            columns = line.split()
        if number == 1 and columns[0].lower() in QREL_HEADERS:
            continue
        if len(columns) not in (3, 4):
            raise BadInput(
                f"{len(columns)} columns, expected 3: query id, document id, grade",
                where=f"{path}, line {number}",
                do="separate the columns with tabs, or write the four columns of TREC qrels",
            )
        doc_id = columns[-2]
        yield columns[0], doc_id, grade_of(columns[-1], f"{path}, line {number}")
