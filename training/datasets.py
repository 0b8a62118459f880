"""The group reader for other trainers: text tuples, and torch data sets over a stream.

`TextGroups` gives (query text, [texts, the positive first], scores) by number; `StreamDataset` lets
a torch DataLoader iterate a `GroupStream` in its exact order, whatever the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from ..mining.collection import Collection
from ..mining.errors import BadInput
from ..mining.groups.format import Groups
from ..mining.store.artifact import compared_parts, take_over
from .stream import GroupStream


class TextGroups(Dataset[tuple[str, list[str], list[float]]]):
    """Groups as (query text, [document texts, positive first], teacher scores), by group number.

    Nothing is held in memory: arrays and texts are read from the mapped files when asked for.
    """

    def __init__(self, groups: Groups, collection: Collection):
        for role, mine in (("corpus", collection.corpus), ("queries", collection.queries)):
            theirs = groups.artifact.inputs.get(role, mine.artifact.fingerprint)
            if theirs != mine.artifact.fingerprint:
                raise BadInput(
                    f"the groups are about another {role} than this collection",
                    where=groups.artifact.path,
                    do="give the collection that they were mined from",
                )
        self.groups, self.collection = groups, collection

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, row: int) -> tuple[str, list[str], list[float]]:
        if not -len(self) <= row < len(self):
            raise IndexError(f"group {row} of {len(self)}")
        group = self.groups[row % len(self)]
        query = self.collection.queries.text(int(group.query[0]))
        return query, self.collection.corpus.texts(group.doc[0]), group.score[0].tolist()


class GroupRecords(TextGroups):
    """Groups as dictionaries that a plain DataLoader puts into batches: `query`, a text;
    `documents`, k texts, the positive first; `scores` and `grades`, tensors [k].
    """

    def __repr__(self) -> str:
        return f"<GroupRecords {len(self):,} groups>"

    def __getitem__(self, row: int) -> dict[str, Any]:  # type: ignore[override]
        query, documents, scores = super().__getitem__(row)
        grades = self.groups[row % len(self)].grade[0]
        return {
            "query": query,
            "documents": documents,
            "scores": torch.tensor(scores),
            "grades": torch.from_numpy(grades.astype(np.int64)),
        }


class StreamDataset(IterableDataset[dict[str, torch.Tensor]]):
    """A stream as an IterableDataset of dictionaries of tensors; use it with `batch_size=None`.

    `make()` builds the stream (pack with pieces=1), so that files are opened in the worker
    that reads them. Of n workers, worker i makes every nth batch; the DataLoader takes them in
    turn, so the order is that of the stream itself. Files are checked once, here: workers take
    over what has been compared. Raises Corrupt naming the file.
    """

    def __init__(self, make: Callable[[], GroupStream]):
        self.make = make
        make().check()
        self._compared = compared_parts()

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        take_over(self._compared)
        worker = get_worker_info()
        mine, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        stream = self.make()
        for number, (start, stop) in enumerate(stream.bounds()):
            if number % workers == mine:
                arrays = stream.batch_at(start, stop).arrays()
                yield {name: _tensor(array) for name, array in arrays.items()}


def _tensor(array: np.ndarray) -> torch.Tensor:
    """Copy to a tensor; ordinals become int64, which torch can index with."""
    wide = array.astype(np.int64) if array.dtype == np.uint32 else array.copy()
    return torch.from_numpy(wide)
