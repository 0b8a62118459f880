"""BEIR, TSV, JSON Lines, Parquet: a folder with documents, queries and qrels, or a documents file.

Columns by name (`columns.py`): id, `title` (optional) and text; query id and text; query id,
document id and grade. TSV without a header line holds them in that order: id, text or id, title,
text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import BadInput, RankmillError, UsageError
from ..inputs import column_names as columns
from ..inputs.given_paths import path_given
from ..inputs.parquet_rows import parquet_file
from ..inputs.row_shapes import Place
from ..inputs.shards import unpacked_name
from ..inputs.strict_json import object_of
from ..store.files import sha256_once
from .base import Judged, Outline, Texts, outlines
from .lines import missing, read_lines
from .policies import Oddities, Policies
from .readers import ms_marco
from .readers.folder_files import all_in, files_named, numbered, shards_named
from .readers.hub_names import ROLES
from .readers.json_rows import jsonl_texts
from .readers.judgement_files import (
    ENDINGS,
    ending_of,
    qrels_files,
    read_judgements,
    reading_of,
    together,
)
from .readers.layouts import BEIR_DOCUMENTS, BEIR_QUERIES, DOCUMENTS, QUERIES, Layout
from .readers.parquet_rows import parquet_names, parquet_texts
from .readers.tsv_rows import Look, look, quoted_fields, table_of, tsv_outlines, tsv_texts

Row = tuple[int, dict[str, Any]]
"""(line or row number from 1, fields by name)."""


class TabularReader:
    """What the formats share: which files there are and what their columns mean."""

    ending = ""
    called = {"corpus": ("documents", "corpus"), "queries": ("queries",)}
    layouts = {"corpus": DOCUMENTS, "queries": QUERIES}

    def __init__(self, path: str, fields: Sequence[str] = ()):
        self.on = Policies()
        if fields:
            corpus = replace(self.layouts["corpus"], fields=tuple(fields))
            self.layouts = self.layouts | {"corpus": corpus}
        self.qrels: dict[str, list[Path]] = {}
        self.files: dict[str, list[Path]] = {"corpus": [], "queries": []}
        self._looks: dict[tuple[Path, bool], Look] = {}
        self._hashed: dict[Path, tuple[int, int] | None] = {}
        self.find_at(path)

    def find_at(self, path: str) -> None:
        """Find the files that the text after `KIND:` means."""
        self.find(path_given(path).absolute())

    def find(self, place: Path) -> None:
        """Find the files of a folder, or take one file as the documents."""
        if place.is_file():
            self.files["corpus"] = [place]
            return
        if not place.is_dir():
            raise missing(place)
        self.files["corpus"] = self.files_of(place, "corpus") or self._train(place)
        if not self.files["corpus"]:
            raise missing(place / f"{self.called['corpus'][0]}{self.ending}")
        self.files["queries"] = self.files_of(place, "queries")
        self.qrels = qrels_files(place / "qrels")
        for alone in files_named(place, ("qrels",), ENDINGS):
            self.qrels.setdefault("all", [alone])
        self.add_named(place)
        if not self.files["queries"]:
            self._refuse_unread(place, "queries")
        if not self.qrels:
            self._refuse_unread(place, "qrels")
        if self.qrels and not self.files["queries"]:
            raise missing(place / f"{self.called['queries'][0]}{self.ending}")

    def _refuse_unread(self, place: Path, role: str) -> None:
        """Refuse a folder with files that are called like queries or judgements, and none that is
        read: `queries.json`, `Qrels/`, a file `qrels`."""
        own = self.called.get(role, (role,))[0]
        for path in sorted(place.iterdir()):
            word = re.split(r"[-_. ]", path.name.lower())[0]
            if (
                word in ROLES[role]
                and word != "examples"
                and not (path.is_dir() and path.name == own)
            ):
                form = "qrels/SPLIT.tsv or qrels.tsv" if role == "qrels" else own + self.ending
                raise BadInput(
                    f"{path.name} is not read, and no other {role} are found",
                    where=place,
                    do=f"{role} stand in {form}; to read the documents alone, name their file",
                )

    def add_named(self, place: Path) -> None:
        """Add files that go by the names of one data set; there are none here."""

    def files_of(self, place: Path, role: str) -> list[Path]:
        """Return the files of a role: one, numbered shards, or a folder of them in name order."""
        sets: list[list[Path]] = []
        for name in self.called[role]:
            alone = files_named(place, (name,), (self.ending,))[:1]
            folder = all_in(place / name, self.ending) if (place / name).is_dir() else []
            sets += [one for one in (alone, shards_named(place, self.ending, name), folder) if one]
        if len(sets) > 1:
            shown = [str(ones[0].relative_to(place)) for ones in sets]
            noun = "documents" if role == "corpus" else role
            raise BadInput(
                f"the {noun} stand there more than once: {', '.join(shown)}",
                where=place,
                do="move all but one away; shards stand in one folder, or beside each other",
            )
        return sets[0] if sets else []

    def _train(self, place: Path) -> list[Path]:
        """Return the shards `train-…` of a folder that holds no other split of documents."""
        shards = shards_named(place, self.ending, "train")
        known = ("train", *self.called["queries"], "qrels")
        left = [p.name for p, shard in numbered(place, self.ending) if shard.name not in known]
        if shards and left:
            raise BadInput(
                f"beside {shards[0].name} stands {left[0]}, which would not be read",
                where=place,
                do="put all that are documents into a folder documents/, or move the others away",
            )
        return shards

    def texts(self, role: str, path: Path) -> Iterator[Texts]:
        """Yield the rows of one file."""
        layout = self.layouts[role]
        name = unpacked_name(path.name).lower()
        if name.endswith(".parquet") or self.ending == ".parquet":
            return parquet_texts(path, layout.ids, layout.title, layout.texts, layout.fields)
        if name.endswith((".jsonl", ".ndjson")) or self.ending == ".jsonl":
            return jsonl_texts(path, layout)
        _refuse_fields(path, layout)
        return tsv_texts(path, layout, self._marked(path, layout) > 0)

    def _marked(self, path: Path, layout: Layout) -> int:
        if self.on["quoted_field"] == "keep":
            return 0
        return quoted_fields(path, table_of(path, layout))

    def facts(self) -> dict[str, Any]:
        """Return the SHA-256 of every file, and how it is read where that is not the plain way."""
        return {
            "corpus": self._content("corpus"),
            "queries": self._content("queries") if self.files["queries"] else None,
            "qrels": {split: self._judged_content(split) for split in self.qrels},
        }

    def _judged_content(self, split: str) -> Any:
        reading: dict[str, str] = self._other_ending(split)
        for number, path in enumerate(self.qrels[split]):
            said = reading_of(path)
            reading |= {f"{what} {number}" if number else what: how for what, how in said.items()}
        return fact([sha256_once(path) for path in self.qrels[split]], reading)

    def _other_ending(self, split: str) -> dict[str, str]:
        """Return the ending of a judgement file that was not looked for at first: it is told."""
        ending = ending_of(self.qrels[split][0])
        return {} if ending in (".tsv", self.ending) else {"ending": ending}

    def _content(self, role: str) -> Any:
        reading: dict[str, str] = {}
        hashes: list[str] = []
        for number, path in enumerate(self.files[role]):
            self._hashed[path] = _state(path)
            if self._is_table(path):
                _refuse_fields(path, self.layouts[role])
                table = table_of(path, self.layouts[role])
                if not table.plain:
                    reading[f"columns {number}"] = " ".join(map(str, table.order))
                looked = self._look(role, path)
                if looked.quoted:
                    reading[f"quoting {number}"] = "csv"
                hashes.append(looked.sha256)
                continue
            if role == "corpus" and _passages(self.names_of(path)):
                reading[f"ids {number}"] = "pid"
            hashes.append(sha256_once(path))
        return fact(hashes, reading)

    def _look(self, role: str, path: Path) -> Look:
        """Read a TSV file once, and keep its outlines for the next reader."""
        quoting, empty = self.on["quoted_field"] != "keep", self.on.looks_for_empty(role)
        looked = look(path, self.layouts[role], quoting, empty)
        if not looked.quoted:
            self._looks[path, empty] = looked
        return looked

    def names_of(self, path: Path) -> list[str]:
        """Return the columns of a Parquet file, or the keys of the first JSON object."""
        if unpacked_name(path.name).endswith(".parquet"):
            return parquet_names(path)
        number, line = next(((n, line) for n, line in read_lines(path) if line.strip()), (0, "{}"))
        return list(object_of(line, Place(path, number), ()))

    def _is_table(self, path: Path) -> bool:
        return self.ending == ".tsv" and not unpacked_name(path.name).endswith(".parquet")

    def documents(self) -> Iterator[Texts]:
        """Yield every document; a missing title is empty."""
        yield from self._unchanged("corpus")

    def queries(self) -> Iterator[Texts]:
        """Yield every query."""
        yield from self._unchanged("queries")

    def _unchanged(self, role: str) -> Iterator[Texts]:
        """Yield the rows of a role; refuses a file that is not any more what was hashed."""
        for path in self.files[role]:
            hashed = self._hashed.get(path)
            for block in self.texts(role, path):
                if hashed not in (None, _state(path)):
                    raise RankmillError(
                        "the file changed while it was read", where=path, do="run the command again"
                    )
                yield block

    def outline(self, role: str) -> Iterator[Outline]:
        """Yield the outlines of documents or queries; of TSV files without copying the texts."""
        layout, empty = self.layouts[role], self.on.looks_for_empty(role)
        for path in self.files[role]:
            looked = self._looks.pop((path, empty), None)
            if looked is not None:
                yield from looked.outlines
                if looked.failed is not None:
                    raise looked.failed
            elif self._is_table(path) and not self._marked(path, layout):
                yield from tsv_outlines(path, layout, empty)
            else:
                yield from outlines(self.texts(role, path), empty)

    def judgements(self, split: str) -> Judged:
        """Return the judgements of one split."""
        return together(
            [read_judgements(path) for path in self.qrels[split]], self.place("qrels", split)
        )

    def odd(self, role: str, split: str = "") -> Oddities:
        """Return how many fields of TSV files stood in quotation marks; odd endings of qrels."""
        odd = Oddities()
        if role == "qrels":
            ending = self._other_ending(split).get("ending", "")
            odd.add("other_ending", bool(ending), [f"{split}{ending}"])
        for path in self.files.get(role, ()):
            if self._is_table(path):
                odd.add("quoted_field", self._marked(path, self.layouts[role]))
        return odd

    def counts(self) -> dict[str, int]:
        """Return nothing: no row is left out."""
        return {}

    def place(self, role: str, split: str = "") -> str:
        """Return the path of the file."""
        if role == "qrels":
            return ", ".join(map(str, self.qrels[split]))
        return ", ".join(map(str, self.files[role]))


class BeirReader(TabularReader):
    """BEIR folders: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, plain or compressed.

    Queries and judgements may be missing, the corpus may not. Judgements may also stand in the
    other forms that `qrels_files` knows.
    """

    ending = ".jsonl"
    called = {"corpus": ("corpus",), "queries": ("queries",)}
    layouts = {"corpus": BEIR_DOCUMENTS, "queries": BEIR_QUERIES}

    def find(self, place: Path) -> None:
        """Find the files of the folder."""
        if not place.is_dir():
            raise BadInput(
                "there is no such folder",
                where=place,
                do="give the folder that holds corpus.jsonl, queries.jsonl and qrels/; data sets "
                f"are fetched as ir:beir/{place.name} or hf:OWNER/NAME (docs/data.md)",
            )
        super().find(place)


class JsonlReader(TabularReader):
    """JSON Lines files, plain or compressed."""

    ending = ".jsonl"


class TsvReader(TabularReader):
    """Tab-separated files, plain or compressed: no tab or line end in a text.

    Quotation marks are taken away where the whole file is written as csv does (`readers/quoting`).
    A folder may hold MS MARCO's files under their own names (`readers/ms_marco`).
    """

    ending = ".tsv"
    called = TabularReader.called | {"corpus": ("documents", "corpus", *ms_marco.DOCUMENTS)}

    def add_named(self, place: Path) -> None:
        """Add MS MARCO's queries and judgements."""
        for path in ms_marco.query_files(place):
            if path not in self.files["queries"]:
                self.files["queries"].append(path)
        for split, path in ms_marco.split_files(place).items():
            if self.qrels.setdefault(split, [path]) != [path]:
                raise ms_marco.two_files(place, split, self.qrels[split][0], path)


class ParquetReader(TabularReader):
    """Parquet files, read in batches of rows."""

    ending = ".parquet"

    def rows(self, path: Path, names: tuple[tuple[str, ...], ...]) -> Iterator[Row]:
        """Yield the rows by column name; columns that mean nothing here are not read."""
        import pyarrow as pa

        wanted = {name for known in names for name in known}
        try:
            with parquet_file(path) as file:
                read = [name for name in file.schema_arrow.names if name in wanted]
                number = 0
                for batch in file.iter_batches(8192, columns=read):
                    for row in batch.to_pylist():
                        number += 1
                        yield number, {k: v for k, v in row.items() if v is not None}
        except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
            raise BadInput(
                f"this is not a readable Parquet file: {error}",
                where=path,
                do="the file is damaged or truncated: write or fetch it again",
            ) from error


def fact(hashes: list[str], reading: dict[str, str]) -> Any:
    """Return what identifies the content: the hash alone where there is one file, plainly read."""
    if len(hashes) == 1 and not reading:
        return hashes[0]
    return {"files": hashes, **({"reading": reading} if reading else {})}


def _state(path: Path) -> tuple[int, int] | None:
    """Return size and time of the last change of a file; None where there is none."""
    about = path.stat() if path.is_file() else None
    return None if about is None else (about.st_size, about.st_mtime_ns)


def _passages(names: Sequence[str]) -> bool:
    """Say whether rows hold the ids of a passage and of the document that it was cut from.

    The document's was once taken for the row's own, so what is read by the other has an identity of
    its own.
    """
    return (
        columns.named(names, columns.CORPUS_ID)[:1] == ["pid"]
        and len(columns.named(names, ("docid", "docno"))) > 0
    )


def _refuse_fields(path: Path, layout: Layout) -> None:
    if layout.fields:
        raise UsageError(
            f"fields={','.join(layout.fields)}: documents of tab-separated files have none to "
            "choose from",
            where=path,
            do="call the column of the text 'text' in the file's header instead",
        )


__all__ = ["BeirReader", "JsonlReader", "ParquetReader", "TsvReader"]
