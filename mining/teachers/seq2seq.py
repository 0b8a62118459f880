"""Encoder-decoders as teachers: the log-odds of two words at the decoder's first place (monoT5)."""

from __future__ import annotations

from dataclasses import dataclass

from ..actors import Execution
from ..store import Artifact, Workspace
from .base import TEACHERS, Prepared, prepares
from .reading import Asked
from .token_odds import check_options, prepare_token_odds


@TEACHERS.register("seq2seq")
@dataclass(frozen=True, slots=True)
class Seq2Seq:
    """A checkpoint trained to say `yes` or `no` (monoT5: true or false) after reading the prompt.

    Source: Nogueira, Jiang, Pradeep and Lin, Findings of EMNLP 2020, whose prompt and words are the
    defaults. The document's end is cut where all exceeds `max_length` tokens.
    """

    model: str
    prompt: str = "Query: {query} Document: {document} Relevant:"
    yes: str = "true"
    no: str = "false"
    max_length: int | None = None  # 512, or what the model can read
    compute: str = "float32"

    def __post_init__(self) -> None:
        check_options(self)

    def asked(self) -> Asked:
        """Return what the model is asked."""
        return Asked(self.prompt, (self.yes,), (self.no,), self.max_length, end=True)


@prepares(Seq2Seq)
def prepare_seq2seq(
    workspace: Workspace,
    teacher: Seq2Seq,
    pool: Artifact,
    executor: Execution,
) -> Prepared:
    """Make the teacher ready, see `prepare_token_odds`."""
    return prepare_token_odds(workspace, teacher, pool, executor, head="seq2seq")
