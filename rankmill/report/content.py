"""What a report says, as plain values: the pipeline fills them, the page only draws.

Every part but the title may stay empty: its section is then left out. A `sampler` is the short
name under which a way of choosing groups appears in all pictures ("bm25", "dense", …); its colour
follows its place in `Report.samplers`. Arrays may be NumPy arrays or sequences of floats; values
that are not finite are left out of pictures and counted beneath them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from rankmill.mining.errors import UsageError
from rankmill.report.crossed import CostPicture, Interval

if TYPE_CHECKING:
    from rankmill.provenance.graph import Graph

Numbers = Sequence[float] | np.ndarray
Role = Literal["first stage", "teacher", "start", "student"]
CurveRole = Literal["teacher", "start", "student"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference of means against another system on the same queries.

    `p` is the p-value of the paired test; `low`, `high` the 95 % interval where there is one;
    `reason` says why there is none, or where it is cut.
    """

    against: str
    value: float
    p: float
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class System:
    """One row of the table of systems. `scores`, `differences`, `measures` are keyed by domain.

    `measures`: what else was measured, such as AP and Judged@10, by its name. `searches`: the
    system searches the corpus itself, which the pictures leave to the tables.
    """

    name: str
    role: Role
    scores: Mapping[str, Interval]
    differences: Mapping[str, Sequence[Difference]] = field(default_factory=dict)
    sampler: str | None = None
    measures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    searches: bool = False


@dataclass(frozen=True, slots=True)
class Overall:
    """A column over several domains: `values` by the name of the system; `title` says what mean,
    `reason` why none of its means has an interval."""

    title: str
    values: Mapping[str, Interval | float]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two samplers' students against each other on one domain.

    `difference` has the t-test's p after Holm, `p_randomisation` is that of the sign flips, after
    Holm too. `verdict`: equivalent, different or undecided; None without a declared margin, with
    which `p_equivalence` (Holm) and `power` go. `seeds_share`: of the variance of the difference,
    what more queries would not remove; None with one seed.
    """

    domain: str
    a: str
    b: str
    difference: Difference
    p_randomisation: float
    margin: float | None = None
    verdict: str | None = None
    p_equivalence: float | None = None
    power: float | None = None
    deviations: Mapping[str, float] = field(default_factory=dict)
    seeds_share: float | None = None


@dataclass(frozen=True, slots=True)
class SourceRecall:
    """Share of judged positives in the first `depth` candidates of a source, query mean."""

    source: str
    depth: Numbers
    recall: Numbers


@dataclass(frozen=True, slots=True)
class Overlap:
    """Mean Jaccard overlap of the sources' first `depth` candidates; `jaccard` is n × n."""

    sources: Sequence[str]
    jaccard: Sequence[Numbers] | np.ndarray
    depth: int


@dataclass(frozen=True, slots=True)
class Statistic:
    """One statistic of every group, by sampler.

    `label` is the canonical text ("pair_entropy(T=1)"), `limits` the range of the statistic; the
    picture is cut to the data where they need less.
    """

    title: str
    label: str
    unit: str
    values: Mapping[str, Numbers]
    limits: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class RankCurve:
    """Score against rank ratio of one model on one panel, means over queries (sorted by score).

    `role` gives the look: teacher dark, start dashed grey, student in its sampler's colour.
    `y` must be positive on a logarithmic axis; `low`, `high` bound the light band. `fit`: the
    power law fitted to it, in words. `loss`: short name, where there are several.
    """

    sampler: str
    role: CurveRole
    ratio: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    fit: str = ""
    loss: str = ""


@dataclass(frozen=True, slots=True)
class RankPanels:
    """One panel of curves per loss and sampler with shared axes; `note` says what is fitted."""

    curves: Sequence[RankCurve]
    y_label: str = "probability (softmax over the list)"
    log_y: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True)
class Training:
    """What a trainer logged per step: loss, global gradient norm before clipping.

    `excess` is the loss above its floor, step by step (the smallest loss that can be reached, the
    teacher's own entropy, whose mean is `floor`); `norm_variance` that of the norm over the last
    steps. None = unknown. `loss_name`: short name, where there are several. `short`: how many steps
    are left out because they had fewer groups than a batch.
    """

    sampler: str
    step: Numbers
    loss: Numbers
    gradient_norm: Numbers
    loss_name: str = "loss"
    unit: str = "nats"
    floor: float | None = None
    excess: Numbers | None = None
    norm_variance: Numbers | None = None
    short: int = 0


@dataclass(frozen=True, slots=True)
class Gain:
    """A student's cost had its sampler been the only one, in seconds, and its gain on a domain."""

    domain: str
    system: str
    mining: float
    teacher: float
    groups: float
    training: float
    pairs: int
    gained: Difference
    per_hour: float
    front: bool


@dataclass(frozen=True, slots=True)
class DesignTerms:
    """One sampler's groups by the terms of Theorem 2.1, and how its students did (None: unknown).

    `ratios`: (column, share infinite, median) of κ per target; `amount`: n by way of counting;
    `predicted`: by name of the prediction.
    """

    sampler: str
    diameter: float
    entropy_bits: float
    ratios: Sequence[tuple[str, float, float]]
    amount: Mapping[str, int]
    predicted: Mapping[str, float]
    observed: float | None = None


@dataclass(frozen=True, slots=True)
class Theory:
    """The table of terms: its rows, the columns of Δ and H, what n counts, the observed measure,
    and how far the orders agree, in words."""

    rows: Sequence[DesignTerms]
    locality: str
    entropy: str
    n: str
    measure: str = ""
    agreement: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one artifact cost to make. None = not measured (never 0).

    `first_s`: compiling and importing; with `overhead_s` beside `cpu_s`, not in it.
    """

    stage: str
    name: str
    wall_s: float
    cpu_s: float | None = None
    gpu_s: float | None = None
    peak_bytes: int | None = None
    stored_bytes: int | None = None
    pairs: int | None = None
    tokens: int | None = None
    first_s: float | None = None
    overhead_s: float | None = None


@dataclass(frozen=True, slots=True)
class Books:
    """Queries into a stage, out of it, and dropped by reason; they must balance."""

    stage: str
    queries_in: int
    queries_out: int
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.queries_in != self.queries_out + sum(self.dropped.values()):
            raise UsageError(
                f"the books of {self.stage!r} do not balance: {self.queries_in} in, "
                f"{self.queries_out} out, {sum(self.dropped.values())} dropped"
            )


@dataclass(frozen=True, slots=True)
class Provenance:
    """One artifact: readable name, kind, canonical parameters, root hash, rows."""

    name: str
    kind: str
    text: str
    root_hash: str
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All that the page shows.

    The first screen: `question` (where the title asks none), `lead` (what was compared), `answer`
    in three sentences, `picture` of gain against cost, `caveats`. `graph`: what was made of what.
    `key`: a hash of everything that is shown.
    `domains` are the evaluation sets in the order of the table, in domain first; they key
    `System.scores`; `kinds` says of each whether it is in-domain. `samplers` fixes order and
    colours of the samplers on all pictures. `scope` says what the intervals of students are over.
    """

    title: str
    question: str = ""
    lead: Sequence[str] = ()
    answer: Sequence[str] = ()
    caveats: Sequence[str] = ()
    picture: CostPicture | None = None
    measure: str = "nDCG@10"
    scope: str = "over queries"
    domains: Sequence[str] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    samplers: Sequence[str] = ()
    systems: Sequence[System] = ()
    overall: Sequence[Overall] = ()
    pairs: Sequence[Pair] = ()
    recall: Sequence[SourceRecall] = ()
    overlap: Overlap | None = None
    statistics: Sequence[Statistic] = ()
    ranks: RankPanels | None = None
    training: Sequence[Training] = ()
    gains: Sequence[Gain] = ()
    theory: Theory | None = None
    costs: Sequence[StageCost] = ()
    books: Sequence[Books] = ()
    provenance: Sequence[Provenance] = ()
    graph: Graph | None = None
    environment: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    key: str = ""

    def __post_init__(self) -> None:
        named = {
            *(system.sampler for system in self.systems if system.sampler is not None),
            *(sampler for statistic in self.statistics for sampler in statistic.values),
            *(curve.sampler for curve in (self.ranks.curves if self.ranks else ())),
            *(training.sampler for training in self.training),
        }
        if unknown := sorted(named - set(self.samplers)):
            raise UsageError(
                f"samplers {', '.join(unknown)} are drawn but not listed",
                where="Report.samplers",
                do="list every sampler once; the order gives the colours",
            )
        for system in self.systems:
            if missing := sorted(set(system.scores) - set(self.domains)):
                raise UsageError(
                    f"system {system.name!r} has scores for unknown domains {', '.join(missing)}",
                    where="Report.domains",
                    do="list every evaluation set once",
                )
