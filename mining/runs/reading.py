"""What stands at a path, and how it is read as a run: a TREC file, a table, a file of negatives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..collection.lines import missing
from ..collection.survey import blocks
from ..errors import BadInput, UsageError
from ..inputs.id_map import ID_MAP
from ..names import nearest, unless_neutral
from ..store.files import sha256_of
from .negatives import Row, files_of, rows_of
from .tables import columns_of, files_of_table, is_table, place_of, unread_tables
from .trec_lines import NO_RANK, Lines, unread_lines

_FLOAT32_MAX = float(np.finfo(np.float32).max)
ORDERS = ("score", "rank")
UNKNOWN = ("error", "skip")


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read.

    `order="score"`: by falling score, read as float64; equal scores stay in the order of their
    ranks, and without ranks in that of the file. `order="rank"`: by the rank column; the stored
    score is then minus the place in the list. Queries where a lower rank has the lower score are
    counted either way (`queries_ranked_against_scores`). `sign=-1`: lower scores are better.
    Unknown documents are refused, or with `unknown="skip"` left out and counted
    (`unknown_documents`). `tagged`: the file has a tag column. With `system` the file is one of
    hard negatives, and this is the system whose lists are read.
    """

    system: str | None = None
    order: str = "score"
    sign: int = 1
    unknown: str = "error"
    tagged: bool = True

    def __post_init__(self) -> None:
        for name, known in (("order", ORDERS), ("unknown", UNKNOWN)):
            value = getattr(self, name)
            if value not in known:
                raise UsageError(f"{name}={value} is not known", do=nearest(str(value), known))
        if self.sign not in (1, -1):
            raise UsageError(f"sign={self.sign}", do="1 where higher is better, -1 where lower is")
        if self.system is not None and (self.order, self.sign) != ("score", 1):
            raise UsageError(
                "a hard-negatives file lists the best first: it has no ranks and no scores to turn",
                do="leave order and sign out",
            )

    @property
    def parameters(self) -> dict[str, Any]:
        """What enters the fingerprint of the run."""
        own = {"order": self.order} if self.system is None else {"system": self.system}
        return own | unless_neutral(sign=(self.sign, 1), unknown=(self.unknown, "error"))


def read_as_table(path: Path, reading: Reading) -> bool:
    """Say whether a run is read from Parquet."""
    return reading.system is None and is_table(path)


def sources_of(path: Path, reading: Reading) -> list[Path]:
    """Return the files to read; raises BadInput where there is none."""
    if read_as_table(path, reading):
        return files_of_table(path)
    sources = files_of(path, reading.system)
    if not sources[0].is_file():
        raise missing(path)
    return sources


def by_what_there_is(reading: Reading, sources: list[Path]) -> Reading:
    """Return how a table is read: by its ranks where it has no scores."""
    if columns_of(sources)[0].score is not None:
        return reading
    if reading.sign == -1:
        raise UsageError(
            "sign=-1 turns scores round, and the table has none", do="leave it out: ranks decide"
        )
    return replace(reading, order="rank")


def place_in(file: str, reading: Reading, number: int) -> str:
    """Name a line, or the row of a table."""
    if read_as_table(Path(file), reading):
        return place_of(files_of_table(Path(file)), number)
    return f"{file}, line {number}"


def refuse_unranked(rank: np.ndarray, lines: np.ndarray, file: str, reading: Reading) -> None:
    """Raise BadInput where ranks decide and a line (int64) has none."""
    unranked = np.flatnonzero(rank == NO_RANK)
    if len(unranked):
        raise BadInput(
            f"{len(unranked):,} lines have no whole number as their rank",
            where=place_in(file, reading, int(lines[unranked[0]])),
            do="read the file by its scores: order=score",
        )


def refuse_large(score: np.ndarray, lines: np.ndarray, file: str, reading: Reading) -> None:
    """Raise BadInput for a score (float64) beyond float32, with its line (int64)."""
    large = np.flatnonzero(np.abs(score) > _FLOAT32_MAX)
    if len(large):
        raise BadInput(
            f"the score {score[large[0]]:g} lies beyond ±{_FLOAT32_MAX:.3g}, all that runs store",
            where=place_in(file, reading, int(lines[large[0]])),
            do="scale the scores, or let the ranks decide: order=rank",
        )


def content_of(sources: list[Path], reading: Reading) -> str:
    """Return the hash of a file; of several, an id map beside them too, that of their hashes."""
    beside = sources[0].parent / ID_MAP
    own = reading.system is not None or not beside.is_file()
    hashes = [sha256_of(source) for source in (sources if own else [*sources, beside])]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def unread(path: Path, reading: Reading) -> Iterator[Callable[[], list[Lines]]]:
    """Yield functions that read the blocks of what stands at a path."""
    if read_as_table(path, reading):
        yield from unread_tables(files_of_table(path), reading.order == "rank")
        return
    if reading.system is None:
        yield from unread_lines(path, tagged=reading.tagged)
        return
    for block in blocks(rows_of(path, reading.system), 65_536):
        yield partial(_columns, block)


def _columns(rows: list[Row]) -> list[Lines]:
    line, query_id, doc_id, rank, score = zip(*rows, strict=True)
    return [
        Lines(
            pa.array(query_id, pa.string()),
            pa.array(doc_id, pa.string()),
            np.array(rank, dtype=np.int32),
            np.array(score, dtype=np.float64),
            np.array(line, dtype=np.int64),
        )
    ]
