"""Read-only handles over the artifacts of a collection: corpus, queries, judgements, and the whole.

Everything is memory-mapped. What one artifact holds stands in `rows/`.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..errors import BadInput
from ..names import nearest
from ..parts.told import counted
from ..store import Artifact, Workspace, open_artifact
from .rows import EXCLUDED, Corpus, Qrels, Queries

__all__ = ["EVERY_QUERY", "NO_SPLITS", "Collection", "shared_queries"]

_NOUNS = {"documents": ("document", "documents"), "queries": ("query", "queries")}
EVERY_QUERY = "*"
"""The split that holds every query, judged or not: for mining a collection without judgements."""
NO_SPLITS = (
    "it has no judgements: collect it with qrels; split '*' takes every query as it is, and "
    "docs/howto/unlabelled.md takes a teacher's best document for the positive"
)
"""What to do where a collection without judgements is asked for those of a split."""


class Collection:
    """A corpus with its queries and one set of judgements per split."""

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        self.self_rule = "exclude"
        self._qrels: dict[str, Qrels] = {}

    def under(self, self_rule: str) -> Collection:
        """Return the collection with another rule for documents that are the query itself, see
        `mining.runs.itself`; sources mine by it."""
        held = Collection(self.artifact)
        held.self_rule = self_rule
        return held

    @classmethod
    def open(cls, workspace: Workspace, name: str | Artifact | Collection) -> Collection:
        """Open a collection by name, fingerprint or artifact."""
        if isinstance(name, Collection):
            return name
        return cls(workspace.find(name, "collection"))

    @classmethod
    def at(cls, path: str) -> Collection:
        """Open a collection by the folder of its artifact; what workers do."""
        return cls(open_artifact(path))

    def __repr__(self) -> str:
        splits = ", ".join(self.splits) or "no judgements"
        bare = " and ".join(
            counted(number, *_NOUNS[what]) for what, number in self.without_text.items() if number
        )
        documents = counted(len(self.corpus), *_NOUNS["documents"])
        queries = "no queries"
        if "queries" in self.artifact.inputs:  # a corpus alone has a repr too
            queries = counted(len(self.queries), *_NOUNS["queries"])
        return f"<Collection {documents}, {queries}, {splits}{bare and f'; without text: {bare}'}>"

    @property
    def without_text(self) -> dict[str, int]:
        """How many documents and queries hold no visible text, counted when they were read: such
        documents are never mined, and a search by terms finds nothing for such queries."""
        roles = {"documents": "corpus", "queries": "queries"}
        return {
            what: self.artifact.input(role).counts.get("empty", 0)
            for what, role in roles.items()
            if role in self.artifact.inputs
        }

    @cached_property
    def corpus(self) -> Corpus:
        """The documents."""
        return Corpus(self.artifact.input("corpus"))

    @property
    def excluded_grade(self) -> int:
        """The grade of documents that are excluded from their query, as declared."""
        return int(self.artifact.metadata.get("excluded_grade", EXCLUDED))

    @cached_property
    def queries(self) -> Queries:
        """The queries of all splits; raises BadInput for a collection of documents only."""
        if "queries" not in self.artifact.inputs:
            raise BadInput(
                "this collection holds documents only, no queries",
                where=self.artifact.path,
                do="collect again with queries: a file of them beside the documents, or queries=…",
            )
        return Queries(self.artifact.input("queries"))

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The names of the judged splits, sorted."""
        roles = (role for role in self.artifact.inputs if role.startswith("qrels["))
        return tuple(sorted(role[len("qrels[") : -1] for role in roles))

    def qrels_artifact(self, split: str) -> Artifact:
        """Return the judgements' artifact; raises BadInput with the nearest split names."""
        if split == EVERY_QUERY:
            raise BadInput(
                "there are no judgements of every query (split '*')",
                where=self.artifact.path,
                do=f"name the split whose judgements count: {', '.join(self.splits)}"
                if self.splits
                else NO_SPLITS,
            )
        if split not in self.splits:
            raise BadInput(
                f"the collection has no split {split!r}",
                where=self.artifact.path,
                do=nearest(split, self.splits) if self.splits else NO_SPLITS,
            )
        return self.artifact.input(f"qrels[{split}]")

    def qrels(self, split: str) -> Qrels:
        """Return the judgements of one split."""
        if split not in self._qrels:
            self._qrels[split] = Qrels(self.qrels_artifact(split))
        return self._qrels[split]

    def split_queries(self, split: str) -> np.ndarray:
        """Return the queries judged in a split (uint32, ascending); `*` gives every query."""
        if split == EVERY_QUERY:
            return np.arange(len(self.queries), dtype=np.uint32)
        return self.qrels(split).queries


def shared_queries(one: Collection, split: str, other: Collection, name: str) -> int:
    """Return how many judged queries of a split are judged in another one too, of the same
    collection or of one with the same queries; of copies of them elsewhere nothing is known."""
    if one.queries.artifact.fingerprint != other.queries.artifact.fingerprint:
        return 0
    return len(np.intersect1d(one.qrels(split).queries, other.qrels(name).queries))
