"""LSR (thongnt99/learned-sparse-retrieval): the triplet class, text lines `query⇥d+⇥d−⇥s+⇥s−`.

Its main class reads scores from a gzip pickle, which is never written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from ...errors import UsageError
from ...options import Option
from ..base import EXPORTS, Format, refuse_unknown
from ..folder import ExportFolder
from ..source import GroupSource
from .triples import write_text_triples


@EXPORTS.register("lsr")
@dataclass(frozen=True, slots=True)
class Lsr(Format):
    """LSR (learned sparse retrieval): lines of query, positive, negative and both scores.

    `triplets.tsv`: texts, not ids; one line for each negative.
    """

    kind: Annotated[str, Option("triplets, the only layout that is written.")] = "triplets"
    breaks: ClassVar[str] = "space"

    def __post_init__(self) -> None:
        if self.kind == "scores":
            raise UsageError(
                "scores is a gzip pickle, and opening one runs what it holds: none is written",
                where="lsr",
                do="use kind=triplets, which holds the same scores",
            )
        refuse_unknown("lsr", "kind", self.kind, ("triplets",))

    @property
    def single_positive(self) -> bool:
        """A triplet has one positive."""
        return True

    def write(self, source: GroupSource, out: ExportFolder) -> dict[str, object]:
        """Write the one file."""
        write_text_triples(source, out, "triplets.tsv", "texts_first")
        return {"columns": "query, positive, negative, positive score, negative score"}
