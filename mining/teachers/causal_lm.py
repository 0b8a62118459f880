"""Causal language models as teachers: the log-odds of yes against no after a prompt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from ..actors import Execution
from ..models.folder import ModelFolder
from ..names import neutral
from ..options import Option
from ..parts.costs import LARGE
from ..parts.parameters import (
    COMPUTE,
    FIRST_TURN,
    INSTRUCTION,
    MODEL,
    PROMPT_TEXT,
    SAYS_NO,
    SAYS_YES,
)
from ..store import Artifact, Workspace
from .base import TEACHERS, Prepared, prepares
from .reading import Asked
from .reading.chat import Chat, check_turns
from .reading.words import check_speaks, settle_words, spelled
from .token_odds import check_options, prepare_token_odds

PROMPT = (
    "Query: {query}\nDocument: {document}\n"
    "Is the document relevant to the query? Answer yes or no. Answer:"
)


@TEACHERS.register("causal_lm", LARGE)
@dataclass(frozen=True, slots=True)
class CausalLm:
    """A language model asked whether the document is relevant: log-odds of `yes` against `no`.

    `yes`, `no`: a word of one token, or a list of spellings, whose probabilities add up; `no=none`:
    the logit of yes alone. `prompt` is the whole text; or `system` and `user` are turns of the
    model's own chat template (or of `template`, Jinja), and `assistant` begins its answer. Each of
    {query} and {document} stands there once, and {instruction} where `instruction` is given.

    The document's end is cut where all exceeds `max_length` tokens (None: 512, or what the model
    can read), a query behind `query_length`. `apart`: texts are tokenised by themselves, and
    `max_length` counts them and the labels on their lines alone, as FlagEmbedding and mxbai do.
    `compute` bfloat16 runs the trunk in bfloat16, the output layer in float32.
    """

    model: Annotated[str, MODEL]
    prompt: Annotated[str | None, PROMPT_TEXT] = None
    yes: Annotated[str | tuple[str, ...], SAYS_YES] = " yes"
    no: Annotated[str | tuple[str, ...] | None, SAYS_NO] = " no"
    max_length: Annotated[
        int | None,
        Option("Most tokens read; default: 512, or what the model can read.", unit="tokens"),
    ] = None
    compute: Annotated[str, COMPUTE] = "float32"
    instruction: Annotated[str | None, INSTRUCTION] = None
    system: Annotated[str | None, FIRST_TURN] = None
    user: Annotated[
        str | None, Option("The turn that asks, with {query} and {document}, instead of a prompt.")
    ] = None
    assistant: Annotated[str | None, Option("How the answer of the model begins.")] = None
    template: Annotated[
        str | None, Option("A chat template (Jinja) in place of the model's own.")
    ] = None
    query_length: Annotated[int | None, Option("Most tokens of a query.", unit="tokens")] = None
    apart: Annotated[
        bool, Option("Tokenise query and document by themselves, as FlagEmbedding and mxbai do.")
    ] = neutral(False)

    def __post_init__(self) -> None:
        settle_words(self)
        more = {"system": self.system, "assistant": self.assistant, "template": self.template}
        check_turns(self.prompt, self.user, more)
        turns = f"{self.system or ''}{self.user}{self.assistant or ''}"
        self._asked(self._plain if self.user is None else turns)
        check_options(self)

    def asked(self, model: ModelFolder) -> Asked:
        """Return what the model is asked; raises BadInput for a classifier, and for turns of a chat
        where the model has no chat template."""
        check_speaks(model)
        if self.user is None:
            return self._asked(self._plain)
        chat = Chat(self.user, self.system or "", self.assistant or "", self.template)
        asked = self._asked(chat.prompt(model), begin=False)
        return replace(asked, trimmed=chat.trimmed(model))

    @property
    def _plain(self) -> str:
        return PROMPT if self.prompt is None else self.prompt

    def _asked(self, prompt: str, begin: bool = True) -> Asked:
        return Asked(
            prompt,
            instruction=self.instruction or "",
            yes=spelled(self.yes),
            no=spelled(self.no),
            max_length=self.max_length,
            query_length=self.query_length,
            apart=self.apart,
            begin=begin,
        )


@prepares(CausalLm)
def prepare_causal_lm(
    workspace: Workspace,
    teacher: CausalLm,
    pool: Artifact,
    executor: Execution,
) -> Prepared:
    """Make the teacher ready, see `prepare_token_odds`."""
    return prepare_token_odds(workspace, teacher, pool, executor, head="causal_lm")
