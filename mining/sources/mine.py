"""Mining a source, or finding the run that a source made of others needs."""

from __future__ import annotations

from typing import Any

from ..actors import INLINE, Execution
from ..collection import Collection
from ..errors import BadInput, UsageError, warn
from ..options import Unasked
from ..runs.cleared import cleared_run, deeper
from ..runs.itself import pairs_of_split
from ..runs.run import Run, check_same_queries
from ..store import Artifact, Workspace
from .base import MINERS, SOURCES, Miner
from .searching import mine_by_searching


def mine(
    workspace: Workspace,
    source: str | Any,
    collection: Collection,
    split: str,
    *,
    depth: int,
    seed: int = 0,
    self_rule: str | None = None,
    executor: Execution = INLINE,
) -> Artifact:
    """Return the run of a source over the queries of a split: at most `depth` documents for each.

    `source`: `bm25(k1=0.9,b=0.4)`, `random`, `rrf(of=[a,b])`, … or its value. `seed` matters to
    drawn sources only. `self_rule`: whether a document that is the query itself is no candidate,
    see `mining.runs.itself`; by default that of the collection, which excludes it.

    Raises UsageError for an unknown source or parameter, BadInput for an unknown split or a depth
    larger than the corpus; a depth that is a default (`Unasked`) becomes the size of the corpus.
    """
    value = SOURCES.parse(source)
    size = len(collection.corpus)
    if depth < 1:
        raise UsageError(f"depth={depth} must be at least 1")
    depth, said = fitting_depth(depth, size, value)
    collection.split_queries(split)  # refuses an unknown split before an index is built
    if said is not None:
        warn(said)
    miner = MINERS.get(type(value)) or _miner(value)
    held = collection if self_rule is None else collection.under(self_rule)
    pairs = pairs_of_split(held, split, held.self_rule)
    if not len(pairs):
        return miner(workspace, value, held, split, depth, seed, executor)
    own_depths = getattr(value, "depths", None) is not None  # then the file says how deep
    enough = depth if own_depths else deeper(held, pairs, depth)
    whole = miner(workspace, value, held, split, enough, seed, executor)
    return cleared_run(
        workspace,
        whole,
        held,
        split,
        pairs=pairs,
        depth=depth,
        cut=not own_depths,
        executor=executor,
    )


def fitting_depth(depth: int, size: int, source: Any) -> tuple[int, str | None]:
    """Return the depth to which a corpus of `size` documents is mined, and what to say where that
    is not what was asked for: a default (`Unasked`) becomes the size of the corpus.

    Raises BadInput for any other depth that is larger than the corpus.
    """
    asked = int(depth)
    if asked <= size:
        return asked, None
    if isinstance(depth, Unasked):
        return size, (
            f"the corpus has {size:,} documents: depth is {size:,}, in the place of the default "
            f"{asked:,}"
        )
    raise BadInput(
        f"depth {asked:,} is larger than the corpus of {size:,} documents",
        where=f"source {source}",
        do=f"choose a depth of at most {size:,}",
    )


def _miner(value: Any) -> Miner:
    if not hasattr(value, "searcher"):
        raise UsageError(
            f"{value} cannot be mined",
            do="give its class searcher(collection), or a function decorated with mines(…)",
        )
    return mine_by_searching


def run_of(
    workspace: Workspace,
    text: str | Any,
    collection: Collection,
    split: str,
    *,
    depth: int,
    seed: int = 0,
    executor: Execution = INLINE,
) -> Run:
    """Return the run that `text` stands for: the name of a run, or a source, mined at `depth`.

    This is how sources made of other runs (`rrf(of=[nf-bm25,random])`, `rerank(of=nf-bm25)`) find
    them. Raises BadInput when a named run belongs to another corpus or split.
    """
    if isinstance(text, Artifact) or (isinstance(text, str) and not _is_source(workspace, text)):
        artifact = workspace.find(text, "run")
    else:
        artifact = mine(
            workspace, text, collection, split, depth=depth, seed=seed, executor=executor
        )
    run = Run(artifact)
    check_same_queries(run, collection, split)
    return run


def _is_source(workspace: Workspace, text: str) -> bool:
    """Say whether a text means a source to mine; a run with the alias `random` wins."""
    return text not in workspace.names() and text.partition("(")[0].strip() in SOURCES.names()
