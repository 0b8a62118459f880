"""What a word means, the same in the terminal and in Python: parts, a published teacher, a command,
a recipe, prompts of encoders, a data set, an artifact of the workspace."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rankmill.mining.errors import UsageError
from rankmill.mining.names import nearest

if TYPE_CHECKING:
    from rankmill.mining.parts.description import Described
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


@dataclass(frozen=True, slots=True)
class Published:
    """A published teacher that has a name of its own."""

    name: str

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` says."""
        from rankmill.mining.teachers.presets.table import PRESETS

        spec = f"teacher({self.name},model=PATH)"
        command = f'rankmill score "{spec}" --pool POOL --name SCORES'
        return asdict(PRESETS[self.name]) | {"spec": spec, "command": command}

    @property
    def facts(self) -> dict[str, str]:
        """What runs it, what it reads and answers."""
        from rankmill.mining.teachers.presets.table import PRESETS

        entry = PRESETS[self.name]
        told = {
            "run by": f"{entry.kind} (rankmill describe {entry.kind})",
            "checkpoint": " or ".join(entry.heads),
            "reads": "both texts, as its tokenizer joins them"
            if not entry.prompt
            else entry.prompt,
            "instruction": entry.instruction
            or ("can be given: instruction=…" if entry.takes_instruction else "none"),
            "relevant": f"says {entry.yes!r}" if entry.yes else "its score",
            "not relevant": f"says {entry.no!r}" if entry.no else "",
            "most tokens": "what the model can read"
            if entry.max_length is None
            else f"{entry.max_length:,}",
        }
        return {head: text for head, text in told.items() if text}


@dataclass(frozen=True, slots=True)
class Meaning:
    """All that a word means: `parts` with what `rankmill list` calls their family, a published
    teacher, and what else has the name."""

    word: str
    parts: tuple[tuple[str, Described], ...] = ()
    published: Published | None = None
    others: tuple[Other, ...] = ()


def meaning_of(name: str, kind: str | None, commands: Mapping[str, str], place: Path) -> Meaning:
    """Return what a word, or a whole spec, means: parts of one family where `kind` names it.

    `commands`: the help of each command by name; `place`: the workspace whose names count. Raises
    UsageError with the nearest of all that could be meant, and with where to look.
    """
    from rankmill.mining.store.aliases import read_aliases
    from rankmill.named.families import KINDS, described, presets

    word = name.strip().partition("(")[0].strip()
    if word in presets() and kind in (None, "teachers"):
        return Meaning(word, published=Published(word))
    if kind is not None:
        return Meaning(word, tuple(described(name, kind)))
    aliases = read_aliases(place)[0]
    if any(word in one.family.names() for one in KINDS.values()):
        beside = _named_so(word, commands, aliases)
        return Meaning(word, tuple(described(name)), others=tuple(beside))
    means = tuple(others(word, commands, aliases))
    if not means:
        every = [n for one in KINDS.values() for n in one.family.names()]
        every += [*presets(), *names_of_others(commands, aliases)]
        near = nearest(word, every)
        raise UsageError(
            f"nothing is called {word!r}: no part, preset, command, recipe, data set or name here",
            do=(f"{near} " if near.startswith("did you mean") else "")
            + "`rankmill list sources` shows sources, `rankmill list --help` what else it lists; "
            "`rankmill --help` lists commands, `rankmill recipes list` recipes, docs/data.md data",
        )
    return Meaning(word, others=means)


def commands() -> dict[str, str]:
    """Return the help of every command by name; the command line, which is above everything, is
    imported when it is asked for."""
    helps: dict[str, str] = importlib.import_module("rankmill.cli.entry").helps()
    return helps


def others(word: str, commands: Mapping[str, str], aliases: Mapping[str, Alias]) -> Iterator[Other]:
    """Yield what a word means beside parts. `commands`: the help of each command by name."""
    yield from _named_so(word, commands, aliases)
    yield from _data_sets(word)


def _named_so(
    word: str, commands: Mapping[str, str], aliases: Mapping[str, Alias]
) -> Iterator[Other]:
    """Yield what has exactly this name: data sets, which are looked for by a piece of theirs, are
    apart."""
    yield from _commands(word, commands)
    yield from _prompts(word)
    yield from _recipes(word)
    if word in aliases:
        alias = aliases[word]
        facts = {"fingerprint": alias.fingerprint}
        said = "What stands in the workspace under this name."
        yield Other(alias.kind, word, said, facts, f"rankmill show {word}", "docs/discovery.md")


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
