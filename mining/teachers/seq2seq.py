"""Encoder-decoders as teachers: the log-odds of two words at the decoder's first place (monoT5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..actors import Execution
from ..models.folder import ModelFolder
from ..parts.costs import FORWARD
from ..parts.parameters import COMPUTE, MAX_LENGTH, MODEL, PROMPT_TEXT, SAYS_NO, SAYS_YES
from ..store import Artifact, Workspace
from .base import TEACHERS, Prepared, prepares
from .prompt import fields_of
from .reading import Asked
from .reading.words import check_speaks, settle_words, spelled
from .token_odds import check_options, prepare_token_odds


@TEACHERS.register("seq2seq", FORWARD)
@dataclass(frozen=True, slots=True)
class Seq2Seq:
    """A checkpoint trained to say `yes` or `no` (monoT5: true or false) after reading the prompt.

    Either is one token, or a list of spellings, whose probabilities add up; `no=none` is the logit
    of yes alone.
    Source: Nogueira, Jiang, Pradeep and Lin, Findings of EMNLP 2020, whose prompt and words are the
    defaults. The document's end is cut where all exceeds `max_length` tokens.
    """

    model: Annotated[str, MODEL]
    prompt: Annotated[str, PROMPT_TEXT] = "Query: {query} Document: {document} Relevant:"
    yes: Annotated[str | tuple[str, ...], SAYS_YES] = "true"
    no: Annotated[str | tuple[str, ...] | None, SAYS_NO] = "false"
    max_length: Annotated[int | None, MAX_LENGTH] = None  # 512, or what the model can read
    compute: Annotated[str, COMPUTE] = "float32"

    def __post_init__(self) -> None:
        settle_words(self)
        check_options(self)
        fields_of(self.prompt)

    def asked(self, model: ModelFolder) -> Asked:
        """Return what the model is asked; raises BadInput for a classifier."""
        check_speaks(model)
        yes, no = spelled(self.yes), spelled(self.no)
        return Asked(self.prompt, yes=yes, no=no, max_length=self.max_length, end=True)


@prepares(Seq2Seq)
def prepare_seq2seq(
    workspace: Workspace,
    teacher: Seq2Seq,
    pool: Artifact,
    executor: Execution,
) -> Prepared:
    """Make the teacher ready, see `prepare_token_odds`."""
    return prepare_token_odds(workspace, teacher, pool, executor, head="seq2seq")
