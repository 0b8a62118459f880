"""What every source has in common: its family of names, and how it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..actors import Execution
from ..collection.handles import Collection
from ..foreign import guarded, is_foreign
from ..names import Call, Family, Identity
from ..parts.costs import LISTS
from ..store import Artifact, Workspace

SOURCES = Family(
    "source",
    __package__,
    {
        ".bm25": "bm25",
        ".dense": "dense",
        ".ensemble": "ensemble",
        ".fusion": "combmnz combsum linear rrf",
        ".hard_negatives": "hard_negatives",
        ".imported": "imported",
        ".neighbours": "neighbours",
        ".rerank": "rerank",
        ".stored": "stored",
        ".uniform": "random",
    },
    group="rankmill.sources",
    plural="sources",
    costs=LISTS,
)

Miner = Callable[[Workspace, Any, Collection, str, int, int, Execution], Artifact]
"""mine(workspace, source, collection, split, depth, seed, executor) -> run artifact"""

MINERS: dict[type, Miner] = {}


def mines(source: type) -> Callable[[Miner], Miner]:
    """Decorate the function that mines runs of a registered source."""

    def add(miner: Miner) -> Miner:
        title = f"source {getattr(source, 'canonical_name', source.__name__)}"
        MINERS[source] = guarded(miner, title, SOURCES.group) if is_foreign(source) else miner
        return miner

    return add


def check_written(member: Any) -> None:
    """Refuse, before any run is mined, a member that is written as a source and cannot be one.

    A plain word may be the name of a run; what was stored is let through.
    """
    written = isinstance(member, str) and not isinstance(member, Identity) and "(" in member
    if isinstance(member, Call):
        written = "version" not in dict(member.named)  # stored: the text of a plug-in's part
    if written:
        SOURCES.parse(member)
