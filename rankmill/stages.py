"""What can be asked of rankmill: one frozen request per stage, the only declaration of its options.

Each field is an option: name, type, default, and in its `Option` help, unit, limits and an
example. The command line, the verbs of `rankmill.api` and the sections of recipes are made from
these; an option that is added here and used in its stage is there on all three. `perform` is the
one way to do a stage. A class's docstring is its help. Heavy packages are imported when a stage is
performed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.inputs.bounds.guards import brief
from rankmill.mining.inputs.given_paths import path_given
from rankmill.mining.options import Option, Unasked
from rankmill.request import OnDevice, Request, RunsModels, named_of
from rankmill.training.settings import Settings

if TYPE_CHECKING:
    from rankmill.mining.audit.explain import Explanation
    from rankmill.mining.collection import Collection, Tables
    from rankmill.mining.collection.overview import Overview
    from rankmill.mining.exports import Exported
    from rankmill.mining.store import Artifact, Workspace
    from rankmill.training.ordering import Terms

DEFAULT_WORKSPACE = "rankmill-work"
MEASURES = "nDCG@10 AP R@100 Judged@10"
DEFAULT_DEPTH = Unasked(100)
DEPTH = Option("Documents per query.", unit="documents", least=1)
COMPUTE = Option("float32, bfloat16, float16, or auto: the faster of the first two here.")
SEED = Option("Seed of every draw.", least=0, most=2**63 - 1)
COLLECTION = Option("Name of a collection.", of="collection", flag="-c")
SPLIT = Option("Which judged queries: train, test, …; * for all.", example="train")
GROUPS = Option("Name of groups.", of="groups")
POOL = Option("Name of a pool.", of="pool")
SCORES = Option("Name of teacher scores.", of="scores")
STATISTICS = Option("Name of statistics of the groups.", of="statistics")
ENCODER = Option(
    "Model folder, OWNER/NAME of the Hub, or bi_encoder(…); for locality.",
    example="bi_encoder(model=PATH,max_length=128)",
)
FILTERS = Option("Such as margin(gap=0.5); may be repeated.", example="margin(gap=0.5)")
GRADE = Option("Grade of a positive, in all that follows; default: the pool's.", least=1, most=127)
MISSING = Option("Without a score.", choices=("error", "drop_doc", "drop_query"))
SIZE = Option("Documents per group.", unit="documents", least=2)
ORDER = Option(
    "Of a run file: score (equal ones as ranked), or rank: the rank column decides.",
    choices=("score", "rank"),
)
SIGN = Option(
    "Of a file of scores, or a run: -1 where lower is better, as distances are.", least=-1, most=1
)
UNKNOWN = Option(
    "Ids that the collection lacks, of scores and of a run's documents.", choices=("error", "skip")
)
SELF = Option(
    "A document that is the query itself: exclude (its text, or its id and text), same_id "
    "(BEIR's rule), keep.",
    flag="--self",
    choices=("exclude", "same_id", "keep"),
)
COPIES = Option(
    "Which copies of a positive are no negatives: folded (but for white space, case, punctuation), "
    "exact; or allowed.",
    choices=("folded", "exact", "allowed"),
)
ENCODE = Option(
    "What a bi-encoder that re-ranks encodes: the whole corpus, or the documents that are listed.",
    choices=("corpus", "listed"),
)
STUDENT = Option("A student's name, a model folder, or OWNER/NAME of the Hub.", of="student")
RERANKER = Option(
    "A student's name, a model folder, OWNER/NAME of the Hub, or a teacher: cross_encoder(…).",
    of="student",
)

Names = Sequence[str]
Cells = dict[tuple[int, int], "Artifact"]


def _of(artifact: Artifact) -> dict[str, Any]:
    """Return what a stage needs to know of what an artifact is about: collection and split."""
    from rankmill.about import collection_of, split_of

    return {"collection": collection_of(artifact), "split": split_of(artifact)}


# ---- from a collection to groups -------------------------------------------------------------


@dataclass(frozen=True)
class Collect(Request["Collection"]):
    """Read documents, queries and judgements into memory-mapped Arrow.

    In Python also tables: `collect(documents=…, queries=…, qrels=…)`, from polars, pandas, Arrow,
    Hub data sets, dicts, lists or generators of dicts or of tuples (docs/python.md).

    Example: rankmill collect beir:nfcorpus --name nf
    """

    verb: ClassVar[str] = "collect"
    sharded: ClassVar[bool] = False
    alone: ClassVar[str] = "files are read once, in order, by one process"

    spec: Annotated[
        str | None,
        Option(
            "beir:PATH, hf:OWNER/NAME[:config][@revision], ir:ID, tsv:PATH, jsonl:PATH, "
            "parquet:PATH, python-docs.",
            argument=True,
            example="beir:nfcorpus",
        ),
    ] = None
    _: KW_ONLY
    documents: Any = None
    queries: Any = None
    qrels: Any = None
    workspace: Workspace | str | Path = DEFAULT_WORKSPACE
    title: Annotated[
        str,
        Option(
            "What a document's text is: 'title text', 'title+text' (BM25 can weigh the title), "
            "'text' or 'title'.",
        ),
    ] = "title text"
    splits: Annotated[
        Names, Option("Only these splits of the judgements; may be repeated.", example="test")
    ] = ()
    on: Annotated[
        Names,
        Option(
            "What is done with odd rows: KIND=ACTION, may be repeated (docs/data.md).",
            example="dangling_qrel=drop",
        ),
    ] = ()
    fields: Annotated[
        str | None,
        Option(
            "The fields that a document's text is made of, of JSON Lines, Parquet, hf: and ir:.",
            example="title,body,url",
        ),
    ] = None
    excluded_grade: Annotated[
        int,
        Option(
            "Grade of documents that are neither positive nor negative for their query.",
            least=-(2**15),
            most=0,
        ),
    ] = -100
    divide: Annotated[
        Names,
        Option(
            "New splits drawn from the judged queries of one, * for the rest; may be repeated.",
            example="all=train:1000,dev:200,test:*",
        ),
    ] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.spec, str | None):
            raise UsageError(
                f"spec={brief(self.spec)} is not a text that says where to read",
                do="what is in memory is given by name: documents=… (and queries=…, qrels=…)",
            )
        if isinstance(self.documents, str):
            raise UsageError(
                f"documents={brief(self.documents)}: a text says where to read",
                do=f"write rm.collect({brief(self.documents)})",
            )
        super().__post_init__()

    def perform(self) -> Collection:
        """Read the collection, or find it."""
        from rankmill.mining.collection import collect
        from rankmill.mining.store import Workspace

        place = self.workspace
        where = place if isinstance(place, Workspace) else Workspace(place)
        asked = self.given("spec", "documents", "queries", "qrels", "workspace")
        return collect(where, self.source, **asked, executor=self.where)

    @property
    def source(self) -> str | Tables:
        """What is read: a text that names it, or tables in memory."""
        from rankmill.mining.collection import Tables

        told = [self.documents, self.queries, self.qrels]
        if self.spec is None and self.documents is not None:
            return Tables(*told)
        if self.spec is None or any(one is not None for one in told):
            said = "no documents were" if any(one is not None for one in told) else "nothing was"
            said = said if self.spec is None else f"both {self.spec!r} and tables were"
            raise UsageError(
                f"collect reads a text such as beir:PATH, or tables; {said} given",
                do="give one of them: the text, or documents=… (and queries=…, qrels=…)",
            )
        return self.spec


@dataclass(frozen=True)
class SurveyCollection(Request["Overview"]):
    """Say what a collection holds and what is odd about it: sizes, lengths, copies, judgements.

    Example: rankmill survey nf
    """

    verb: ClassVar[str] = "survey"
    stored: ClassVar[bool] = False
    sharded: ClassVar[bool] = False
    alone: ClassVar[str] = "it reads what collect has counted"

    collection: Annotated[
        Collection,
        Option("Name of a collection.", of="collection", argument=True, example="nf"),
    ]

    def perform(self) -> Overview:
        """Return what was found."""
        from rankmill.mining.collection.overview import overview_of

        return overview_of(self.collection)


@dataclass(frozen=True)
class Rewrite(Request["Collection"]):
    """Add rewrites of queries to a split: q7~1 is the first of q7, with the same judgements.

    Example: rankmill rewrite rewrites.tsv -c nf --split train --name nf-wide
    """

    verb: ClassVar[str] = "rewrite"
    panel: ClassVar[str] = "Other groups from the same ones"
    sharded: ClassVar[bool] = False
    alone: ClassVar[str] = "one file of rewrites is read, in order, by one process"

    collection: Annotated[Collection, COLLECTION]
    path: Annotated[str | Path, Option("Lines: query_id, tab, text; or .jsonl.", argument=True)]
    _: KW_ONLY
    split: Annotated[str, Option("The split of the queries.", example="train")]

    def perform(self) -> Collection:
        """Return the collection with the rewrites among its queries."""
        from rankmill.mining.collection.rewrites import rewrite_queries

        held = self.collection
        return rewrite_queries(
            held.artifact.workspace, held, self.path, split=self.split, executor=self.where
        )


@dataclass(frozen=True)
class Mine(RunsModels, Request["Artifact"]):
    """Mine candidates for every query of a split.

    Example: rankmill mine "bm25(k1=0.9,b=0.4)" -c nf --split train --depth 200 --name nf-bm25
    """

    verb: ClassVar[str] = "mine"

    source: Annotated[
        str,
        Option(
            "Such as bm25(k1=0.9,b=0.4), random, dense(…).",
            argument=True,
            example="bm25(k1=0.9,b=0.4)",
        ),
    ]
    collection: Annotated[Collection, COLLECTION]
    _: KW_ONLY
    split: Annotated[str, SPLIT]
    depth: Annotated[int, DEPTH] = DEFAULT_DEPTH
    seed: Annotated[int, SEED] = 0
    trec: Annotated[str | Path | None, Option("Also write a TREC run here.", output="file")] = None
    self: Annotated[str, SELF] = "exclude"

    def perform(self) -> Artifact:
        """Return the run: at most `depth` documents for each query of the split."""
        from rankmill.mining.runs.trec import to_trec
        from rankmill.mining.sources import mine

        made = mine(
            self.collection.artifact.workspace,
            **self.given("trec", "self"),
            self_rule=self.self,
            executor=self.where,
        )
        if self.trec is not None:
            to_trec(made, path_given(self.trec))
        return made


@dataclass(frozen=True)
class Pool(Request["Artifact"]):
    """Join runs: one row per query with every source's rank and score.

    Example: rankmill pool nf-bm25 nf-dense --name nf-pool
    """

    verb: ClassVar[str] = "pool"

    runs: Annotated[
        Sequence[Artifact],
        Option("Runs over one collection and split.", of="run", argument=True),
    ]
    _: KW_ONLY
    positives: Annotated[bool, Option("Add judged positives that no run found.")] = True
    min_grade: Annotated[
        int, Option("Grade from which a document is positive.", least=1, most=127)
    ] = 1
    depth: Annotated[
        int | None, Option("Only the first N of each run.", unit="documents", least=1)
    ] = None
    self: Annotated[str, SELF] = "exclude"

    def perform(self) -> Artifact:
        """Return the pool."""
        from rankmill.mining.runs.pool import pool_runs

        if not self.runs:
            raise UsageError("a pool needs at least one run", do="name one or more runs")
        first = self.runs[0]
        return pool_runs(
            first.workspace,
            list(self.runs),
            **_of(first),
            **self.given("runs", "self"),
            self_rule=self.self,
            executor=self.where,
        )


@dataclass(frozen=True)
class Score(RunsModels, Request["Artifact"]):
    """Score every pair of a pool with a teacher, each pair once.

    Example: rankmill score "cross_encoder(model=PATH)" --pool nf-pool --name nf-scores
    """

    verb: ClassVar[str] = "score"

    teacher: Annotated[
        str,
        Option(
            "cross_encoder(model=PATH), teacher(qwen3-reranker,model=PATH), …",
            argument=True,
            example="cross_encoder(model=PATH)",
        ),
    ]
    pool: Annotated[Artifact, Option("Name of a pool, or of a run.", of="pool or run")]
    _: KW_ONLY
    allow: Annotated[
        int,
        Option(
            "Queries that may be left out for scores that are not finite.",
            unit="queries",
            least=0,
        ),
    ] = 0
    direction: Annotated[
        str,
        Option(
            "judged: refuse scores that clearly run the wrong way; trusted: take them unchecked.",
            choices=("judged", "trusted"),
        ),
    ] = "judged"

    def perform(self) -> Artifact:
        """Return the scores; pairs that were scored before are taken from where they are."""
        from rankmill.mining.teachers import score_pool

        return score_pool(
            self.pool.workspace,
            **self.given(),
            collection=_of(self.pool)["collection"],
            executor=self.where,
        )


@dataclass(frozen=True)
class Select(RunsModels, Request["Artifact"]):
    """Choose a training group for every query, positive first.

    Example: rankmill select "uniform(source=bm25,last=100)" --pool POOL --scores SCORES --filter
    "margin(gap=0.5)"
    """

    verb: ClassVar[str] = "select"

    strategy: Annotated[
        str,
        Option(
            "Such as uniform(source=bm25,last=100), top, stratified.",
            argument=True,
            example="uniform(source=bm25,last=100)",
        ),
    ]
    pool: Annotated[Artifact, POOL]
    scores: Annotated[Artifact, SCORES]
    _: KW_ONLY
    size: Annotated[int, SIZE] = 16
    seed: Annotated[int, SEED] = 0
    filters: Annotated[Names, FILTERS] = ()
    positives: Annotated[
        str,
        Option(
            "Which: first, all (a group each), together (one group), best (the teacher's).",
            choices=("first", "all", "together", "best"),
        ),
    ] = "first"
    min_grade: Annotated[int | None, GRADE] = None
    when_short: Annotated[
        str,
        Option(
            "Too few candidates: drop the query, refuse, or fill up from the pool.",
            choices=("drop_query", "error", "fill", "fill(random)"),
        ),
    ] = "drop_query"
    missing: Annotated[str, MISSING] = "error"
    encoder: Annotated[str | None, ENCODER] = None
    copies: Annotated[str, COPIES] = "folded"
    self: Annotated[str, SELF] = "exclude"

    def perform(self) -> Artifact:
        """Return the groups; a cell of a blocked design is read from its design."""
        from rankmill.designs import cell_of, groups_of_cell

        cell = cell_of(self.strategy)
        if cell is not None:
            return groups_of_cell(self, cell)
        from rankmill.about import vectors_of
        from rankmill.mining.selection import select_groups

        vectors = None
        if self.encoder is not None:
            vectors = vectors_of(self.encoder, self.pool, self.where)["vectors"]
        return select_groups(
            self.pool.workspace,
            **self.given("encoder", "self"),
            self_rule=self.self,
            vectors=vectors,
            **_of(self.pool),
            executor=self.where,
        )


@dataclass(frozen=True)
class Stats(RunsModels, Request["Artifact"]):
    """Measure every group, or every query's whole list: teacher entropy, locality, agreement.

    Example: rankmill stats --groups nf-groups --encoder PATH --name nf-stats        rankmill stats
    --scores nf-scores        rankmill stats --groups nf-groups --other nf-scores-of-another-teacher
    """

    verb: ClassVar[str] = "stats"

    groups: Annotated[Artifact | None, GROUPS] = None
    _: KW_ONLY
    scores: Annotated[
        Artifact | None,
        Option(
            "Without groups: measure whole lists of candidates; beside them: their own scores.",
            of="scores",
        ),
    ] = None
    statistics: Annotated[
        Names | None, Option("One column; may be repeated.", flag="-s", example="pair_entropy(T=2)")
    ] = None
    encoder: Annotated[str | None, ENCODER] = None
    other: Annotated[
        Mapping[str, Artifact] | None,
        Option(
            "Another teacher's scores of the same documents, to compare with: NAME, or LABEL=NAME "
            "for kendall_tau(other=LABEL); may be repeated.",
            of="scores",
        ),
    ] = None
    compat: Annotated[str | None, Option("locality-and-entropy: the reference's variants.")] = None
    min_grade: Annotated[
        int | None,
        Option("With scores: grade of a positive; default: the pool's.", least=1, most=127),
    ] = None

    def perform(self) -> Artifact:
        """Return the statistics, one row per group or per query."""
        from rankmill.about import vectors_of
        from rankmill.mining.statistics import measure_groups, measure_pool

        if self.groups is not None and self.scores is not None:
            _refuse_other_scores(self.groups, self.scores)
        measured = _one_of(self.groups, None if self.groups else self.scores, "measure")
        inputs: dict[str, Any] = {}
        if self.encoder is not None:
            inputs |= vectors_of(self.encoder, measured, self.where)
        if self.other:
            inputs["other"] = _one_each(self.other, "a teacher has one of the documents")
        where = measured.workspace
        if measured is self.groups:
            if self.min_grade is not None:
                raise UsageError(
                    f"min_grade={self.min_grade}: groups have a min_grade of their own",
                    do="select again with another",
                )
            return measure_groups(
                where,
                measured,
                self.statistics,
                compat=self.compat,
                **inputs,
                executor=self.where,
            )
        if self.compat is not None:
            raise BadInput("the reference's variants are of groups", where=measured.path)
        if self.min_grade is not None:
            inputs["min_grade"] = self.min_grade
        if "pool" in measured.inputs and "qrels" in measured.input("pool").inputs:
            pooled = measured.input("pool")
            least = pooled.parameters.get("min_grade", 1)
            inputs = {"qrels": pooled.input("qrels"), "min_grade": least} | inputs
        return measure_pool(where, measured, self.statistics, **inputs, executor=self.where)


def _refuse_other_scores(groups: Artifact, scores: Artifact) -> None:
    """Groups hold the scores they were made with; naming those beside them says nothing more."""
    if groups.inputs.get("scores") != scores.fingerprint:
        raise UsageError(
            f"groups {groups.fingerprint[:12]} hold other scores than {scores.fingerprint[:12]}",
            do="give their labels anew first (retarget with scores), or leave out scores",
        )


def _one_of(groups: Artifact | None, scores: Artifact | None, what: str) -> Artifact:
    """Return the one that was given; raises UsageError for none, both, or the wrong kind."""
    if (groups is None) == (scores is None):
        given = "nothing was" if groups is None else "both groups and scores were"
        raise UsageError(
            f"name what to {what}: {given} given", do="give groups or scores, one of them"
        )
    for kind, other, artifact in (("groups", "scores", groups), ("scores", "groups", scores)):
        if artifact is not None and artifact.kind == other:
            raise UsageError(f"these are {other}, not {kind}", do=f"give them as {other}=…")
    chosen = groups if groups is not None else scores
    assert chosen is not None
    return chosen


@dataclass(frozen=True)
class Cross(RunsModels, Request["Cells"]):
    """Give every query a group in each locality × entropy cell; compare with unblocked cells.

    Example: rankmill cross --pool P --scores S --encoder PATH --name nf makes the design nf and the
    groups nf-near0-sure0, nf-near0-sure1, …
    """

    verb: ClassVar[str] = "cross"

    pool: Annotated[Artifact, POOL]
    scores: Annotated[Artifact, SCORES]
    _: KW_ONLY
    encoder: Annotated[str, ENCODER]
    locality: Annotated[
        str, Option("radius, radius(of=max) or diameter: the rows.", example="radius(of=max)")
    ] = "radius"
    entropy: Annotated[
        str | None,
        Option("A pair_entropy, the columns; by default the first of stats."),
    ] = None
    bins: Annotated[int, Option("Levels of each.", least=2, most=16)] = 2
    size: Annotated[int, SIZE] = 16
    seed: Annotated[int, SEED] = 0
    filters: Annotated[Names, FILTERS] = ()
    positives: Annotated[
        str, Option("first; together: all in each group.", choices=("first", "together"))
    ] = "first"
    min_grade: Annotated[int | None, GRADE] = None
    missing: Annotated[str, MISSING] = "error"
    span: Annotated[
        float,
        Option("Share of a query's range between its outer levels.", above=0, most=1),
    ] = 0.5
    tolerance: Annotated[
        float,
        Option("How far a group may be off, in steps between levels.", above=0, below=0.5),
    ] = 0.1
    locality_step: Annotated[float, Option("Least step between levels of locality.", above=0)] = (
        0.01
    )
    entropy_step: Annotated[
        float, Option("Least step between levels of entropy.", unit="bits", above=0)
    ] = 0.01
    steps: Annotated[int, Option("Swaps tried per search.", least=1)] = 10_000
    copies: Annotated[str, COPIES] = "folded"
    self: Annotated[str, SELF] = "exclude"

    def perform(self) -> Cells:
        """Return the groups of each cell, keyed by levels from the nearest and lowest entropy."""
        from rankmill.designs import cross

        return cross(self)

    def alias(self, made: Cells, name: str) -> None:
        """Name the design, and its cells `name-near0-sure0` and so on."""
        from rankmill.designs import design_of, name_cells

        named_of(design_of(made), name)
        name_cells(made, name)


# ---- groups from groups ----------------------------------------------------------------------


@dataclass(frozen=True)
class Cut(Request["Artifact"]):
    """Keep some of the groups, by their statistics; a cut is named for what it keeps.

    Example: rankmill cut "keep_below(of=pair_entropy(T=1),q=0.75)" --groups G --statistics S
    """

    verb: ClassVar[str] = "cut"
    panel: ClassVar[str] = "Other groups from the same ones"

    groups: Annotated[Artifact, GROUPS]
    statistics: Annotated[Artifact, STATISTICS]
    keep: Annotated[
        str,
        Option(
            "keep_below(q=0.75), keep_above, where('\"ties\" = 0'), …",
            argument=True,
            example="keep_below(q=0.75)",
        ),
    ]

    def perform(self) -> Artifact:
        """Return the groups that are kept."""
        from rankmill.mining.derive import cut_groups

        return cut_groups(
            self.groups.workspace, self.groups, self.statistics, self.keep, executor=self.where
        )


@dataclass(frozen=True)
class CutCells(Request["Cells"]):
    """Cut groups into locality × entropy cells, equal in groups, documents, pairs and positives.

    Cells hold different queries, so an effect of a cell may be one of how hard its queries are.
    `rankmill cross` makes cells of the same queries. Example: rankmill cells --groups G
    --statistics S --name nf makes nf-near0-sure0 …
    """

    verb: ClassVar[str] = "cells"
    panel: ClassVar[str] = "Other groups from the same ones"

    groups: Annotated[Artifact, GROUPS]
    statistics: Annotated[Artifact, STATISTICS]
    _: KW_ONLY
    locality: Annotated[str, Option("The statistic of the rows.")] = "radius"
    entropy: Annotated[str, Option("The statistic of the columns.")] = "pair_entropy"
    bins: Annotated[int, Option("Bins of each.", least=2, most=16)] = 2
    seed: Annotated[int, SEED] = 0

    def perform(self) -> Cells:
        """Return the cells, keyed by bins from the nearest and from the lowest entropy."""
        from rankmill.mining.derive import crossed_cells

        return crossed_cells(self.groups.workspace, **self.given(), executor=self.where)

    def alias(self, made: Cells, name: str) -> None:
        """Name the cells `name-near0-sure0` and so on."""
        from rankmill.designs import name_cells

        name_cells(made, name)


@dataclass(frozen=True)
class Subsample(Request["Artifact"]):
    """Draw smaller groups out of larger ones; positives stay.

    Example: rankmill subsample --groups nf-groups --size 8 --times 2 --name nf-small
    """

    verb: ClassVar[str] = "subsample"
    panel: ClassVar[str] = "Other groups from the same ones"

    groups: Annotated[Artifact, GROUPS]
    _: KW_ONLY
    size: Annotated[int, Option("Documents per new group.", unit="documents", least=2)]
    times: Annotated[int, Option("Draws of each group.", least=1)] = 1
    seed: Annotated[int, SEED] = 0

    def perform(self) -> Artifact:
        """Return the smaller groups."""
        from rankmill.mining.derive import subsample_groups

        return subsample_groups(self.groups.workspace, **self.given(), executor=self.where)


@dataclass(frozen=True)
class Retarget(Request["Artifact"]):
    """Give the same groups other labels; documents, Δ and κ stay as they are.

    With both, the target is applied to the other teacher's scores.
    Example: rankmill retarget "temperature(T=2)" --groups nf-groups --name nf-soft
    """

    verb: ClassVar[str] = "retarget"
    panel: ClassVar[str] = "Other groups from the same ones"

    groups: Annotated[Artifact, GROUPS]
    target: Annotated[
        str | None,
        Option("temperature(T=2), smooth, rank_labels, minmax, zscore.", argument=True),
    ] = None
    _: KW_ONLY
    scores: Annotated[
        Artifact | None, Option("Another teacher's scores of the same pairs.", of="scores")
    ] = None

    def perform(self) -> Artifact:
        """Return groups of the same documents with other scores."""
        from rankmill.mining.derive import rescore_groups, retarget_groups

        if self.target is None and self.scores is None:
            raise UsageError("nothing says what the new labels are", do="name a target, or scores")
        made, where = self.groups, self.groups.workspace
        if self.scores is not None:
            made = rescore_groups(where, made, self.scores, executor=self.where)
        if self.target is not None:
            made = retarget_groups(where, made, self.target, executor=self.where)
        return made


# ---- training and judging --------------------------------------------------------------------


@dataclass(frozen=True)
class Train(Settings, OnDevice, Request["Artifact"]):
    """Train a student on groups; if killed, it resumes from its last checkpoint.

    Example: rankmill train "bi_encoder(model=PATH)" --groups nf-groups --loss kl --documents 1M
    --to DIR
    """

    verb: ClassVar[str] = "train"

    student: Annotated[
        str,
        Option(
            "bi_encoder(model=PATH), cross_encoder(…).",
            argument=True,
            example="bi_encoder(model=PATH,layers=2)",
        ),
    ]
    groups: Annotated[
        Artifact | Sequence[Artifact],
        Option("Name of groups; several with commas are a blend.", of="groups", several=True),
    ]
    _: KW_ONLY
    weights: Annotated[
        tuple[float, ...] | None,
        Option(
            "Of a blend: the share of the examples of each; default: equal.",
            above=0,
            example="3,1,1",
        ),
    ] = None
    loss: Annotated[str, Option("lce, kl, margin_mse, ranknet_soft, …", example="kl(T=0.05)")] = (
        "kl"
    )
    validation: Annotated[
        Artifact | None, Option("Held-out groups: keep the best weights.", of="groups")
    ] = None
    checkpoint_steps: Annotated[
        int | None, Option("Steps between checkpoints, beside the seconds.", least=1)
    ] = None
    checkpoint_s: Annotated[
        float, Option("Seconds between checkpoints.", unit="seconds", above=0)
    ] = 60.0
    to: Annotated[
        str | Path | None, Option("Also copy the checkpoint to this folder.", output="folder")
    ] = None

    def __post_init__(self) -> None:
        Settings.__post_init__(self)  # looks at the options of a request too

    def perform(self) -> Artifact:
        """Return the student: checkpoint, telemetry and card."""
        from rankmill.mining.store import files
        from rankmill.training.trainer import train_student

        several = self.groups if isinstance(self.groups, Sequence) else [self.groups]
        if not several:
            raise UsageError("a blend of no groups", do="name one or more")
        if len(several) == 1 and self.weights is not None:
            raise UsageError(
                f"weights={self.weights} of a single groups artifact, which is no blend",
                do="name several, --groups a,b, or leave weights out",
            )
        made = train_student(
            several[0].workspace,
            **self.given("to"),
            collection=_of(several[0])["collection"] if len(several) == 1 else None,
            executor=self.where,
        )
        if self.to is not None:
            files.copy_tree(made.check_content().path / "model", path_given(self.to))
        return made


@dataclass(frozen=True)
class Rerank(RunsModels, Request["Artifact"]):
    """Let a student, or any teacher, re-rank the first documents of a run; the result is a run.

    Example: rankmill rerank --student nf-student --run nf-bm25 --name reranked
    Example: rankmill rerank --student "cross_encoder(model=PATH)" --run nf-bm25
    """

    verb: ClassVar[str] = "rerank"

    student: Annotated[Artifact | str | Path, RERANKER]
    run: Annotated[Artifact, Option("The run to re-rank.", of="run")]
    _: KW_ONLY
    depth: Annotated[
        int, Option("How many documents of each list to re-rank.", unit="documents", least=1)
    ] = DEFAULT_DEPTH
    compute: Annotated[str, COMPUTE] = "float32"
    encode: Annotated[str, ENCODE] = "corpus"

    def perform(self) -> Artifact:
        """Return the run in the student's order."""
        from rankmill.training.student_runs import rerank_with

        return rerank_with(
            self.run.workspace,
            self.student,
            self.run,
            **_of(self.run),
            **self.given("student", "run"),
            executor=self.where,
        )


@dataclass(frozen=True)
class Retrieve(RunsModels, Request["Artifact"]):
    """Let a bi-encoder student search the whole corpus; the result is a run."""

    verb: ClassVar[str] = "retrieve"

    student: Annotated[Artifact | str | Path, STUDENT]
    collection: Annotated[Collection, COLLECTION]
    _: KW_ONLY
    split: Annotated[str, SPLIT]
    depth: Annotated[int, DEPTH] = DEFAULT_DEPTH
    compute: Annotated[str, COMPUTE] = "float32"

    def perform(self) -> Artifact:
        """Return the run of the student's exact search."""
        from rankmill.training.student_runs import retrieve_with

        return retrieve_with(
            self.collection.artifact.workspace, **self.given(), executor=self.where
        )


@dataclass(frozen=True)
class Evaluate(RunsModels, Request["Artifact"]):
    """Evaluate a run, a student on a first stage, or a student's own search of the corpus.

    On the command line, BM25 and the first stage are evaluated too, with paired differences in the
    first measure.

    Example: rankmill eval --run run.txt -c nf --split test --measures "nDCG@10 AP R@100"
    Example: rankmill eval --student nf-student --first-stage nf-bm25
    Example: rankmill eval --student DIR -c nf --split test
    """

    verb: ClassVar[str] = "evaluate"
    command: ClassVar[str] = "eval"

    run: Annotated[
        Artifact | str | Path | None,
        Option("A run, scores of a pool, or a TREC file.", of="run or scores"),
    ] = None
    _: KW_ONLY
    student: Annotated[Artifact | str | Path | None, RERANKER] = None
    first_stage: Annotated[
        Artifact | None, Option("The run that the student re-ranks.", of="run")
    ] = None
    collection: Annotated[Collection | None, COLLECTION] = None
    split: Annotated[str | None, SPLIT] = None
    depth: Annotated[
        int,
        Option("How many documents of the first stage, or of a search.", unit="documents", least=1),
    ] = DEFAULT_DEPTH
    encode: Annotated[str, ENCODE] = "corpus"
    measures: Annotated[str, Option("ir_measures names, PairRisk(…); the first is compared.")] = (
        MEASURES
    )
    ties: Annotated[
        str,
        Option(
            "How ties are ordered: list (as ranked) or trec (as trec_eval does).",
            choices=("list", "trec"),
        ),
    ] = "list"
    compute: Annotated[str, COMPUTE] = "float32"
    order: Annotated[str, ORDER] = "score"
    sign: Annotated[int, SIGN] = 1
    unknown: Annotated[str, UNKNOWN] = "error"
    self: Annotated[str, SELF] = "exclude"

    def perform(self) -> Artifact:
        """Return the evaluation: a value of each measure for every judged query."""
        from rankmill.training.evaluation import evaluate_run
        from rankmill.training.measures import parse_measures

        parse_measures(self.measures)  # refused before a student ranks anything
        judged = self.judged
        return evaluate_run(
            judged.workspace,
            judged,
            **_of(judged),
            measures=self.measures,
            ties=self.ties,
            self_rule=self.self,
            executor=self.where,
        )

    @property
    def judged(self) -> Artifact:
        """The run that is judged: given, read from a file, or made by the student."""
        from rankmill.mining.store import Artifact

        run, student = self.run, self.student
        if (run is None) == (student is None):
            said = f"both run={run!r} and student={student!r} were"
            said = "nothing was" if run is None else said
            raise UsageError(
                f"name what to evaluate: {said} given", do="give run or student, one of them"
            )
        if run is None or isinstance(run, Artifact):
            self._refuse_reading()
        if student is not None and self.first_stage is not None:
            given = self.given_to(Rerank) | {"student": student, "run": self.first_stage}
            return Rerank(**given).make()
        if isinstance(run, Artifact):
            made = self._ranked(run) if run.kind == "scores" else run
            self._refuse_others(made)
            return made
        if self.collection is None or self.split is None:
            judged = f"run={run}" if run is not None else f"student={student!r}"
            raise UsageError(
                f"which queries, which judgements? {judged} says none",
                do="name the collection and the split"
                + ("" if run is not None else "; or --first-stage, a run of theirs to re-rank"),
            )
        if run is None:
            return Retrieve(**self.given_to(Retrieve)).make()
        return ImportRun(path=run, **self.given_to(ImportRun)).make()

    def _refuse_others(self, run: Artifact) -> None:
        """Raise UsageError for what says something else than the run that is judged."""
        if self.first_stage is not None:
            raise UsageError(
                f"first_stage={self.first_stage!r} of a run: it is what a student orders anew",
                do="leave it out, or name a student in the place of the run",
            )
        own = run.metadata.get("split")
        if self.split not in (None, own):
            raise UsageError(
                f"split={self.split!r} of a run of the split {own!r}",
                where=run.path,
                do="leave split out, or name a run of that split",
            )

    def _refuse_reading(self) -> None:
        """Raise UsageError for options that say how a file is read, where none is."""
        for name, default in (("order", "score"), ("sign", 1), ("unknown", "error")):
            if (value := getattr(self, name)) != default:
                raise UsageError(
                    f"{name}={value} says how a run file is read, and none is",
                    do="import the file with it, and evaluate that run",
                )

    def _ranked(self, scores: Artifact) -> Artifact:
        """Return the run in which scores put the documents of their pool."""
        from rankmill.training.scored_lists import run_of_scores

        about = _of(scores.input("pool"))
        return run_of_scores(
            scores.workspace, scores, about["collection"], about["split"], self.where
        )


@dataclass(frozen=True)
class Compare(Request["Artifact"]):
    """Compare evaluations of the same queries pair by pair, adjusted by Holm over the family.

    Example: rankmill compare nf-a nf-b --measure nDCG@10 --margin 0.02
    Example: rankmill compare hard=h1+h2+h3 easy=e1+e2+e3 --margin 0.02
    """

    verb: ClassVar[str] = "compare"
    sharded: ClassVar[bool] = False
    alone: ClassVar[str] = "values that are there are compared, by one process"

    systems: Annotated[
        Mapping[str, Artifact | Sequence[Artifact]],
        Option(
            "Names of evaluations; seeds as LABEL=NAME+NAME+NAME.", of="evaluation", argument=True
        ),
    ]
    _: KW_ONLY
    measure: Annotated[str, Option("Which of the measures is compared.")] = "nDCG@10"
    pairs: Annotated[
        Sequence[tuple[str, str]] | None,
        Option("A:B of the family; default: all pairs.", example="near:far"),
    ] = None
    margin: Annotated[
        float | None,
        Option("Also test whether the difference is within ±margin.", above=0),
    ] = None
    alpha: Annotated[float, Option("Level of the equivalence tests.", above=0, below=0.5)] = 0.05
    draws: Annotated[int, Option("Sign flips of the randomisation test.", least=1)] = 10_000
    seed: Annotated[int, SEED] = 0

    def perform(self) -> Artifact:
        """Return the comparison, one row per pair; `read_comparisons` reads it back."""
        from rankmill.training.comparison import compare_evaluations

        made = _lists(self.systems)
        if not any(made.values()):
            raise UsageError(
                f"systems={self.systems!r}: there is nothing to compare",
                do='name two evaluations or more, {"near": EVALUATION, "far": EVALUATION}',
            )
        where = next(a.workspace for given in made.values() for a in given)
        return compare_evaluations(where, made, **self.given("systems"))


@dataclass(frozen=True)
class Diagnose(RunsModels, Request["Artifact"]):
    """Compare a student with the teacher group by group: KL, Kendall's τ, variance, collapse.

    Statistics like the others: show, summary (--beside other statistics) and cut read them.
    Example: rankmill diagnose --student nf-student --groups nf-groups --name nf-diagnosis
    """

    verb: ClassVar[str] = "diagnose"

    student: Annotated[Artifact | str | Path, STUDENT]
    groups: Annotated[Artifact | None, GROUPS] = None
    _: KW_ONLY
    scores: Annotated[
        Artifact | None, Option("Without groups: a teacher's, whole lists.", of="scores")
    ] = None
    statistics: Annotated[Names | None, Option("One column; may be repeated.", flag="-s")] = None
    compute: Annotated[str, COMPUTE] = "float32"

    def perform(self) -> Artifact:
        """Return statistics over the rows of the groups or lists."""
        from rankmill.training.diagnosis import diagnose_student

        measured = _one_of(self.groups, self.scores, "compare on")
        return diagnose_student(
            measured.workspace,
            self.student,
            measured,
            self.statistics,
            compute=self.compute,
            executor=self.where,
        )


@dataclass(frozen=True)
class OrderDesigns(Request["Terms"]):
    """Order designs by the measured terms of Theorem 2.1, next to the order that was observed.

    Δ, H, κ, n and our reconstruction of the theorem (docs/quantities.md §5): an order, not a bound.
    Example: rankmill terms near=s1 far=s2 rand=s3 --against near=e1 --against far=e2
    """

    verb: ClassVar[str] = "terms"
    stored: ClassVar[bool] = False
    sharded: ClassVar[bool] = False
    alone: ClassVar[str] = "figures that are there are ordered, by one process"

    designs: Annotated[
        Mapping[str, Artifact],
        Option(
            "Statistics of groups, with an encoder: LABEL=NAME.", of="statistics", argument=True
        ),
    ]
    _: KW_ONLY
    against: Annotated[
        Mapping[str, Artifact | Sequence[Artifact]] | None,
        Option("LABEL=EVAL+EVAL: evaluations of the design's students.", of="evaluation"),
    ] = None
    measure: Annotated[str, Option("Which measure is the observed order.")] = "nDCG@10"
    locality: Annotated[
        str | None, Option("Column of Δ; default: the first diameter, or radius.")
    ] = None
    entropy: Annotated[str | None, Option("Column of H; default: the first pair_entropy.")] = None
    n: Annotated[
        str,
        Option("n under the root: queries, groups, documents, pairs.", flag="--n"),
    ] = "queries"
    weights: Annotated[
        tuple[float, float], Option("Of the two terms in the combined order.", example="1,1")
    ] = (1.0, 1.0)
    resamples: Annotated[int, Option("Bootstrap resamples of the agreement.", least=1)] = 1000
    seed: Annotated[int, SEED] = 0

    def perform(self) -> Terms:
        """Return the terms of every design and the orders they give."""
        from rankmill.training.ordering import order_designs

        one = _one_each(self.designs, "a design has one")
        return order_designs(one, _lists(self.against or {}), **self.given("designs", "against"))


def _one_each(given: Mapping[str, Artifact | Sequence[Artifact]], do: str) -> dict[str, Artifact]:
    """Return one artifact by label; raises UsageError where a label has several."""
    for label, several in (lists := _lists(given)).items():
        if len(several) != 1:
            kinds = " and ".join(dict.fromkeys(one.kind for one in several)) or "nothing"
            raise UsageError(f"{label!r} names {len(several)} {kinds}", do=do)
    return {label: several[0] for label, several in lists.items()}


def _lists(given: Mapping[str, Artifact | Sequence[Artifact]]) -> dict[str, list[Artifact]]:
    """Return lists of artifacts by label."""
    return {
        label: list(one) if isinstance(one, Sequence) else [one] for label, one in given.items()
    }


# ---- looking at groups -----------------------------------------------------------------------


@dataclass(frozen=True)
class Audit(Request[dict[str, Any]]):
    """Look for false negatives, copies, leakage and imbalance in groups.

    Ends with status 1 when something is there that must not be. Example: rankmill audit --groups
    nf-groups --against test
    """

    verb: ClassVar[str] = "audit"
    stored: ClassVar[bool] = False
    panel: ClassVar[str] = "Examine"
    sharded: ClassVar[bool] = False
    alone: ClassVar[str] = "it runs on every core of this machine by itself"

    groups: Annotated[Artifact, GROUPS]
    _: KW_ONLY
    against: Annotated[
        Names | None,
        Option(
            "A split to look for leakage, or COLLECTION:SPLIT; default: all other splits.",
            flag="--against",
        ),
    ] = None
    runs: Annotated[
        Sequence[Artifact], Option("An evaluation run: how much is trained on?", of="run")
    ] = ()
    beside: Annotated[
        Sequence[Artifact],
        Option("Other groups: which negatives are shared?", of="groups", flag="--beside"),
    ] = ()
    overlap: Annotated[float, Option("Text overlap of near copies.", least=0.7, most=1)] = 0.8
    examples: Annotated[int, Option("Examples of each kind to read.", least=0)] = 5

    def perform(self) -> dict[str, Any]:
        """Return what was found, as plain values."""
        from rankmill.mining.audit.checks import audit_groups

        return audit_groups(
            self.groups.workspace,
            **self.given("overlap"),
            at_least=self.overlap,
            collection=_of(self.groups)["collection"],
        )


@dataclass(frozen=True)
class Explain(Request["Explanation"]):
    """Show, for every candidate of a query, who found it, its score, and why it was kept or not.

    Example: rankmill explain PLAIN-3 --groups nf-groups
    """

    verb: ClassVar[str] = "explain"
    stored: ClassVar[bool] = False
    panel: ClassVar[str] = "Examine"
    sharded: ClassVar[bool] = False
    alone: ClassVar[str] = "it looks at one query"

    groups: Annotated[Artifact, GROUPS]
    query_id: Annotated[str, Option("The query's external id.", argument=True)]

    def perform(self) -> Explanation:
        """Return every candidate of the query with its fate."""
        from rankmill.mining.audit.explain import explain_query

        return explain_query(self.groups.workspace, self.groups, self.query_id)


# ---- exchange --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Export(Request["Exported"]):
    """Write groups in the layout of another trainer; the seed draws which negatives stay.

    A format that cannot hold the teacher's scores needs --allow-lossy. `rankmill export list` names
    the formats; docs/exports.md describes them.

    Example: rankmill export sentence-transformers --groups nf-groups --to DIR
    Example: rankmill export tevatron --set titles=true --groups nf-groups --to DIR
    """

    verb: ClassVar[str] = "export"
    stored: ClassVar[bool] = False
    panel: ClassVar[str] = "Exchange"
    sharded: ClassVar[bool] = False
    alone: ClassVar[str] = "files are written once, in order, by one process"

    format: Annotated[
        str,
        Option(
            "Such as sentence-transformers, colbert; 'list' names them all.",
            argument=True,
            example="sentence-transformers",
        ),
    ]
    groups: Annotated[Artifact, GROUPS]
    _: KW_ONLY
    to: Annotated[str | Path, Option("A folder, new or empty.", output="folder")]
    scores: Annotated[
        Artifact | None,
        Option("Write these scores instead of the groups' own.", of="scores"),
    ] = None
    size: Annotated[
        int | None, Option("Documents per group, if fewer.", unit="documents", least=2)
    ] = None
    allow_lossy: Annotated[bool, Option("Write formats without teacher scores.")] = False
    missing: Annotated[str, Option("Groups without a score.", choices=("error", "drop_group"))] = (
        "error"
    )
    settings: Annotated[
        Mapping[str, Any] | None,
        Option("A parameter of the format: key=value.", flag="--set", example="titles=true"),
    ] = None
    seed: Annotated[int, SEED] = 0

    def perform(self) -> Exported:
        """Return the folder that was written, and what stands in it."""
        from rankmill.mining.derive import rescore_groups
        from rankmill.mining.exports import export_groups

        groups = self.groups
        if self.scores is not None and groups.inputs.get("scores") != self.scores.fingerprint:
            groups = rescore_groups(groups.workspace, groups, self.scores, executor=self.where)
        return export_groups(
            groups=groups,
            collection=_of(groups)["collection"],
            **self.given("groups", "scores"),
        )


PATH = Option("A file, or the folder that holds its shards.", argument=True)
KIND = Option("Of teacher scores: logit, log-prob, probability, similarity, rank.")


@dataclass(frozen=True)
class ImportRun(Request["Artifact"]):
    """Read a TREC run or Parquet of its columns; with `system` a file of negatives without scores.

    Lines of queries that the split or the collection lacks are left out and counted, and so are
    queries whose ranks say the opposite of their scores.
    """

    verb: ClassVar[str] = "import_run"
    command: ClassVar[str] = "import"
    panel: ClassVar[str] = "Exchange"
    sharded: ClassVar[bool] = False
    alone: ClassVar[str] = "a file is read once, in order, by one process"

    path: Annotated[str | Path, PATH]
    collection: Annotated[Collection, COLLECTION]
    _: KW_ONLY
    split: Annotated[str, Option("Of a run: its queries.")]
    system: Annotated[
        str | None,
        Option(
            "Of files of negatives: a system of sentence-transformers' hard negatives, or triples, "
            "negative_passages, negative_document_ids, neg_doc, relations."
        ),
    ] = None
    tag: Annotated[
        str | None, Option("What the run is called; with it a file needs no tag column.")
    ] = None
    order: Annotated[str, ORDER] = "score"
    sign: Annotated[int, SIGN] = 1
    unknown: Annotated[str, UNKNOWN] = "error"

    def perform(self) -> Artifact:
        """Return the run."""
        from rankmill.mining.runs.files import import_run

        return import_run(
            self.collection.artifact.workspace,
            **self.given("tag"),
            tag=self.tag or self.system,
            executor=self.where,
        )


@dataclass(frozen=True)
class ImportScores(Request["Artifact"]):
    """Read teacher scores from JSON, JSON Lines, TSV, Parquet or a TREC run.

    `score("stored(scores=NAME)", pool)` then takes them for the pairs of a pool.
    """

    verb: ClassVar[str] = "import_scores"
    command: ClassVar[str] = "import"
    panel: ClassVar[str] = "Exchange"
    sharded: ClassVar[bool] = False
    alone: ClassVar[str] = "a file is read once, in order, by one process"

    path: Annotated[str | Path, PATH]
    collection: Annotated[Collection, COLLECTION]
    _: KW_ONLY
    kind: Annotated[str, KIND]
    format: Annotated[
        str | None,
        Option(
            "Of scores: json, jsonl, tsv, parquet, trec; else by ending. Of groups: triple, "
            "datasets, rows, colbert, tevatron, tevatron-megatron, flag-embedding, trove, rankers, "
            "flat, contrastors, lsr, matchmaker."
        ),
    ] = None
    unknown: Annotated[str, UNKNOWN] = "error"
    sign: Annotated[int, SIGN] = 1

    def perform(self) -> Artifact:
        """Return the scores."""
        from rankmill.mining.teachers.files.imported import import_scores

        held = self.collection
        return import_scores(
            held.artifact.workspace,
            self.path,
            held.corpus.artifact,
            held.queries.artifact,
            form=self.format,
            **self.given("path", "collection", "format"),
            executor=self.where,
        )


@dataclass(frozen=True)
class ImportGroups(Request["Artifact"]):
    """Read training groups of another trainer's layout: triple, colbert, tevatron, trove, …"""

    verb: ClassVar[str] = "import_groups"
    command: ClassVar[str] = "import"
    panel: ClassVar[str] = "Exchange"
    sharded: ClassVar[bool] = False
    alone: ClassVar[str] = "files are read once, in order, by one process"

    path: Annotated[str | Path, PATH]
    collection: Annotated[Collection, COLLECTION]
    _: KW_ONLY
    format: Annotated[
        str,
        Option(
            "Of groups: triple, datasets, rows, colbert, tevatron, tevatron-megatron, "
            "flag-embedding, trove, rankers, flat, contrastors, lsr, matchmaker."
        ),
    ]
    kind: Annotated[str, KIND]
    size: Annotated[
        int | None, Option("Of groups: documents kept of each.", unit="documents", least=2)
    ] = None
    on: Annotated[
        Names,
        Option(
            "Of groups: what is done with odd ones: KIND=ACTION, may be repeated (docs/data.md).",
            example="duplicate_document=keep_first",
        ),
    ] = ()

    def perform(self) -> Artifact:
        """Return the groups."""
        from rankmill.mining.groups.imported import import_groups

        return import_groups(
            self.collection.artifact.workspace,
            self.path,
            self.collection,
            form=self.format,
            **self.given("path", "collection", "format"),
            executor=self.where,
        )


REQUESTS: dict[str, type[Request[Any]]] = {one.verb: one for one in Request.__subclasses__()}
"""The verbs of Python and the request that each makes."""
