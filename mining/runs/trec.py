"""Runs as TREC text: `query_id Q0 doc_id rank score tag`, for trec_eval and every other tool."""

from __future__ import annotations

from pathlib import Path

from ..collection.rows import Corpus, Queries
from ..errors import BadInput
from ..inputs.given_paths import path_given
from ..store import Artifact
from ..store.files import replacing
from .run import Run


def to_trec(run: Run | Artifact, path: str | Path, tag: str | None = None) -> Path:
    """Write a run as a TREC run file and return its path; the file appears whole or not at all.

    Scores are printed so that reading them back gives the same float32. `tag` (the last column) is
    the run's source without blanks unless given. Queries without candidates have no line.
    """
    run = run if isinstance(run, Run) else Run(run)
    corpus = Corpus(run.artifact.input("corpus"))
    queries = Queries(run.artifact.input("queries"))
    tag = "".join((tag or run.label).split())
    target = path_given(path)
    with replacing(target) as out:
        for part in run.parts():
            query_ids = queries.query_ids(part.query)
            for row, query_id in enumerate(query_ids):
                low, high = part.offsets[row], part.offsets[row + 1]
                doc_ids = corpus.doc_ids(part.doc[low:high])
                _refuse_blanks([query_id, *doc_ids], run)
                scores = part.score[low:high]
                out.writelines(
                    f"{query_id} Q0 {doc_id} {rank} {score!s} {tag}\n"
                    for rank, (doc_id, score) in enumerate(zip(doc_ids, scores, strict=True), 1)
                )
    return target


def _refuse_blanks(ids: list[str], run: Run) -> None:
    for external in ids:
        if external.split() != [external]:
            raise BadInput(
                f"the id {external!r} holds a blank; TREC files separate columns by blanks",
                where=run.artifact.path,
                do="use `rankmill show` with --format jsonl or parquet for this collection",
            )
