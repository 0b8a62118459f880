"""What can be seen of a collection without collecting it: the first documents, all judgements.

A glimpse is as cheap for eight million documents as for eight thousand: documents are read until
there are more than any depth that was asked for, with the collection's own reader, so that what it
refuses of the first rows is refused now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rankmill.mining.collection import Collection, chosen_splits
from rankmill.mining.collection.base import Reader, open_reader, reader_kind
from rankmill.mining.collection.ingest import joined
from rankmill.mining.collection.policies import Policies, policies_of
from rankmill.mining.collection.rows import blank
from rankmill.mining.collection.survey import check_positives

IN_FILES = ("beir", "tsv", "jsonl", "parquet")
"""Readers of files that are on this machine or not."""
MOST_BYTES = 64 << 20
"""Of the judgement files of a split: larger ones are left to the first stage."""


@dataclass(frozen=True, slots=True)
class Judgements:
    """The judgements of one split: `ids` of its queries (their ordinals in a collection), each
    once, `query` the place of each judgement's in them, int64 [judgements], `grade` int
    [judgements]."""

    ids: pa.Array
    query: np.ndarray
    grade: np.ndarray

    @property
    def queries(self) -> int:
        """How many different queries are judged."""
        return len(self.ids)

    def shared(self, other: Judgements) -> int:
        """How many of the queries are judged in another split too."""
        return int(pc.sum(pc.is_in(self.ids, value_set=other.ids)).as_py() or 0)

    def with_positive(self, min_grade: int) -> int:
        """How many different queries have a document of at least this grade."""
        return len(np.unique(self.query[self.grade >= min_grade]))

    def positives(self, min_grade: int) -> int:
        """How many judgements have at least this grade."""
        return int((self.grade >= min_grade).sum())


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What was seen of a collection.

    `documents`: rows that were counted, which are all of them where `whole`; `visible` of them have
    a text. `splits`: the names of the splits that collecting gives, without those that are drawn;
    `judged`: the judgements of those that were read. `unseen`: what was not looked at, and why.
    """

    documents: int
    visible: int
    whole: bool
    splits: tuple[str, ...]
    judged: Mapping[str, Judgements]
    unseen: tuple[str, ...] = ()

    @property
    def most(self) -> int | None:
        """The most documents that the corpus can have; None where there may be more."""
        return self.documents if self.whole else None


def glimpse(spec: str, asked: Mapping[str, Any], up_to: int) -> Glimpse | str:
    """Look at what a text such as `beir:PATH` names, or return why nobody can.

    `asked`: options of collect, `title`, `splits`, `on`, `fields`. Documents are counted until
    there are more than `up_to`. Raises BadInput for what the reader refuses.
    """
    kind = reader_kind(spec)
    if kind == "python-docs":
        return "it is made of Python's own docstrings when it is collected"
    if kind not in IN_FILES:
        return "it is looked at when it is collected"
    chosen = policies_of(asked["on"]).chosen
    parts = tuple(one.strip() for one in (asked["fields"] or "").split(",") if one.strip())
    # marks of csv are looked for in the whole file, and change no count
    reader = open_reader(spec, Policies({**chosen, "quoted_field": "keep"}), parts)
    files: Mapping[str, Sequence[Path]] = reader.qrels  # type: ignore[attr-defined]
    splits = chosen_splits(asked["splits"], files)
    judged, unseen = {}, []
    for split in splits:
        size = sum(path.stat().st_size for path in files[split])
        if size > MOST_BYTES:
            unseen.append(f"the judgements of {split!r}, {size / 1e6:,.0f} MB")
        else:
            judged[split] = _judgements(reader, split)
    counted, visible, whole = _counted(reader, asked["title"], up_to)
    return Glimpse(counted, visible, whole, tuple(splits), judged, tuple(unseen))


def glimpse_of(held: Collection, without: Iterable[str] = ()) -> Glimpse:
    """Return the same of a collection that was read, from its header and its judgements;
    `without`: splits that were drawn from others."""
    corpus = held.corpus
    splits = [one for one in held.splits if one not in set(without)]
    qrels = {one: held.qrels(one) for one in splits}
    judged = {
        one: Judgements(
            pa.array(q.queries),  # ordinals tell them apart as ids do
            np.searchsorted(q.queries, q.query),
            q.grade,
        )
        for one, q in qrels.items()
    }
    visible = len(corpus) - corpus.artifact.counts.get("empty", 0)
    return Glimpse(len(corpus), visible, True, tuple(splits), judged)


def _judgements(reader: Reader, split: str) -> Judgements:
    judged = reader.judgements(split)
    check_positives(reader, split, judged)
    coded = judged.query_ids.dictionary_encode()
    return Judgements(coded.dictionary, np.asarray(coded.indices, dtype=np.int64), judged.grades)


def _counted(reader: Reader, title: str, up_to: int) -> tuple[int, int, bool]:
    """Return how many documents there are, how many with a text, and whether these are all."""
    counted = visible = 0
    for block in reader.documents():
        counted += len(block)
        visible += int(np.count_nonzero(~np.asarray(blank(joined(title, block)))))
        if counted > up_to:
            return counted, visible, False
    return counted, visible, True
