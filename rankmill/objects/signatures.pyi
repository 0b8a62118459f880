"""Verbs and methods for type checkers and editors; tests/signatures.py writes this."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

from rankmill.mining.actors import Execution
from rankmill.mining.audit.explain import Explanation
from rankmill.mining.collection import Collection as Collected
from rankmill.mining.collection.overview import Overview
from rankmill.mining.exports import Exported
from rankmill.mining.store import Artifact, Workspace
from rankmill.objects.judged import Comparison, Evaluation
from rankmill.objects.kinds import (
    Collection,
    Groups,
    Pool,
    Run,
    Scores,
    Statistics,
    Student,
)
from rankmill.training.ordering import Terms

class PartValue(Protocol):
    """A value of a frozen dataclass: a source, a teacher, a statistic, a loss of one's own."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

Part: TypeAlias = str | Callable[..., Any] | PartValue
Names: TypeAlias = Sequence[str]

def collect(
    spec: str | None = None,
    *,
    documents: Any = None,
    queries: Any = None,
    qrels: Any = None,
    title: str = "title text",
    splits: Names = (),
    on: Names = (),
    fields: str | None = None,
    excluded_grade: int = -100,
    divide: Names = (),
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Collection:
    """Read documents, queries and judgements into memory-mapped Arrow."""

def survey(
    collection: Collected | str | Path,
    *,
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Overview:
    """Say what a collection holds and what is odd about it: sizes, lengths, copies,
    judgements."""

def rewrite(
    collection: Collected | str | Path,
    path: str | Path,
    *,
    split: str,
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Collection:
    """Add rewrites of queries to a split: q7~1 is the first of q7, with the same
    judgements."""

def mine(
    source: Part,
    collection: Collected | str | Path,
    *,
    split: str,
    depth: int = 100,
    seed: int = 0,
    trec: str | Path | None = None,
    self: str = "exclude",
    name: str | None = None,
    executor: Execution | None = None,
    device: str = "auto",
    batch_tokens: int | None = None,
    attention: str = "auto",
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Run:
    """Mine candidates for every query of a split."""

def pool(
    runs: Sequence[Artifact | str | Path],
    *,
    positives: bool = True,
    min_grade: int = 1,
    depth: int | None = None,
    self: str = "exclude",
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Pool:
    """Join runs: one row per query with every source's rank and score."""

def score(
    teacher: Part,
    pool: Artifact | str | Path,
    *,
    allow: int = 0,
    direction: str = "judged",
    name: str | None = None,
    executor: Execution | None = None,
    device: str = "auto",
    batch_tokens: int | None = None,
    attention: str = "auto",
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Scores:
    """Score every pair of a pool with a teacher, each pair once."""

def select(
    strategy: Part,
    pool: Artifact | str | Path,
    scores: Artifact | str | Path,
    *,
    size: int = 16,
    seed: int = 0,
    filters: Sequence[Part] = (),
    positives: str = "first",
    min_grade: int | None = None,
    when_short: str = "drop_query",
    missing: str = "error",
    encoder: str | None = None,
    copies: str = "folded",
    self: str = "exclude",
    name: str | None = None,
    executor: Execution | None = None,
    device: str = "auto",
    batch_tokens: int | None = None,
    attention: str = "auto",
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Groups:
    """Choose a training group for every query, positive first."""

def stats(
    groups: Artifact | str | Path | None = None,
    *,
    scores: Artifact | str | Path | None = None,
    statistics: Sequence[Part] | None = None,
    encoder: str | None = None,
    other: Mapping[str, Artifact | str | Path] | None = None,
    compat: str | None = None,
    min_grade: int | None = None,
    name: str | None = None,
    executor: Execution | None = None,
    device: str = "auto",
    batch_tokens: int | None = None,
    attention: str = "auto",
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Statistics:
    """Measure every group, or every query's whole list: teacher entropy, locality,
    agreement."""

def cross(
    pool: Artifact | str | Path,
    scores: Artifact | str | Path,
    *,
    encoder: str,
    locality: str = "radius",
    entropy: str | None = None,
    bins: int = 2,
    size: int = 16,
    seed: int = 0,
    filters: Sequence[Part] = (),
    positives: str = "first",
    min_grade: int | None = None,
    missing: str = "error",
    span: float = 0.5,
    tolerance: float = 0.1,
    locality_step: float = 0.01,
    entropy_step: float = 0.01,
    steps: int = 10000,
    copies: str = "folded",
    self: str = "exclude",
    name: str | None = None,
    executor: Execution | None = None,
    device: str = "auto",
    batch_tokens: int | None = None,
    attention: str = "auto",
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> dict[tuple[int, int], Groups]:
    """Give every query a group in each locality × entropy cell; compare with unblocked
    cells."""

def cut(
    groups: Artifact | str | Path,
    statistics: Artifact | str | Path,
    keep: str,
    *,
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Groups:
    """Keep some of the groups, by their statistics; a cut is named for what it keeps."""

def cells(
    groups: Artifact | str | Path,
    statistics: Artifact | str | Path,
    *,
    locality: str = "radius",
    entropy: str = "pair_entropy",
    bins: int = 2,
    seed: int = 0,
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> dict[tuple[int, int], Groups]:
    """Cut groups into locality × entropy cells, equal in groups, documents, pairs and
    positives."""

def subsample(
    groups: Artifact | str | Path,
    *,
    size: int,
    times: int = 1,
    seed: int = 0,
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Groups:
    """Draw smaller groups out of larger ones; positives stay."""

def retarget(
    groups: Artifact | str | Path,
    target: str | None = None,
    *,
    scores: Artifact | str | Path | None = None,
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Groups:
    """Give the same groups other labels; documents, Δ and κ stay as they are."""

def train(
    student: str,
    groups: Artifact | str | Path | Sequence[Artifact | str | Path],
    *,
    documents: int = 100000,
    batch: int = 16,
    micro: int | None = None,
    lr: float = 2e-05,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    clip: float = 1.0,
    seed: int = 0,
    query_length: int = 32,
    doc_length: int = 128,
    negatives: int | None = None,
    compute: str = "float32",
    validate_steps: int | None = None,
    patience: int = 0,
    pieces: int = 2,
    cache: int | None = None,
    recompute: bool = False,
    compile: bool = False,
    threads: int | None = None,
    weights: tuple[float, ...] | None = None,
    loss: Part = "kl",
    validation: Artifact | str | Path | None = None,
    checkpoint_steps: int | None = None,
    checkpoint_s: float = 60.0,
    to: str | Path | None = None,
    name: str | None = None,
    executor: Execution | None = None,
    device: str = "auto",
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Student:
    """Train a student on groups; if killed, it resumes from its last checkpoint."""

def rerank(
    student: Artifact | Part | Path,
    run: Artifact | str | Path,
    *,
    depth: int = 100,
    compute: str = "float32",
    encode: str = "corpus",
    name: str | None = None,
    executor: Execution | None = None,
    device: str = "auto",
    batch_tokens: int | None = None,
    attention: str = "auto",
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Run:
    """Let a student, or any teacher, re-rank the first documents of a run; the result is a
    run."""

def retrieve(
    student: Artifact | str | Path,
    collection: Collected | str | Path,
    *,
    split: str,
    depth: int = 100,
    compute: str = "float32",
    name: str | None = None,
    executor: Execution | None = None,
    device: str = "auto",
    batch_tokens: int | None = None,
    attention: str = "auto",
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Run:
    """Let a bi-encoder student search the whole corpus; the result is a run."""

def evaluate(
    run: Artifact | str | Path | None = None,
    *,
    student: Artifact | Part | Path | None = None,
    first_stage: Artifact | str | Path | None = None,
    collection: Collected | str | Path | None = None,
    split: str | None = None,
    depth: int = 100,
    encode: str = "corpus",
    measures: str = "nDCG@10 AP R@100 Judged@10",
    ties: str = "list",
    compute: str = "float32",
    order: str = "score",
    sign: int = 1,
    unknown: str = "error",
    self: str = "exclude",
    name: str | None = None,
    executor: Execution | None = None,
    device: str = "auto",
    batch_tokens: int | None = None,
    attention: str = "auto",
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Evaluation:
    """Evaluate a run, a student on a first stage, or a student's own search of the corpus."""

def compare(
    systems: Mapping[str, Artifact | str | Path | Sequence[Artifact | str | Path]],
    *,
    measure: str = "nDCG@10",
    pairs: Sequence[tuple[str, str]] | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
    draws: int = 10000,
    seed: int = 0,
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Compare evaluations of the same queries pair by pair, adjusted by Holm over the
    family."""

def diagnose(
    student: Artifact | str | Path,
    groups: Artifact | str | Path | None = None,
    *,
    scores: Artifact | str | Path | None = None,
    statistics: Sequence[Part] | None = None,
    compute: str = "float32",
    name: str | None = None,
    executor: Execution | None = None,
    device: str = "auto",
    batch_tokens: int | None = None,
    attention: str = "auto",
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Statistics:
    """Compare a student with the teacher group by group: KL, Kendall's τ, variance,
    collapse."""

def terms(
    designs: Mapping[str, Artifact | str | Path],
    *,
    against: Mapping[str, Artifact | str | Path | Sequence[Artifact | str | Path]] | None = None,
    measure: str = "nDCG@10",
    locality: str | None = None,
    entropy: str | None = None,
    n: str = "queries",
    weights: tuple[float, float] = (1.0, 1.0),
    resamples: int = 1000,
    seed: int = 0,
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Terms:
    """Order designs by the measured terms of Theorem 2.1, next to the order that was
    observed."""

def audit(
    groups: Artifact | str | Path,
    *,
    against: Names | None = None,
    runs: Sequence[Artifact | str | Path] = (),
    beside: Sequence[Artifact | str | Path] = (),
    overlap: float = 0.8,
    examples: int = 5,
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Look for false negatives, copies, leakage and imbalance in groups."""

def explain(
    groups: Artifact | str | Path,
    query_id: str,
    *,
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Explanation:
    """Show, for every candidate of a query, who found it, its score, and why it was kept
    or not."""

def export(
    format: str,
    groups: Artifact | str | Path,
    *,
    to: str | Path,
    scores: Artifact | str | Path | None = None,
    size: int | None = None,
    allow_lossy: bool = False,
    missing: str = "error",
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Exported:
    """Write groups in the layout of another trainer; the seed draws which negatives stay."""

def import_run(
    path: str | Path,
    collection: Collected | str | Path,
    *,
    split: str,
    system: str | None = None,
    tag: str | None = None,
    order: str = "score",
    sign: int = 1,
    unknown: str = "error",
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Run:
    """Read a TREC run or Parquet of its columns; with `system` a file of negatives without
    scores."""

def import_scores(
    path: str | Path,
    collection: Collected | str | Path,
    *,
    kind: str,
    format: str | None = None,
    unknown: str = "error",
    sign: int = 1,
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Scores:
    """Read teacher scores from JSON, JSON Lines, TSV, Parquet or a TREC run."""

def import_groups(
    path: str | Path,
    collection: Collected | str | Path,
    *,
    format: str,
    kind: str,
    size: int | None = None,
    on: Names = (),
    name: str | None = None,
    executor: Execution | None = None,
    workspace: Workspace | str | Path | None = None,
    progress: bool | None = None,
) -> Groups:
    """Read training groups of another trainer's layout: triple, colbert, tevatron, trove,
    …"""

class CollectionVerbs:
    def survey(
        self,
        /,
        *,
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Overview:
        """Say what a collection holds and what is odd about it: sizes, lengths, copies,
        judgements."""
    def rewrite(
        self,
        /,
        path: str | Path,
        *,
        split: str,
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Collection:
        """Add rewrites of queries to a split: q7~1 is the first of q7, with the same
        judgements."""
    def mine(
        _self,
        /,
        source: Part,
        *,
        split: str,
        depth: int = 100,
        seed: int = 0,
        trec: str | Path | None = None,
        self: str = "exclude",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Run:
        """Mine candidates for every query of a split."""
    def import_run(
        self,
        /,
        path: str | Path,
        *,
        split: str,
        system: str | None = None,
        tag: str | None = None,
        order: str = "score",
        sign: int = 1,
        unknown: str = "error",
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Run:
        """Read a TREC run or Parquet of its columns; with `system` a file of negatives without
        scores."""
    def import_scores(
        self,
        /,
        path: str | Path,
        *,
        kind: str,
        format: str | None = None,
        unknown: str = "error",
        sign: int = 1,
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Scores:
        """Read teacher scores from JSON, JSON Lines, TSV, Parquet or a TREC run."""
    def import_groups(
        self,
        /,
        path: str | Path,
        *,
        format: str,
        kind: str,
        size: int | None = None,
        on: Names = (),
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Groups:
        """Read training groups of another trainer's layout: triple, colbert, tevatron, trove,
        …"""

class RunVerbs:
    def pool(
        _self,
        /,
        *others: Run | str | Path,
        positives: bool = True,
        min_grade: int = 1,
        depth: int | None = None,
        self: str = "exclude",
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Pool:
        """Join runs: one row per query with every source's rank and score."""
    def score(
        self,
        /,
        teacher: Part,
        *,
        allow: int = 0,
        direction: str = "judged",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Scores:
        """Score every pair of a pool with a teacher, each pair once."""
    def rerank(
        self,
        /,
        student: Artifact | Part | Path,
        *,
        depth: int = 100,
        compute: str = "float32",
        encode: str = "corpus",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Run:
        """Let a student, or any teacher, re-rank the first documents of a run; the result is a
        run."""
    def evaluate(
        _self,
        /,
        *,
        measures: str = "nDCG@10 AP R@100 Judged@10",
        ties: str = "list",
        self: str = "exclude",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Evaluation:
        """Evaluate a run, a student on a first stage, or a student's own search of the corpus."""

class PoolVerbs:
    def score(
        self,
        /,
        teacher: Part,
        *,
        allow: int = 0,
        direction: str = "judged",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Scores:
        """Score every pair of a pool with a teacher, each pair once."""
    def select(
        _self,
        /,
        strategy: Part,
        scores: Artifact | str | Path,
        *,
        size: int = 16,
        seed: int = 0,
        filters: Sequence[Part] = (),
        positives: str = "first",
        min_grade: int | None = None,
        when_short: str = "drop_query",
        missing: str = "error",
        encoder: str | None = None,
        copies: str = "folded",
        self: str = "exclude",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Groups:
        """Choose a training group for every query, positive first."""
    def cross(
        _self,
        /,
        scores: Artifact | str | Path,
        *,
        encoder: str,
        locality: str = "radius",
        entropy: str | None = None,
        bins: int = 2,
        size: int = 16,
        seed: int = 0,
        filters: Sequence[Part] = (),
        positives: str = "first",
        min_grade: int | None = None,
        missing: str = "error",
        span: float = 0.5,
        tolerance: float = 0.1,
        locality_step: float = 0.01,
        entropy_step: float = 0.01,
        steps: int = 10000,
        copies: str = "folded",
        self: str = "exclude",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> dict[tuple[int, int], Groups]:
        """Give every query a group in each locality × entropy cell; compare with unblocked
        cells."""

class ScoresVerbs:
    def select(
        _self,
        /,
        strategy: Part,
        *,
        size: int = 16,
        seed: int = 0,
        filters: Sequence[Part] = (),
        positives: str = "first",
        min_grade: int | None = None,
        when_short: str = "drop_query",
        missing: str = "error",
        encoder: str | None = None,
        copies: str = "folded",
        self: str = "exclude",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Groups:
        """Choose a training group for every query, positive first."""
    def cross(
        _self,
        /,
        *,
        encoder: str,
        locality: str = "radius",
        entropy: str | None = None,
        bins: int = 2,
        size: int = 16,
        seed: int = 0,
        filters: Sequence[Part] = (),
        positives: str = "first",
        min_grade: int | None = None,
        missing: str = "error",
        span: float = 0.5,
        tolerance: float = 0.1,
        locality_step: float = 0.01,
        entropy_step: float = 0.01,
        steps: int = 10000,
        copies: str = "folded",
        self: str = "exclude",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> dict[tuple[int, int], Groups]:
        """Give every query a group in each locality × entropy cell; compare with unblocked
        cells."""
    def stats(
        self,
        /,
        *,
        statistics: Sequence[Part] | None = None,
        encoder: str | None = None,
        other: Mapping[str, Artifact | str | Path] | None = None,
        min_grade: int | None = None,
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Statistics:
        """Measure every group, or every query's whole list: teacher entropy, locality,
        agreement."""
    def diagnose(
        self,
        /,
        student: Artifact | str | Path,
        *,
        statistics: Sequence[Part] | None = None,
        compute: str = "float32",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Statistics:
        """Compare a student with the teacher group by group: KL, Kendall's τ, variance,
        collapse."""
    def evaluate(
        _self,
        /,
        *,
        measures: str = "nDCG@10 AP R@100 Judged@10",
        ties: str = "list",
        self: str = "exclude",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Evaluation:
        """Evaluate a run, a student on a first stage, or a student's own search of the corpus."""

class GroupsVerbs:
    def stats(
        self,
        /,
        *,
        scores: Artifact | str | Path | None = None,
        statistics: Sequence[Part] | None = None,
        encoder: str | None = None,
        other: Mapping[str, Artifact | str | Path] | None = None,
        compat: str | None = None,
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Statistics:
        """Measure every group, or every query's whole list: teacher entropy, locality,
        agreement."""
    def audit(
        self,
        /,
        *,
        against: Names | None = None,
        runs: Sequence[Artifact | str | Path] = (),
        beside: Sequence[Artifact | str | Path] = (),
        overlap: float = 0.8,
        examples: int = 5,
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> dict[str, Any]:
        """Look for false negatives, copies, leakage and imbalance in groups."""
    def explain(
        self,
        /,
        query_id: str,
        *,
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Explanation:
        """Show, for every candidate of a query, who found it, its score, and why it was kept
        or not."""
    def cut(
        self,
        /,
        statistics: Artifact | str | Path,
        keep: str,
        *,
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Groups:
        """Keep some of the groups, by their statistics; a cut is named for what it keeps."""
    def cells(
        self,
        /,
        statistics: Artifact | str | Path,
        *,
        locality: str = "radius",
        entropy: str = "pair_entropy",
        bins: int = 2,
        seed: int = 0,
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> dict[tuple[int, int], Groups]:
        """Cut groups into locality × entropy cells, equal in groups, documents, pairs and
        positives."""
    def subsample(
        self,
        /,
        *,
        size: int,
        times: int = 1,
        seed: int = 0,
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Groups:
        """Draw smaller groups out of larger ones; positives stay."""
    def retarget(
        self,
        /,
        target: str | None = None,
        *,
        scores: Artifact | str | Path | None = None,
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Groups:
        """Give the same groups other labels; documents, Δ and κ stay as they are."""
    def export(
        self,
        /,
        format: str,
        *,
        to: str | Path,
        scores: Artifact | str | Path | None = None,
        size: int | None = None,
        allow_lossy: bool = False,
        missing: str = "error",
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Exported:
        """Write groups in the layout of another trainer; the seed draws which negatives stay."""
    def train(
        self,
        /,
        student: str,
        *,
        documents: int = 100000,
        batch: int = 16,
        micro: int | None = None,
        lr: float = 2e-05,
        warmup: float = 0.1,
        weight_decay: float = 0.01,
        clip: float = 1.0,
        seed: int = 0,
        query_length: int = 32,
        doc_length: int = 128,
        negatives: int | None = None,
        compute: str = "float32",
        validate_steps: int | None = None,
        patience: int = 0,
        pieces: int = 2,
        cache: int | None = None,
        recompute: bool = False,
        compile: bool = False,
        threads: int | None = None,
        weights: tuple[float, ...] | None = None,
        loss: Part = "kl",
        validation: Artifact | str | Path | None = None,
        checkpoint_steps: int | None = None,
        checkpoint_s: float = 60.0,
        to: str | Path | None = None,
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Student:
        """Train a student on groups; if killed, it resumes from its last checkpoint."""
    def diagnose(
        self,
        /,
        student: Artifact | str | Path,
        *,
        statistics: Sequence[Part] | None = None,
        compute: str = "float32",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Statistics:
        """Compare a student with the teacher group by group: KL, Kendall's τ, variance,
        collapse."""

class StatisticsVerbs:
    def cut(
        self,
        /,
        keep: str,
        *,
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Groups:
        """Keep some of the groups, by their statistics; a cut is named for what it keeps."""
    def cells(
        self,
        /,
        *,
        locality: str = "radius",
        entropy: str = "pair_entropy",
        bins: int = 2,
        seed: int = 0,
        name: str | None = None,
        executor: Execution | None = None,
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> dict[tuple[int, int], Groups]:
        """Cut groups into locality × entropy cells, equal in groups, documents, pairs and
        positives."""

class StudentVerbs:
    def rerank(
        self,
        /,
        run: Artifact | str | Path,
        *,
        depth: int = 100,
        compute: str = "float32",
        encode: str = "corpus",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Run:
        """Let a student, or any teacher, re-rank the first documents of a run; the result is a
        run."""
    def retrieve(
        self,
        /,
        collection: Collected | str | Path,
        *,
        split: str,
        depth: int = 100,
        compute: str = "float32",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Run:
        """Let a bi-encoder student search the whole corpus; the result is a run."""
    def evaluate(
        _self,
        /,
        *,
        first_stage: Artifact | str | Path | None = None,
        collection: Collected | str | Path | None = None,
        split: str | None = None,
        depth: int = 100,
        encode: str = "corpus",
        measures: str = "nDCG@10 AP R@100 Judged@10",
        ties: str = "list",
        compute: str = "float32",
        order: str = "score",
        sign: int = 1,
        unknown: str = "error",
        self: str = "exclude",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Evaluation:
        """Evaluate a run, a student on a first stage, or a student's own search of the corpus."""
    def diagnose(
        self,
        /,
        groups: Artifact | str | Path | None = None,
        *,
        scores: Artifact | str | Path | None = None,
        statistics: Sequence[Part] | None = None,
        compute: str = "float32",
        name: str | None = None,
        executor: Execution | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
        attention: str = "auto",
        workspace: Workspace | str | Path | None = None,
        progress: bool | None = None,
    ) -> Statistics:
        """Compare a student with the teacher group by group: KL, Kendall's τ, variance,
        collapse."""
