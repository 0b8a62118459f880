"""BEIR folders: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, plain or compressed."""

from __future__ import annotations

from pathlib import Path

from ..errors import BadInput
from .readers.layouts import BEIR_DOCUMENTS, BEIR_QUERIES
from .tabular import TabularReader


class BeirReader(TabularReader):
    """Reads one folder; queries and judgements may be missing, the corpus may not.

    Judgements may also stand in the other forms that `qrels_files` knows.
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
                do="give the folder that holds corpus.jsonl, queries.jsonl and qrels/",
            )
        super().find(place)
