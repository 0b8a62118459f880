"""Scores that were computed elsewhere, as an artifact and as a teacher.

`import_scores` reads a file into a "scores" artifact once; the teachers `imported(path=…)` and
`stored(scores=NAME)` then answer for the pairs of any pool from it. Nothing is invented: a pair
that the file lacks is an error, or follows the policy that the teacher declares.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np

from ...actors import INLINE, Execution
from ...errors import BadInput, UsageError
from ...inputs.given_paths import path_given
from ...inputs.id_map import ID_MAP
from ...names import Call, parse
from ...options import Option
from ...parts.costs import FILE
from ...parts.parameters import SIGN, STORED, UNKNOWN_IDS, UNSCORED
from ...score_kinds import RANK, SCORE_KINDS
from ...store import Artifact, Output, Shard, Stage, Workspace, open_artifact, split_by_work
from ...store.files import sha256_of
from ...store.tables import SCORES
from ...store.workspace import fingerprint_of
from ..base import CUTS_UNKNOWN, TEACHERS, Prepared, Scored, check_missing, prepares
from ..contract import RANGES, range_text, survey_given, tell_arrival
from ..lookup import PairScores
from . import sorting
from .score_files import files_of, format_of
from .sorted_runs import Pairs, Runs
from .sorting import Request

UNKNOWN = ("error", "skip")
_SHARD_PAIRS = 4_000_000


@TEACHERS.register("imported", FILE)
@dataclass(frozen=True, slots=True)
class Imported:
    """The scores of a file: JSON, JSON Lines, TSV, Parquet or a TREC run (`score_files`).

    `kind` says what the numbers are; with `kind=rank` ranks are read in place of scores (`ranks`).
    `sign=-1` turns distances round. `unknown=skip` leaves out
    pairs whose ids the collection lacks. `missing`: what becomes of a pool's pairs that the file
    lacks: error, drop_doc or drop_query.
    """

    path: Annotated[str, Option("The file of scores.", example="FILE")]
    kind: Annotated[
        str, Option("logit, log-prob, probability, similarity, or rank.", example="logit")
    ]
    format: Annotated[
        str | None, Option("json, jsonl, tsv, parquet or trec; default: by the ending.")
    ] = None
    missing: Annotated[str, UNSCORED] = "error"
    unknown: Annotated[str, UNKNOWN_IDS] = "error"
    sign: Annotated[int, SIGN] = 1

    def __post_init__(self) -> None:
        check_missing(self.missing)
        _check_file(self.kind, self.unknown, self.sign)


@TEACHERS.register("stored")
@dataclass(frozen=True, slots=True)
class Stored:
    """Scores that stand in the workspace already, by name: imported ones, or another teacher's."""

    scores: Annotated[str, STORED]
    missing: Annotated[str, UNSCORED] = "error"

    def __post_init__(self) -> None:
        check_missing(self.missing)


def import_scores(
    workspace: Workspace,
    path: str | Path,
    corpus: Artifact,
    queries: Artifact,
    *,
    kind: str,
    form: str | None = None,
    unknown: str = "error",
    sign: int = 1,
    may_be_empty: bool = False,
    executor: Execution = INLINE,
) -> Artifact:
    """Read a file of scores: one row for each of its queries, documents ascending.

    A pair may occur again with the same score, as in files of triples. Raises BadInput with the
    line for a score that is no finite number or outside the range of its kind, for a pair with two,
    and with the first ten for ids that the collection lacks; also for a file that knows no pair of
    it, unless it `may_be_empty`. What is odd is counted, and told in a warning (`contract`).
    """
    place = path_given(path).absolute()
    _check_file(kind, unknown, sign)
    named = format_of(place, form)
    sources = files_of(place, named)
    content = _content(sources)
    label = str(Call("imported", named=(("path", f"scores@{content[:8]}"), ("kind", kind))))
    inputs = {"corpus": corpus, "queries": queries}
    about = {"teacher": label, "kind": kind, "format": named}
    parameters = {
        **about,
        "content": content,
        "unknown": unknown,
        "sign": sign,
        "surveyed": 1,  # the manifest counts what is odd about lists and scores
    }
    request = Request(sources, named, corpus, queries, kind, unknown, sign, may_be_empty)
    scratch = workspace.root / "tmp" / fingerprint_of("scores", parameters, inputs) / "sorted"
    stage = Stage(
        kind="scores",
        parameters=parameters,
        inputs=inputs,
        schema=SCORES,
        shards=lambda: split_by_work(sorting.pairs_of_queries(scratch), _SHARD_PAIRS),
        worker=ScoreImporter,
        options={"folder": scratch, "kind": kind},
        metadata={**about, "range": range_text(RANGES[kind]), "revision": content},
        check=lambda: sorting.sort_scores(request, scratch),
        unit="pairs",
    )
    artifact = workspace.build(stage, Execution(progress=executor.progress))  # one file, read once
    if not may_be_empty and not artifact.counts["pairs"]:  # a teacher has imported it before
        raise sorting.knows_nothing(place, artifact.examples.values())
    tell_arrival(artifact)
    return artifact


def _content(sources: list[Path]) -> str:
    """Return the hash of a file; of several, an id map beside them too, that of their names and
    hashes."""
    beside = sources[0].parent / ID_MAP
    sources = [*sources, *([beside] if beside.is_file() else [])]
    hashes = [sha256_of(source) for source in sources]
    if len(sources) == 1:
        return hashes[0]
    named = [f"{s.name} {h}" for s, h in zip(sources, hashes, strict=True)]
    return hashlib.sha256("\n".join(named).encode()).hexdigest()


class ScoreImporter:
    """Writes a range of the file's queries from its sorted runs."""

    def __init__(self, folder: Path, kind: str):
        self.runs, self.plan, self.kind = Runs(folder), sorting.plan_of(folder), kind

    def __call__(self, shard: Shard) -> Output:
        """Return the scores of the file's queries start…stop−1."""
        queries = self.plan.queries[shard.start : shard.stop]
        if len(queries):  # parts are done in their order: those before are there
            self.runs.free(int(queries[0]))
        pairs = Pairs(np.empty(0, np.uint64), np.empty(0, np.float32))
        if len(queries):
            pairs = self.runs.between(int(queries[0]), int(queries[-1]))
        if self.plan.first_rank:  # counted from 0 in the file
            pairs = Pairs(pairs.keys, pairs.scores - np.float32(self.plan.first_rank))
        counts, shown = {"pairs": len(pairs.keys)}, {}
        counts |= survey_given(pairs.scores, pairs.offsets, self.kind)
        if shard.number == 0 and self.plan.skipped:
            counts["unknown_ids"], shown = self.plan.skipped, self.plan.shown
        return Output(pairs.table(), counts=counts, examples=shown)


@prepares(Imported)
def prepare_imported(
    workspace: Workspace, teacher: Imported, pool: Artifact, executor: Execution
) -> Prepared:
    """Import the file, then answer from it."""
    scores = import_scores(
        workspace,
        teacher.path,
        pool.input("corpus"),
        pool.input("queries"),
        kind=teacher.kind,
        form=teacher.format,
        unknown=teacher.unknown,
        sign=teacher.sign,
        may_be_empty=True,  # as a teacher it may know nothing of an evaluation set: see `missing`
        executor=executor,
    )
    return _from(scores, teacher.missing)


@prepares(Stored)
def prepare_stored(
    workspace: Workspace, teacher: Stored, pool: Artifact, executor: Execution
) -> Prepared:
    """Answer from a scores artifact; raises BadInput for scores of another collection."""
    scores = workspace.find(teacher.scores, "scores")
    for role in ("corpus", "queries"):
        if scores.inputs[role] != pool.inputs[role]:
            raise BadInput(
                f"the scores {teacher.scores} are about another collection (its {role} differ)",
                where=scores.path,
                do="import or score for the collection that the pool was mined from",
            )
    return _from(scores, teacher.missing)


def _from(scores: Artifact, missing: str) -> Prepared:
    label = Call(
        "stored", named=(("scores", parse(scores.metadata["teacher"])), ("missing", missing))
    )
    keep = ("model", "revision", "max_length", "truncation", "dtype", "prompt")
    low, _, high = scores.metadata.get("range", "-inf..inf").partition("..")
    return Prepared(
        label=str(label),
        kind=scores.metadata["kind"],
        parameters={"scores": scores.fingerprint, "missing": missing, **CUTS_UNKNOWN},
        make=StoredScorer,
        options={"scores": str(scores.path)},
        pair_work=lambda query, doc: np.ones(len(query), dtype=np.int64),
        metadata={name: scores.metadata[name] for name in keep if name in scores.metadata},
        inputs={"scores": scores},
        span=(float(low), float(high)),
        missing=missing,
        cuts=False,  # texts were cut, if at all, when the scores were made
    )


class StoredScorer:
    """Looks pairs up in a scores artifact."""

    def __init__(self, scores: str):
        self.scores = PairScores(open_artifact(scores))

    def score(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return what is stored; a pair that is not is marked as absent."""
        scores = np.full(len(doc), np.nan, dtype=np.float32)
        absent = np.ones(len(doc), dtype=bool)
        if len(doc):
            self.scores.fill(query, doc, scores, absent)
        return Scored(scores, {"pairs_scored": 0}, absent)  # looked up, not computed

    def score_again(self, query: np.ndarray, doc: np.ndarray) -> Scored:
        """Return the same: nothing is computed here."""
        return replace(self.score(query, doc), usage={})


def _check_file(kind: str, unknown: str, sign: int) -> None:
    _check_choice("kind", kind, SCORE_KINDS)
    _check_choice("unknown", unknown, UNKNOWN)
    if kind == RANK and sign == -1:
        raise UsageError("sign=-1 turns scores round", do="leave it out: rank 1 is the best")
    if sign not in (1, -1):
        raise UsageError(f"sign={sign} is neither 1 nor -1", do="-1 where lower is better")


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{name}={value} is not known", do=f"one of {', '.join(known)}")
