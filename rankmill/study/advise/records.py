"""What finished studies know of designs: gain, cost and statistics, collection by collection.

A record is one design (a sampler with its size) in one study, on one evaluation set of the
collection that its students were trained on. Designs are compared within a *block*: one study, set,
and level of everything that is no design (student, loss, teacher).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill.mining.errors import BadInput
from rankmill.study.grid.answer.evidence import ABOUT

if TYPE_CHECKING:
    import polars as pl

FILE = "designs.parquet"
KINDS = ("in-domain", "development")
"""What may be learned from: queries that no student was trained on, the judging set before the one
that chose."""
SIZE = "log2 size"
_DOCUMENTS = "train.documents "
_TEXTS = (
    *("study", "collection", "corpus", "domain", "kind", "at", "measure"),
    *("design", "family", "sampler"),
)
_LEAST = dict(size=1, queries=0, documents=0, gain=-math.inf, cost_s=0, training_s=0)  # never null


@dataclass(frozen=True, slots=True)
class Record:
    """One design in one block. `corpus` tells collections apart, `collection` names them for
    people; `cost`: seconds of processor and accelerator that one student takes alone, `training`
    those of its training, `queries`: n of Theorem 2.1; `statistics`: means over groups by column,
    and the logarithm of the size."""

    corpus: str
    collection: str
    block: str
    design: str
    family: str
    gain: float
    cost: float
    queries: float = math.nan
    statistics: Mapping[str, float] = field(default_factory=dict)
    documents: float = math.nan
    training: float = math.nan


@dataclass(frozen=True, slots=True)
class Piloted:
    """A block of students, and by design what students of fewer documents gained on development
    queries: how a pilot would have told them."""

    block: Sequence[Record]
    gains: Sequence[float]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The records of some studies, `piloted` blocks among them, and what was left out, in words."""

    records: Sequence[Record]
    folders: Sequence[str]
    left_out: Sequence[str]
    piloted: Sequence[Piloted] = ()

    @property
    def collections(self) -> list[str]:
        """The names of the collections, each once."""
        return list(dict.fromkeys(one.collection for one in self.records))


def read_evidence(folders: Iterable[Path], measure: str, corpus: str) -> Evidence:
    """Read the `designs.parquet` of studies; rows in another measure, and of the collection with
    this `corpus`, for which advice is asked, are left out and said.

    Raises BadInput for a folder without the file or with another file of that name, for values that
    no study writes, and for two results of one design in a folder.
    """
    records: list[Record] = []
    known: set[str] = set()
    read, left_out, piloted = [], [], list[Piloted]()
    for folder in dict.fromkeys(folders):
        rows = _read(folder).to_dicts()
        read.append(str(folder))
        of_measure = [row for row in rows if row["measure"] == measure]
        if len(of_measure) < len(rows):
            other = sorted({row["measure"] for row in rows} - {measure})
            count = len(rows) - len(of_measure)
            left_out.append(f"{count} rows of {folder} are in {', '.join(other)}, not {measure}")
        own = [row for row in of_measure if row["corpus"] == corpus]
        if own:
            left_out.append(
                f"{len(own)} rows of {folder} are of this collection: its study knows them, they "
                "predict nothing"
            )
        others = [row for row in of_measure if row["corpus"] != corpus]
        piloted += _piloted(others, str(folder))
        own_results: dict[tuple[str, str], Record] = {}
        for row in _judging(others):
            made = _record(row, str(folder))
            if own_results.setdefault((made.block, made.design), made) != made:
                raise BadInput(
                    f"the study {row['study']!r} has two results of “{made.design}” on "
                    f"{made.collection}",
                    where=folder / FILE,
                    do="write it again: `rankmill study RECIPE --to FOLDER`",
                )
            if (said := repr(row)) not in known:  # the same row twice, of a copied folder, is one
                known.add(said)
                records.append(made)
    return Evidence(records, read, left_out, piloted)


def _read(folder: Path) -> pl.DataFrame:
    import polars as pl

    path = folder / FILE
    if not path.is_file():
        raise BadInput(
            f"there is no {FILE}",
            where=folder,
            do="name a folder that `rankmill study RECIPE --to FOLDER` wrote",
        )
    try:
        table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        do = "write it again: `rankmill study RECIPE --to FOLDER`"
        raise BadInput(f"this is no Parquet file: {error}", where=path, do=do) from error
    missing = [name for name in ABOUT if name not in table.columns]
    if missing:
        raise BadInput(
            f"the table has no column {missing[0]!r}",
            where=path,
            do="write it again: `rankmill study RECIPE --to FOLDER`",
        )
    _check_values(table, path)
    return table


def _check_values(table: pl.DataFrame, path: Path) -> None:
    """Raise BadInput for the first column or value that no study writes."""
    import polars as pl

    do = "write it again: `rankmill study RECIPE --to FOLDER`"
    for name, kind in table.schema.items():
        text = name in _TEXTS
        if not (kind == pl.String if text else kind.is_numeric() or kind == pl.Null):
            wanted = "texts" if text else "numbers"
            raise BadInput(f"the column {name!r} holds {kind}, not {wanted}", where=path, do=do)
    good = {name: pl.col(name).is_not_null() for name in _TEXTS}
    good["kind"] &= pl.col("kind").is_in(KINDS)
    for name, least in _LEAST.items():
        value = pl.col(name).cast(pl.Float64)
        good[name] = value.is_finite() & (value >= least)
    good["cost_s"] &= pl.col("cost_s").cast(pl.Float64) > 0
    for name, fits in good.items():
        wrong = table.select((~fits).fill_null(value=True).arg_true())
        if len(wrong):
            row = int(wrong.item(0, 0))
            value = table[row, name]
            said = "null" if value is None else repr(value)
            raise BadInput(f"{name!r} is {said}", where=f"{path}, row {row + 1}", do=do)


def _judging(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of the sets that judge; those for choosing where a study has no other."""
    by_study: dict[tuple[str, str], dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        kinds = by_study.setdefault((row["study"], row["corpus"]), {})
        kinds.setdefault(row["kind"], []).append(row)
    kept: list[Mapping[str, Any]] = []
    for kinds in by_study.values():
        kept += next((kinds[kind] for kind in KINDS if kind in kinds), [])
    return kept


def _piloted(rows: Sequence[Mapping[str, Any]], folder: str) -> list[Piloted]:
    """Return the blocks whose designs have students of fewer documents, half at most, that were
    judged on development queries: of a study that varies train.documents."""
    made = []
    by_rest: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        rest = (one for one in row["at"].split(", ") if not one.startswith(_DOCUMENTS))
        by_rest.setdefault((row["study"], row["corpus"], *rest), []).append(row)
    for several in by_rest.values():
        least, most = (end(row["documents"] for row in several) for end in (min, max))
        if 2 * least > most:
            continue
        small = {
            row["design"]: row["gain"]
            for row in several
            if row["documents"] == least and row["kind"] == KINDS[1]
        }
        whole: dict[str, list[Record]] = {}
        for row in several:
            if row["documents"] == most and row["kind"] == KINDS[0] and row["design"] in small:
                whole.setdefault(row["domain"], []).append(_record(row, folder))
        for block in whole.values():
            if len(block) > 1:
                made.append(Piloted(block, [small[one.design] for one in block]))
    return made


def _record(row: Mapping[str, Any], folder: str) -> Record:
    statistics = {
        name: float(value)
        for name, value in row.items()
        if name not in ABOUT and value is not None and math.isfinite(value)
    }
    said = (row["study"], row["corpus"], row["domain"], row["at"], folder)
    return Record(
        corpus=row["corpus"],
        collection=row["collection"],
        block="\n".join(said),
        design=row["design"],
        family=row["family"],
        gain=row["gain"],
        cost=row["cost_s"],
        queries=float(row["queries"]),
        statistics=statistics | {SIZE: math.log2(row["size"])},
        documents=float(row["documents"]),
        training=row["training_s"],
    )


def blocks_of(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records by block; one of a single design compares nothing and is left out."""
    made: dict[str, list[Record]] = {}
    for one in records:
        made.setdefault(one.block, []).append(one)
    return {name: several for name, several in made.items() if len(several) > 1}


def by_corpus(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Return the records by collection, those that can be compared."""
    made: dict[str, list[Record]] = {}
    for several in blocks_of(records).values():
        for one in several:
            made.setdefault(one.corpus, []).append(one)
    return made
