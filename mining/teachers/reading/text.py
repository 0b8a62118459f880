"""What a teacher is asked, in text: one prompt with a place for each text, and words to answer."""

from __future__ import annotations

from dataclasses import dataclass

ROOM = 8  # the least number of tokens left to the texts


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt with {query} and {document}, and the spellings of both answers.

    Without words the model's head answers (a classifier); without `no` the score is the logit of
    yes alone. `max_length` None is 512 tokens, or what the model can read. `end`: special tokens
    that the tokenizer puts behind a text stay, as an encoder needs them.
    """

    prompt: str
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    max_length: int | None = None
    end: bool = False
