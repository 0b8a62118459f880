"""Causal language models as teachers: the log-odds of yes against no after a prompt."""

from __future__ import annotations

from dataclasses import dataclass

from ..actors import Execution
from ..store import Artifact, Workspace
from .base import TEACHERS, Prepared, prepares
from .reading import Asked
from .token_odds import check_options, prepare_token_odds

PROMPT = (
    "Query: {query}\nDocument: {document}\n"
    "Is the document relevant to the query? Answer yes or no. Answer:"
)


@TEACHERS.register("causal_lm")
@dataclass(frozen=True, slots=True)
class CausalLm:
    """A language model asked whether the document is relevant; `yes` and `no` are one token each.

    The document's end is cut where prompt, query and document exceed `max_length` tokens. `compute`
    bfloat16 runs the trunk in bfloat16, the output layer in float32.
    """

    model: str
    prompt: str = PROMPT
    yes: str = " yes"
    no: str = " no"
    max_length: int | None = None  # 512, or what the model can read
    compute: str = "float32"

    def __post_init__(self) -> None:
        check_options(self)

    def asked(self) -> Asked:
        """Return what the model is asked."""
        return Asked(self.prompt, (self.yes,), (self.no,), self.max_length)


@prepares(CausalLm)
def prepare_causal_lm(
    workspace: Workspace,
    teacher: CausalLm,
    pool: Artifact,
    executor: Execution,
) -> Prepared:
    """Make the teacher ready, see `prepare_token_odds`."""
    return prepare_token_odds(workspace, teacher, pool, executor, head="causal_lm")
