"""Sources: ways to propose candidates. Each mines a run, which the pool then joins."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .. import names
from ..actors import INLINE, Execution
from ..collection import Collection
from ..errors import BadInput, UsageError
from ..store import Artifact, Workspace
from .base import MINERS, SOURCES, Run, build_run, mines, run_table
from .trec import to_trec

__all__ = [
    "SOURCES",
    "Run",
    "build_run",
    "mine",
    "mines",
    "parse_source",
    "run_of",
    "run_table",
    "source_names",
    "to_trec",
]

_MODULES = {  # source → its module, imported when the source is first named
    "bm25": "bm25",
    "combmnz": "fusion",
    "combsum": "fusion",
    "dense": "dense",
    "ensemble": "ensemble",
    "hard_negatives": "hard_negatives",
    "imported": "imported",
    "linear": "fusion",
    "neighbours": "neighbours",
    "random": "uniform",
    "rerank": "rerank",
    "rrf": "fusion",
}


def source_names() -> tuple[str, ...]:
    """Return the names of all sources, without loading them."""
    return tuple(sorted({*_MODULES, *SOURCES.names()}))


def parse_source(text: str | Any) -> Any:
    """Return the value of a source's text; raises UsageError with the nearest names."""
    call = names.parse(text) if isinstance(text, str) else text
    name = call if isinstance(call, str) else getattr(call, "name", None)
    if isinstance(name, str):
        if name in _MODULES:
            import_module(f".{_MODULES[name]}", __package__)
        elif name not in SOURCES.names():
            raise UsageError(f"unknown source {name!r}", do=names.nearest(name, source_names()))
    return SOURCES.parse(call)


def mine(
    workspace: Workspace,
    source: str | Any,
    collection: Collection,
    split: str,
    *,
    depth: int,
    seed: int = 0,
    how: Execution = INLINE,
) -> Artifact:
    """Return the run of a source over the queries of a split: at most `depth` documents for each.

    `source`: `bm25(k1=0.9,b=0.4)`, `random`, `rrf(of=[a,b])`, … or its value. `seed` matters to
    drawn sources only. Raises UsageError for an unknown source or parameter, BadInput for an
    unknown split or a depth larger than the corpus.
    """
    value = parse_source(source)
    size = len(collection.corpus)
    if depth < 1:
        raise UsageError(f"depth={depth} must be at least 1")
    if depth > size:
        raise BadInput(
            f"depth {depth:,} is larger than the corpus of {size:,} documents",
            where=f"source {value}",
            do=f"choose a depth of at most {size:,}",
        )
    collection.split_queries(split)  # refuses an unknown split before an index is built
    return MINERS[type(value)](workspace, value, collection, split, depth, seed, how)


def run_of(
    workspace: Workspace,
    text: str | Any,
    collection: Collection,
    split: str,
    *,
    depth: int,
    seed: int = 0,
    how: Execution = INLINE,
) -> Run:
    """Return the run that `text` stands for: the name of a run, or a source, mined at `depth`.

    This is how sources made of other runs (`rrf(of=[nf-bm25,random])`, `rerank(of=nf-bm25)`) find
    them. Raises BadInput when a named run belongs to another corpus or split.
    """
    if isinstance(text, Artifact) or (isinstance(text, str) and not _is_source(workspace, text)):
        artifact = workspace.find(text, "run")
    else:
        artifact = mine(workspace, text, collection, split, depth=depth, seed=seed, how=how)
    run = Run(artifact)
    check_same_queries(run, collection, split)
    return run


def _is_source(workspace: Workspace, text: str) -> bool:
    """Say whether a text means a source to mine; a run that somebody called `random` wins."""
    return text not in workspace.names() and text.partition("(")[0].strip() in source_names()


def check_same_queries(run: Run, collection: Collection, split: str) -> None:
    """Raise BadInput unless the run was mined from this corpus for the queries of this split."""
    if run.split != split:
        raise BadInput(
            f"the run {run.label} is over split {run.split!r}, {split!r} is needed",
            where=run.artifact.path,
            do=f"mine it with --split {split}",
        )
    same = {"corpus": collection.corpus.artifact, "queries": collection.queries.artifact}
    for role, artifact in same.items():
        if run.artifact.inputs[role] != artifact.fingerprint:
            raise BadInput(
                f"the run {run.label} was mined from another collection (its {role} differ)",
                where=run.artifact.path,
                do="mine it from this collection",
            )
