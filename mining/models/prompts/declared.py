"""The prompts that a checkpoint's files declare, in config_sentence_transformers.json."""

from __future__ import annotations

from ...actors import Execution
from ...errors import BadInput, UsageError
from ..folder import ModelFolder
from ..pooling import leaves_out_prompt
from ..sequences import Template
from .presets import PRESETS

FILE = "config_sentence_transformers.json"
_ROLES = {"corpus": ("document", "passage", "corpus"), "queries": ("query",)}
_SAY = 'say what each side gets, query_prompt="…",prompt="…"; "" is nothing'


def declared_prompt(model: ModelFolder, kind: str) -> str:
    """Return the prompt that the files declare for a "corpus" or "queries" artifact; "" for none.

    A prompt goes by its name, `query` for queries and `document`, `passage` or `corpus` for
    documents. `default_prompt_name` is for a side without one of its own, unless it names the other
    side. Raises BadInput for prompts that are neither: which of them is meant only a person knows.
    """
    said = model.settings(FILE) or {}
    known = said.get("prompts") or {}
    named, default = {name: text or "" for name, text in known.items()}, _default(model)
    if own := [role for role in _ROLES[kind] if role in named]:
        return named[own[0]]
    roles = {role: side for side, names in _ROLES.items() for role in names}
    if default is not None:
        return named[default] if roles.get(default, kind) == kind else ""
    if any(named.values()) and not roles.keys() & named.keys():
        raise BadInput(
            f"the model's files declare prompts ({', '.join(sorted(named))}), none of them called "
            "query or document, and no default_prompt_name",
            where=model.path / FILE,
            do=_SAY,
        )
    return ""


def _default(model: ModelFolder) -> str | None:
    """Return the declared `default_prompt_name`, or None; raises BadInput for one without text."""
    said = model.settings(FILE) or {}
    name, known = said.get("default_prompt_name"), said.get("prompts") or {}
    if name is None:
        return None
    if not isinstance(name, str) or name not in known:
        raise BadInput(
            f"default_prompt_name is {name!r}, and the prompts are {', '.join(known) or 'none'}",
            where=model.path / FILE,
            do=_SAY,
        )
    return name


def declares_prompts(model: ModelFolder) -> bool:
    """Say whether the files declare any prompt that is a text."""
    return any(((model.settings(FILE) or {}).get("prompts") or {}).values())


def skipped_tokens(model: ModelFolder, prompt: str) -> int:
    """Return how many tokens at the beginning the pooling leaves out: those of a prompt where the
    files say `include_prompt: false`, with the special ones before it, as sentence-transformers
    counts them; else 0."""
    if not prompt or not leaves_out_prompt(model):
        return 0
    tokenizer = model.known_tokenizer()
    alone = tokenizer.encode(prompt, add_special_tokens=False).ids
    return Template.of(tokenizer, pair=False).prefix + len(alone)


def check_room(model: ModelFolder, prompt: str, room: int) -> None:
    """Refuse a prompt that leaves a text no token of `room`, special ones not counted; raises
    UsageError."""
    if not prompt:
        return
    taken = len(model.known_tokenizer().encode(prompt, add_special_tokens=False).ids)
    if taken >= room:
        raise UsageError(
            f"the prompt {prompt[:60]!r} takes {taken} of the {room} tokens that a text may have, "
            "and leaves the text none",
            do="give a larger length (max_length, query_length, doc_length) or a shorter prompt",
        )


def _name_of(model: ModelFolder) -> str:
    return model.path.name if model.origin is None else model.origin.split("@")[0].split("/")[-1]


def tell_borrowed(model: ModelFolder, prompt: str, kind: str, executor: Execution) -> None:
    """Warn of a checkpoint that reads the prompt of a preset, declares none, and is not called like
    a model of that family."""
    of = {p: style for p, style in PRESETS.items() if style.prompts[kind] == prompt}
    name = _name_of(model)
    families = {word for preset in of for word in (preset, preset.partition("-")[0])}
    if not of or declares_prompts(model) or any(word in name.lower() for word in families):
        return
    if any(style.fits(name) for style in of.values()):
        return
    executor.progress.announce(
        f"warning: {name} reads {prompt!r} before each text, as models of "
        f"{' and '.join(of)} do, is not called like one, and its files declare no prompt: leave "
        "out preset= if it was trained without"
    )


def tell_unprompted(model: ModelFolder, executor: Execution) -> None:
    """Warn of a checkpoint that is called like one trained with prompts and runs without any."""
    name = _name_of(model)
    if declares_prompts(model):
        return
    for preset, style in PRESETS.items():
        if any(style.prompts.values()) and style.fits(name):
            executor.progress.announce(
                f"warning: {name} is called like a model that was trained with prompts, and "
                f"its files declare none: preset={preset} puts them before texts, "
                f'query_prompt="",prompt="" says that none are meant ({style.card})'
            )
            return
