"""What a word means that names no part: a command, a recipe, prompts of encoders, a data set, an
artifact of the workspace."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rankmill.mining.store.aliases import Alias


@dataclass(frozen=True, slots=True)
class Other:
    """`command`: what to type next with it; `more`: where it is described."""

    noun: str
    name: str
    summary: str
    facts: Mapping[str, str]
    command: str
    more: str

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` says."""
        return asdict(self)


def others(word: str, commands: Mapping[str, str], aliases: Mapping[str, Alias]) -> Iterator[Other]:
    """Yield what a word means beside parts. `commands`: the help of each command by name."""
    yield from _commands(word, commands)
    yield from _prompts(word)
    yield from _recipes(word)
    if word in aliases:
        alias = aliases[word]
        facts = {"fingerprint": alias.fingerprint}
        said = "What stands in the workspace under this name."
        yield Other(alias.kind, word, said, facts, f"rankmill show {word}", "docs/discovery.md")
    yield from _data_sets(word)


def names_of_others(commands: Mapping[str, str], aliases: Mapping[str, Alias]) -> list[str]:
    """Return all names that `others` knows, but for data sets, of which there are hundreds."""
    from rankmill.mining.models.prompts.presets import PRESETS
    from rankmill.recipes_data import samples

    return [*commands, *_verbs(), *PRESETS, *(one.name for one in samples()), *aliases]


def _verbs() -> dict[str, str]:
    """Return the command of each verb of Python."""
    from rankmill.stages import REQUESTS

    return {verb: one.command or verb for verb, one in REQUESTS.items()}


def _commands(word: str, commands: Mapping[str, str]) -> Iterator[Other]:
    verbs = _verbs()
    name = word if word in commands else verbs.get(word, "")
    if name not in commands:
        return
    said, _, examples = inspect.cleandoc(commands[name]).partition("Example: ")
    in_python = [f"rm.{verb}" for verb, one in verbs.items() if one == name]
    facts = {"in Python": ", ".join(in_python)} if in_python else {}
    example = " ".join(examples.partition("Example: ")[0].split()).partition("  ")[0]
    if example:
        facts["example"] = example
    summary = " ".join(said.split())
    yield Other("command", name, summary, facts, f"rankmill {name} --help", "docs/reference/cli.md")


def _prompts(word: str) -> Iterator[Other]:
    from rankmill.mining.models.prompts.presets import PRESETS

    if word not in PRESETS:
        return
    style = PRESETS[word]
    facts = {
        "queries": repr(style.query) if style.query else "as they are",
        "documents": repr(style.document) if style.document else "as they are",
        "pooling": style.pooling,
        "model card": style.card,
    }
    said = "What encoders of this family read before queries and documents: preset=… of an encoder."
    spec = f'"dense(model=PATH,preset={word})"'
    command = f"rankmill mine {spec} -c COLLECTION --split train --name RUN"
    yield Other("prompts", word, said, facts, command, "docs/prompts.md")


def _recipes(word: str) -> Iterator[Other]:
    from rankmill.recipes_data import samples

    for one in samples():
        if one.name == word:
            facts = {"with": "rankmill study" if one.study else "rankmill run"}
            said = one.title or one.about
            command = f"rankmill recipes copy {word} --to {word}.toml"
            yield Other("recipe", word, said, facts, command, "docs/discovery.md")


def _data_sets(word: str) -> Iterator[Other]:
    """Yield a data set of ir_datasets of that id, or the one whose id has the word in it."""
    asked = word.removeprefix("ir:").removeprefix("irds:")
    if importlib.util.find_spec("ir_datasets") is None:
        return
    from rankmill.mining.collection.irds import known_ids

    every = known_ids()
    named = [asked] if asked in every else [one for one in every if asked in one.split("/")]
    if not named or (asked not in every and len(asked) < 3):
        return
    shortest = min(named, key=lambda one: (len(one), one))
    facts = {"id": shortest}
    below = [one for one in every if one.startswith(f"{shortest}/")]
    if below:
        facts["splits"] = ", ".join(one.removeprefix(f"{shortest}/") for one in below[:6])
    said = "A data set that the package ir_datasets knows, and fetches where it may."
    command = f"rankmill collect ir:{shortest} --name NAME"
    yield Other("data set", asked, said, facts, command, "docs/data.md")
