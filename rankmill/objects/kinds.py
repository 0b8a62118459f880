"""A class for each kind that people work with; its methods are the next verbs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill import stages
from rankmill.mining import collection as mined
from rankmill.mining.exports.rows import html
from rankmill.mining.parts.told import Findings, counted
from rankmill.mining.store import Artifact, Workspace
from rankmill.objects.base import Object, as_object, at_least_none, collections_by, short
from rankmill.objects.door import door
from rankmill.objects.look import summarised
from rankmill.objects.verbs import method

if TYPE_CHECKING:
    import polars

    from rankmill.mining.audit.explain import Explanation
    from rankmill.mining.collection.overview import Overview
    from rankmill.mining.collection.rows import Qrels
    from rankmill.mining.exports import Exported
    from rankmill.objects.judged import Evaluation
    from rankmill.objects.signatures import (
        CollectionVerbs,
        GroupsVerbs,
        PoolVerbs,
        RunVerbs,
        ScoresVerbs,
        StatisticsVerbs,
        StudentVerbs,
    )
else:  # the methods are made below, from requests; editors read them in signatures.pyi

    class _Verbs:
        pass

    CollectionVerbs = RunVerbs = PoolVerbs = ScoresVerbs = _Verbs
    GroupsVerbs = StatisticsVerbs = StudentVerbs = _Verbs


class Collection(mined.Collection, CollectionVerbs):
    """A corpus with its queries and judgements; its rows are the documents."""

    kind = "collection"

    @classmethod
    def of(cls, held: mined.Collection | Artifact) -> Collection:
        """Return a collection that is open as an object."""
        return cls(held if isinstance(held, Artifact) else held.artifact)

    def __len__(self) -> int:
        return len(self.corpus)

    def __bool__(self) -> bool:
        return True

    def _repr_html_(self) -> str:
        return html(self.corpus.artifact, title=repr(self)[1:-1])

    @property
    def workspace(self) -> Workspace:
        """The workspace that holds it."""
        return self.artifact.workspace

    @property
    def fingerprint(self) -> str:
        """What identifies it."""
        return self.artifact.fingerprint

    @property
    def root_hash(self) -> str:
        """SHA-256 of its manifest: equal hashes are equal collections."""
        return self.artifact.root_hash

    @property
    def path(self) -> Path:
        """The folder of its artifact; corpus, queries and judgements stand beside it."""
        return self.artifact.path

    @property
    def collection(self) -> Collection:
        """Itself, as every other object has its collection."""
        return self

    @property
    def split(self) -> str:
        """None: it is about all of its `splits`."""
        return ""

    @door
    def input(self, role: str) -> Any:
        """Return the artifact that it holds in a role: corpus, queries, qrels[train], …"""
        return as_object(self.artifact.input(role))

    def cost(self) -> dict[str, Any]:
        """Return what putting it together took; `input("corpus").cost()` is that of reading."""
        return self.artifact.cost()

    def verify(self) -> int:
        """Read corpus, queries and judgements whole, as `rankmill verify` does; returns how many
        parts there are. Raises Corrupt for the first that is not what was published."""
        held = [self.artifact.input(role) for role in self.artifact.inputs]
        return sum(one.verify() for one in (self.artifact, *held))

    def to_arrow(self) -> Any:
        """Return all documents, ids and texts, as one Arrow table."""
        return self.corpus.to_arrow()

    def to_polars(self) -> Any:
        """Return all documents as a polars frame."""
        return self.corpus.to_polars()

    def to_pandas(self) -> Any:
        """Return all documents as a pandas frame; pandas must be installed."""
        return self.corpus.to_pandas()

    @door
    def head(self, rows: int = 5) -> Any:
        """Return the first documents as a polars frame."""
        return self.corpus.head(at_least_none(rows))

    @door
    def qrels(self, split: str) -> Qrels:
        """Return the judgements of one split."""
        return super().qrels(split)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield every document as a dictionary."""
        return iter(self.corpus)

    @door
    def records(self, texts: bool = True) -> Iterator[dict[str, Any]]:
        """Yield every document as a dictionary, without its text where told so."""
        for row in self.corpus:
            yield row if texts else {"doc_id": row["doc_id"]}

    if not TYPE_CHECKING:
        survey: Callable[..., Overview] = method(stages.SurveyCollection, "collection")
        rewrite: Callable[..., Collection] = method(stages.Rewrite, "collection")
        mine: Callable[..., Run] = method(stages.Mine, "collection")
        import_run: Callable[..., Run] = method(stages.ImportRun, "collection")
        import_scores: Callable[..., Scores] = method(stages.ImportScores, "collection")
        import_groups: Callable[..., Groups] = method(stages.ImportGroups, "collection")


collections_by(Collection.of)


class Run(Object, RunVerbs, kind="run"):
    """Per query a ranked list of documents, best first."""

    if not TYPE_CHECKING:
        pool: Callable[..., Pool] = method(stages.Pool, "runs", gathers=True)
        score: Callable[..., Scores] = method(stages.Score, "pool")
        rerank: Callable[..., Run] = method(stages.Rerank, "run")
        evaluate: Callable[..., Evaluation] = method(
            stages.Evaluate,
            "run",
            without=(
                *("student", "first_stage", "collection", "split", "depth", "encode", "compute"),
                *("order", "sign", "unknown"),
            ),
        )

    @property
    def source(self) -> str:
        """What found the documents: the canonical text of a source."""
        return self.metadata["source"]

    def about(self) -> str:
        """Return its source, its split and how many queries it answers."""
        return f"{short(self.source)}, split {self.split}, {self.asked}"


class Pool(Object, PoolVerbs, kind="pool"):
    """The union of runs: per query all candidates, with each source's rank and score."""

    if not TYPE_CHECKING:
        score: Callable[..., Scores] = method(stages.Score, "pool")
        select: Callable[..., Groups] = method(stages.Select, "pool")
        cross: Callable[..., dict[tuple[int, int], Groups]] = method(stages.Cross, "pool")

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources whose ranks and scores it holds."""
        columns = self.table(0).column_names if self.parts else []
        return tuple(name[5:-1] for name in columns if name.startswith("rank["))

    def about(self) -> str:
        """Return its sources, its split and how many queries it is of."""
        return f"{short(' + '.join(self.sources))}, split {self.split}, {self.asked}"


class Scores(Object, ScoresVerbs, kind="scores"):
    """A teacher's score of every pair of a pool."""

    if not TYPE_CHECKING:
        select: Callable[..., Groups] = method(stages.Select, "scores", also={"pool": "pool"})
        cross: Callable[..., dict[tuple[int, int], Groups]] = method(
            stages.Cross, "scores", also={"pool": "pool"}
        )
        stats: Callable[..., Statistics] = method(
            stages.Stats, "scores", without=("groups", "compat")
        )
        diagnose: Callable[..., Statistics] = method(stages.Diagnose, "scores", without=("groups",))
        evaluate: Callable[..., Evaluation] = method(
            stages.Evaluate,
            "run",
            without=(
                *("student", "first_stage", "collection", "split", "depth", "encode", "compute"),
                *("order", "sign", "unknown"),
            ),
        )

    @property
    def teacher(self) -> str:
        """The teacher: its canonical text."""
        return self.metadata["teacher"]

    @property
    def score_kind(self) -> str:
        """What the scores are: logit, log-prob, probability, similarity or rank."""
        return self.metadata["kind"]

    @property
    def split(self) -> str:
        """The split of the pool that was scored; of imported scores none."""
        return self.input("pool").split if "pool" in self.inputs else ""

    def about(self) -> str:
        """Return the teacher, the kind of its scores and how many queries they are of."""
        return f"{self.score_kind} scores of {short(self.teacher)}, {self.asked}"


class Groups(Object, GroupsVerbs, kind="groups"):
    """What a student is trained on: a query, k documents with the teacher's scores, the positive
    first."""

    if not TYPE_CHECKING:
        stats: Callable[..., Statistics] = method(stages.Stats, "groups", without=("min_grade",))
        audit: Callable[..., dict[str, Any]] = method(stages.Audit, "groups")
        explain: Callable[..., Explanation] = method(stages.Explain, "groups")
        cut: Callable[..., Groups] = method(stages.Cut, "groups")
        cells: Callable[..., dict[tuple[int, int], Groups]] = method(stages.CutCells, "groups")
        subsample: Callable[..., Groups] = method(stages.Subsample, "groups")
        retarget: Callable[..., Groups] = method(stages.Retarget, "groups")
        export: Callable[..., Exported] = method(stages.Export, "groups")
        train: Callable[..., Student] = method(stages.Train, "groups")
        diagnose: Callable[..., Statistics] = method(stages.Diagnose, "groups", without=("scores",))

    @property
    def size(self) -> int:
        """Documents per group."""
        return int(self.parameters["size"])

    @property
    def strategy(self) -> str:
        """How the negatives were drawn: the canonical text of a strategy."""
        return self.metadata.get("strategy", "")

    def about(self) -> str:
        """Return how many there are, of which size, and how they were drawn."""
        return f"{self.rows:,} × {self.size} documents, {short(self.strategy)}"

    def to_torch(self) -> Any:
        """Return the groups as a torch Dataset for a plain DataLoader.

        An item is a dictionary: `query`, a text; `documents`, k texts, the positive first; `scores`
        and `grades`, tensors [k]. Nothing is held in memory.

        Example:
            loader = DataLoader(groups.to_torch(), batch_size=8, shuffle=True)
        """
        from rankmill.mining.groups.format import Groups as Read
        from rankmill.training.datasets import GroupRecords

        return GroupRecords(Read(self), self.collection)

    @door
    def to_dataset(self, layout: str = "tuples") -> Any:
        """Return the groups as a Hub `datasets.Dataset` in the rows that trainers of
        sentence-transformers take; the package datasets must be installed.

        `layout`: tuples (query, positive, negative_1 …, scores), triplets, pairs or lists.

        Example:
            SentenceTransformerTrainer(model, train_dataset=groups.to_dataset(), loss=loss)
        """
        from rankmill.mining.exports.data_sets import data_set_of

        return data_set_of(self, self.collection, layout)


class Statistics(Object, StatisticsVerbs, kind="statistics"):
    """Measures of every group, or of every query's whole list: one column per statistic."""

    if not TYPE_CHECKING:
        cut: Callable[..., Groups] = method(stages.Cut, "statistics", also={"groups": "groups"})
        cells: Callable[..., dict[tuple[int, int], Groups]] = method(
            stages.CutCells, "statistics", also={"groups": "groups"}
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The statistics: their canonical texts."""
        names = self.table(0).column_names if self.parts else []
        return tuple(name for name in names if name != "query")

    def about(self) -> str:
        """Return how many rows were measured, and by what."""
        return f"{counted(self.rows, 'row')}, {short(', '.join(self.columns))}"

    @door
    def summary(
        self,
        *,
        correlate: Sequence[str] | None = None,
        beside: Sequence[Artifact | str] = (),
        seed: int = 0,
    ) -> dict[str, Any]:
        """Return moments, deciles and histograms of the columns, and how they go together: what
        `rm.summarise` returns, with its options.

        Example:
            measured.summary()["columns"]["pair_entropy(T=1)"]["mean"]
        """
        return summarised(self, correlate=correlate, beside=beside, seed=seed)


class Student(Object, StudentVerbs, kind="student"):
    """A trained model: a checkpoint, what happened while it was trained, and a card."""

    if not TYPE_CHECKING:
        rerank: Callable[..., Run] = method(stages.Rerank, "student")
        retrieve: Callable[..., Run] = method(stages.Retrieve, "student")
        evaluate: Callable[..., Evaluation] = method(stages.Evaluate, "student", without=("run",))
        diagnose: Callable[..., Statistics] = method(stages.Diagnose, "student")

    @property
    def card(self) -> dict[str, Any]:
        """What was trained on what, with which settings: the file card.json."""
        made: dict[str, Any] = json.loads(self.file("card.json").read_text(encoding="utf-8"))
        return Findings(made)

    @property
    def model(self) -> Path:
        """The folder of the checkpoint, for transformers and sentence-transformers."""
        return self.check_content().path / "model"

    @property
    def telemetry(self) -> polars.DataFrame:
        """What happened while it was trained, a row for each step."""
        return self.to_polars()

    def to_arrow(self) -> Any:
        """Return the telemetry as an Arrow table."""
        names = [part.file for part in self.parts]
        return self.table(names.index("telemetry.arrow"))

    @door
    def head(self, rows: int = 5) -> Any:
        """Return the first steps of the telemetry as a polars frame."""
        return self.telemetry.head(at_least_none(rows))

    @door
    def records(self, texts: bool = True) -> Iterator[dict[str, Any]]:
        """Yield the steps of the telemetry as dictionaries."""
        return iter(self.to_arrow().to_pylist())

    def about(self) -> str:
        """Return what was trained, and with which loss."""
        return f"{short(self.parameters['student'])}, {self.parameters['loss']}"
