"""What a teacher is asked, in text: one prompt with a place for each text, and words to answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import UsageError
from ..prompt import fields_of

ROOM = 8  # the least number of tokens left to the texts
_INSTRUCTION = "{instruction}"
_FIELD = re.compile(r"\{(instruction|query|document)\}")


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt with {query}, {document}, perhaps {instruction}, and the spellings of both answers.

    Without words the model's head answers (a classifier); without `no` the score is the logit of
    yes alone. `max_length` None is 512 tokens, or what the model can read. `query_length`: how many
    of them a query and its label may take at most. `begin`, `end`: special tokens that the
    tokenizer puts before and behind a text stay.

    `apart`: the texts are tokenised by themselves, and `max_length` counts them and their labels
    alone; a label is the text from the line of the first field on. Otherwise a query and the line
    end behind it are tokenised in one piece, as in the whole prompt. `trimmed`: off which ends of a
    query, and of a document, blanks are taken, see `tokens_of`.
    """

    prompt: str
    instruction: str = ""
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    max_length: int | None = None
    query_length: int | None = None
    apart: bool = False
    begin: bool = True
    end: bool = False
    trimmed: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        named = self.prompt.count(_INSTRUCTION)
        if named > 1 or (named == 1) != bool(self.instruction):
            raise UsageError(
                f"the prompt names {{instruction}} {named} times, "
                f"and the instruction is {self.instruction!r}",
                do="write {instruction} once and give instruction=…, or neither",
            )
        if _FIELD.search(self.instruction):
            raise UsageError(
                f"the instruction {self.instruction!r} names a field", do="write fields in prompt="
            )
        fields_of(self.prompt)

    @property
    def text(self) -> str:
        """The prompt with its instruction: {query} and {document} are left."""
        return self.prompt.replace(_INSTRUCTION, self.instruction)

    @property
    def label_at(self) -> int:
        """Where the line of the first field begins in `text`."""
        return self.prompt.rfind("\n", 0, self.prompt.find("{" + self._first)) + 1

    @property
    def _first(self) -> str:
        fields = [match[1] for match in _FIELD.finditer(self.prompt)]
        return fields[0]
