"""Scores that were computed elsewhere, as an artifact and as a teacher.

`import_scores` reads a file into a "scores" artifact once; the teachers `imported(path=…)` and
`stored(scores=NAME)` then answer for the pairs of any pool from it. Nothing is invented: a pair
that the file lacks is an error, or follows the policy that the teacher declares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ...actors import INLINE, Execution
from ...collection.handles import Corpus, Queries, TextTable, first_ten, resolve
from ...collection.lines import missing as missing_file
from ...collection.survey import blocks
from ...errors import BadInput, UsageError
from ...names import Call, parse
from ...pair_keys import docs_of, pair_keys, queries_of
from ...score_kinds import RANK, SCORE_KINDS
from ...store import Artifact, Output, Shard, Stage, Workspace, open_artifact, split_by_work
from ...store.files import sha256_of
from ...store.tables import SCORES
from ..base import CUTS_UNKNOWN, TEACHERS, Prepared, Scored, check_missing, prepares
from ..contract import RANGES, outside, range_text
from ..lookup import PairScores
from .ranks import rank_of, refuse_shared_ranks, scores_of_ranks
from .score_files import format_of, read_scores

UNKNOWN = ("error", "skip")
_SHARD_PAIRS = 4_000_000
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@TEACHERS.register("imported")
@dataclass(frozen=True, slots=True)
class Imported:
    """The scores of a file: JSON, JSON Lines, TSV, Parquet or a TREC run (`score_files`).

    `kind` says what the numbers are; with `kind=rank` ranks are read in place of scores (`ranks`).
    `sign=-1` turns distances round. `unknown=skip` leaves out
    pairs whose ids the collection lacks. `missing`: what becomes of a pool's pairs that the file
    lacks: error, drop_doc or drop_query.
    """

    path: str
    kind: str
    format: str | None = None
    missing: str = "error"
    unknown: str = "error"
    sign: int = 1

    def __post_init__(self) -> None:
        check_missing(self.missing)
        _check_file(self.kind, self.unknown, self.sign)


@TEACHERS.register("stored")
@dataclass(frozen=True, slots=True)
class Stored:
    """Scores that stand in the workspace already, by name: imported ones, or another teacher's."""

    scores: str
    missing: str = "error"

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
    executor: Execution = INLINE,
) -> Artifact:
    """Read a file of scores: one row for each of its queries, documents ascending.

    A pair may occur again with the same score, as in files of triples. Raises BadInput with the
    line for a score that is not a finite number or lies outside the range of its kind, for a pair
    with two scores, and with the first ten for ids that the collection lacks.
    """
    place = Path(path).expanduser().absolute()
    _check_file(kind, unknown, sign)
    named = format_of(place, form)
    if not place.is_file():
        raise missing_file(place)
    content = sha256_of(place)
    request = (str(place), content, named, str(corpus.path), str(queries.path), kind, unknown, sign)

    def plan() -> list[Shard]:
        _, offsets, _, _ = _read(*request).arrays
        return split_by_work(np.maximum(np.diff(offsets), 1), _SHARD_PAIRS)

    label = str(Call("imported", named=(("path", f"scores@{content[:8]}"), ("kind", kind))))
    stage = Stage(
        kind="scores",
        parameters={
            "teacher": label,
            "kind": kind,
            "content": content,
            "format": named,
            "unknown": unknown,
            "sign": sign,
        },
        inputs={"corpus": corpus, "queries": queries},
        schema=SCORES,
        shards=plan,
        worker=ScoreImporter,
        options={"request": request},
        metadata={
            "teacher": label,
            "kind": kind,
            "range": range_text(RANGES[kind]),
            "revision": content,
            "format": named,
        },
        check=lambda: _read(*request),
        unit="pairs",
    )
    artifact = workspace.build(stage, Execution(progress=executor.progress))  # one file, read once
    _read.cache_clear()
    return artifact


class ScoreImporter:
    """Writes a range of the file's queries."""

    def __init__(self, request: tuple[Any, ...]):
        self.file = _read(*request)

    def __call__(self, shard: Shard) -> Output:
        """Return the scores of the file's queries start…stop−1."""
        query, offsets, doc, score = self.file.arrays
        low, high = int(offsets[shard.start]), int(offsets[shard.stop])
        bounds = pa.array((offsets[shard.start : shard.stop + 1] - low).astype(np.int32))
        lists = [
            pa.ListArray.from_arrays(bounds, pa.array(values[low:high])) for values in (doc, score)
        ]
        skipped = {"unknown_ids": self.file.skipped} if self.file.skipped else {}
        return Output(
            pa.Table.from_arrays(
                [pa.array(query[shard.start : shard.stop]), *lists], schema=SCORES
            ),
            counts={"pairs": high - low, **(skipped if shard.number == 0 else {})},
        )


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


@dataclass(frozen=True, slots=True)
class _ScoreFile:
    """A file by ordinals: (queries, offsets, documents, scores), and rows left out."""

    arrays: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    skipped: int


@lru_cache(maxsize=1)
def _read(
    file: str,
    content: str,
    form: str,
    corpus: str,
    queries: str,
    kind: str,
    unknown: str,
    sign: int,
) -> _ScoreFile:
    """Read and check the whole file; `content` is its hash, so that the cache knows its age."""
    query_ids, doc_ids, scores, lines = _columns(Path(file), form, kind, sign)
    wrong = outside(scores, RANGES[kind])
    if len(wrong):
        raise BadInput(
            f"the score {scores[wrong[0]]:g} is no {kind}, whose range is "
            f"{range_text(RANGES[kind])} ({len(wrong):,} such scores)",
            where=f"{file}, line {lines[wrong[0]]}",
            do="declare the kind that these scores are; logit and similarity have no bounds",
        )
    query = _ordinals(query_ids, Queries(open_artifact(queries)), file, unknown)
    doc = _ordinals(doc_ids, Corpus(open_artifact(corpus)), file, unknown)
    known = (query >= 0) & (doc >= 0)
    keys = pair_keys(query[known], doc[known])
    order = np.argsort(keys, kind="stable")
    keys, values, at = keys[order], scores[known][order], lines[known][order]
    again = keys[1:] == keys[:-1]
    clash = np.flatnonzero(again & (values[1:] != values[:-1]))
    if len(clash):
        raise BadInput(
            f"{len(clash):,} pairs stand there with two scores, the first with "
            f"{values[clash[0]]:g} and {values[clash[0] + 1]:g}",
            where=f"{file}, lines {at[clash[0]]} and {at[clash[0] + 1]}",
            do="keep one score for each pair of query and document",
        )
    single = np.concatenate([[True], ~again]) if len(keys) else np.empty(0, dtype=bool)
    keys, values = keys[single], values[single]
    rows = queries_of(keys)
    if kind == RANK:
        refuse_shared_ranks(rows, values, at[single], file)
    distinct, starts = np.unique(rows, return_index=True)
    docs = docs_of(keys)
    return _ScoreFile((distinct, np.append(starts, len(rows)), docs, values), int((~known).sum()))


def _columns(
    path: Path, form: str, kind: str, sign: int
) -> tuple[pa.ChunkedArray, pa.ChunkedArray, np.ndarray, np.ndarray]:
    """Return query ids, doc ids, scores (float32) and line numbers."""
    pieces: list[tuple[Any, ...]] = []
    number = rank_of if kind == RANK else _number
    for block in blocks(read_scores(path, form, kind), 65_536):
        lines, query_ids, doc_ids, values = zip(*block, strict=True)
        pieces.append(
            (
                pa.array(query_ids, pa.string()),
                pa.array(doc_ids, pa.string()),
                np.array([number(v, path, n) for v, n in zip(values, lines, strict=True)]),
                np.array(lines, dtype=np.int64),
            )
        )
    if not pieces:
        raise BadInput("the file holds no score", where=path, do="check how it was written")
    query, doc, value, line = zip(*pieces, strict=True)
    numbers = np.concatenate(value)
    scores = scores_of_ranks(numbers) if kind == RANK else (sign * numbers).astype(np.float32)
    return pa.chunked_array(query), pa.chunked_array(doc), scores, np.concatenate(line)


def _number(value: Any, path: Path, line: int) -> float:
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not abs(score) <= _FLOAT32_MAX:
        raise BadInput(
            f"the score {value!r} is not a finite number",
            where=f"{path}, line {line}",
            do="leave pairs without a score out; nothing is written in their place",
        )
    return score


def _ordinals(ids: pa.ChunkedArray, table: TextTable, file: str, unknown: str) -> np.ndarray:
    """Return the ordinal of each id, −1 where it is unknown and may be."""
    coded = ids.combine_chunks().dictionary_encode()
    known = resolve(coded.dictionary, (part[table.id_column] for _, part in table.parts()))
    lost = np.flatnonzero(known < 0)
    if len(lost) and unknown == "error":
        names = coded.dictionary.take(pa.array(lost[:11])).to_pylist()
        raise BadInput(
            f"the file names {len(lost):,} unknown {table.plural}: {first_ten(names)}",
            where=file,
            do="is this the right collection? to leave such pairs out say unknown=skip",
        )
    return known[coded.indices.to_numpy()]


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
