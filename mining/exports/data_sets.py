"""Groups as a data set of the Hub's library `datasets`, in this process: what trainers of
sentence-transformers take. To a folder: the export formats."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

from ..collection import Collection
from ..errors import RankmillError
from ..store import Artifact, open_artifact
from .embedding.sentence_transformers_rows import SentenceTransformersRows
from .export import source_for
from .source import GroupSource


def data_set_of(groups: Artifact, collection: Collection, layout: str = "tuples") -> Any:
    """Return groups as a `datasets.Dataset` of rows of texts; the library keeps it on disk.

    `layout`: see `SentenceTransformersRows`. Raises RankmillError where the package is missing.
    """
    chosen = SentenceTransformersRows(layout=layout)
    if importlib.util.find_spec("datasets") is None:
        raise RankmillError(
            "the package 'datasets' is not installed",
            do="pip install datasets, or export to a folder: "
            'groups.export("sentence-transformers-rows", to="DIR")',
        )
    from datasets import Dataset  # pyright: ignore[reportMissingImports]

    source_for(chosen, groups, collection, size=None, seed=0, missing="error")
    told = {
        "groups": str(groups.path),
        "collection": str(collection.artifact.path),
        "layout": layout,
        "root": groups.root_hash,  # what the library knows a data set by
    }
    return Dataset.from_generator(_rows, gen_kwargs=told)


def _rows(groups: str, collection: str, layout: str, root: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of groups, opened by their folders: the library may do so elsewhere."""
    chosen = SentenceTransformersRows(layout=layout)
    source = GroupSource(open_artifact(groups), Collection.at(collection))
    for table in chosen.tables(source):
        for batch in table.to_batches(max_chunksize=256):
            yield from batch.to_pylist()
