"""What every export format has in common: the family of names and what a format must say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from ..errors import UsageError
from ..names import Family
from ..parts.costs import WRITTEN
from .folder import ExportFolder
from .source import GroupSource

EXPORTS = Family(
    "export format",
    __package__,
    {
        ".embedding.arctic": "arctic-embed",
        ".embedding.arctic_batches": "arctic-embed-batches",
        ".embedding.beir": "beir",
        ".embedding.contrastors": "contrastors",
        ".embedding.flag_embedding": "flag-embedding",
        ".embedding.gpl": "gpl",
        ".embedding.nemo": "nemo",
        ".embedding.sentence_transformers": "pylate sentence-transformers",
        ".embedding.sentence_transformers_rows": "sentence-transformers-rows",
        ".embedding.tevatron": "tevatron tevatron-ids tevatron-megatron",
        ".embedding.trove": "trove",
        ".ranking.colbert": "colbert",
        ".ranking.hf_datasets": "datasets",
        ".ranking.lightning_ir": "lightning-ir",
        ".ranking.lsr": "lsr",
        ".ranking.matchmaker": "matchmaker",
        ".ranking.ms_swift": "ms-swift",
        ".ranking.rank_llm": "rank-llm",
        ".ranking.rankers": "rankers",
        ".ranking.splade": "splade",
        ".ranking.trec": "trec",
    },
    group="rankmill.exports",
    plural="exports",
    costs=WRITTEN,
)
"""Formats by canonical text, such as `tevatron(rows=ids)`."""


class Format(ABC):
    """One layout that a trainer reads; members are frozen dataclasses of its options.

    `write` puts files into the folder and returns what the sidecar should say besides the counts,
    such as the scale of the scores.
    """

    __slots__ = ()

    scores: ClassVar[str] = "raw"
    """What becomes of the teacher scores: `raw`, `margins` (only differences) or `dropped`."""
    breaks: ClassVar[str] = "kept"
    """What becomes of tab, CR and LF in texts: `kept` (escaped by the layout) or `space`."""
    texts: ClassVar[bool] = True
    """Whether the layout holds texts."""

    @property
    def single_positive(self) -> bool:
        """Whether a group can hold one positive only, so that another would pass for a negative."""
        return False

    @abstractmethod
    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write every file of the export but the sidecar."""


def refuse_unknown(format_name: str, parameter: str, value: object, known: tuple[str, ...]) -> None:
    """Raise UsageError unless `value` is one of the known ones."""
    if value not in known:
        raise UsageError(
            f"{parameter}={value}", where=format_name, do=f"choose one of {', '.join(known)}"
        )
