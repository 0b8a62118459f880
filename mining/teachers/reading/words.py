"""The words of an answer: one spelling, or several whose probabilities add up; who can say them."""

from __future__ import annotations

from typing import Any

from ...errors import BadInput, UsageError
from ...models.folder import ModelFolder


def spelled(word: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the spellings of a word; none for None."""
    if word is None:
        return ()
    return (word,) if isinstance(word, str) else word


def settle_words(teacher: Any) -> None:
    """Give `yes` and `no` one form each, and refuse what answers nothing; raises UsageError."""
    yes, no = (spelled(_tuple(word)) for word in (teacher.yes, teacher.no))
    if not yes or (teacher.no is not None and not no):
        raise UsageError(
            f"{'no' if yes else 'yes'} has no spelling", do='write yes=yes, or yes=[yes,Yes," yes"]'
        )
    for name, words in (("yes", yes), ("no", no)):
        twice = sorted({word for word in words if words.count(word) > 1})
        if twice or "" in words:
            said = f"{twice[0]!r} twice" if twice else "an empty word"
            raise UsageError(f"{name} names {said}")
        one = words[0] if len(words) == 1 else words
        object.__setattr__(teacher, name, one if words else None)
    if both := sorted({*yes} & {*no}):
        raise UsageError(f"yes and no are the same word: {both[0]!r}")


def check_speaks(model: ModelFolder) -> None:
    """Refuse a classifier as a language model; raises BadInput.

    Its output layer may be tied to the embeddings: then it would load, and say nothing.
    """
    if model.is_classifier:
        raise BadInput(
            f"the checkpoint is a classifier ({', '.join(model.heads)}), which says no words",
            where=model.path / "config.json",
            do="write cross_encoder(model=…), with prompt=… where it was trained with one",
        )


def _tuple(word: Any) -> Any:
    return tuple(word) if isinstance(word, list) else word
