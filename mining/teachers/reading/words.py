"""The words of an answer: one spelling, or several whose probabilities add up; who can say them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import BadInput, UsageError
from ...models.checkpoint_files import CONFIG, MODULES
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


def other_words(model: ModelFolder, words: Sequence[int], spellings: int) -> str:
    """Return what is odd about the ids of yes (the first `spellings`) and no: the words that the
    checkpoint's modules.json scores by, as sentence-transformers saves rerankers that are language
    models, where they are others; "" where they are these, or nothing is said."""
    said = [one for one in model.settings(MODULES) or () if one["type"].endswith(".LogitScore")]
    if not said or not len(words):
        return ""
    scored = model.settings(f"{said[-1]['path']}/{CONFIG}")
    yes, no = scored.get("true_token_id"), scored.get("false_token_id")
    asked = [set(words[:spellings]), set(words[spellings:])]
    if yes is None or asked == [{yes}, {no} - {None}]:
        return ""
    tokenizer = model.known_tokenizer()

    def named(ids: Iterable[int]) -> str:
        return " and ".join(repr(tokenizer.decode([one], skip_special_tokens=False)) for one in ids)

    less = "" if no is None else f" less that of {named([no])}"
    beside = f", and no {named(words[spellings:])}" if len(words) > spellings else ""
    return (
        "modules.json of this checkpoint says that its score is the logit of "
        f"{named([yes])}{less}; asked is yes {named(words[:spellings])}{beside}: say those words, "
        "yes=… and no=…, and the prompt that its card gives with them"
    )


def _tuple(word: Any) -> Any:
    return tuple(word) if isinstance(word, list) else word
