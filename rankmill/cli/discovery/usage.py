"""What is wrong with the words of a command line, told as every other error is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rankmill.mining.errors import UsageError
from rankmill.mining.names import nearest

_VALUES = {
    "is not a valid int.": "is no whole number",
    "is not a valid integer.": "is no whole number",
    "is not a valid float.": "is no number",
    "is not a valid int range.": "is no whole number",
    "is not a valid float range.": "is no number",
    "is not a valid boolean.": "is neither true nor false",
}


def in_our_words(error: Any) -> UsageError:
    """Return what typer found as an error of ours: what was typed, and what to type."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "rankmill"
    command = path.removeprefix("rankmill ")
    helps = f"`{path} --help` lists what it takes"
    kind = type(error).__name__
    if kind == "NoSuchOption":
        near = _near(error.option_name, _flags(context))
        return UsageError(f"{command} has no option {error.option_name}", do=f"{near}{helps}")
    if kind == "MissingParameter":
        return UsageError(f"{command} needs {_called(error.param)}", do=helps)
    if kind == "BadOptionUsage" and "requires" in error.message:
        return UsageError(
            f"{error.option_name} needs a value",
            do=f"write {error.option_name} VALUE; {helps}",
        )
    if kind == "BadParameter":
        return UsageError(f"{_called(error.param)}: {_value(error.message)}", do=helps)
    if missing := re.search(r"No such command '([^']*)'", error.message):
        known = _commands(context)
        near = _near(missing[1], known)
        return UsageError(
            f"there is no command {missing[1]!r}", do=f"{near}`rankmill --help` lists them"
        )
    if extra := re.search(r"extra argument(?:\(s\)|s)? \((.*)\)", error.message, re.DOTALL):
        return UsageError(
            f"{command} takes fewer words: nothing is done with {extra[1]!r}",
            do=f"leave it out, or put what belongs together in quotes; {helps}",
        )
    return UsageError(f"{command}: {error.format_message()}", do=helps)


def _near(word: str, known: Sequence[str]) -> str:
    said = nearest(word, known)
    return f"{said} " if said.startswith("did you mean") else ""


def _flags(context: Any) -> list[str]:
    if context is None:
        return []
    return [flag for one in context.command.params for flag in (*one.opts, *one.secondary_opts)]


def _commands(context: Any) -> list[str]:
    commands: Mapping[str, Any] = getattr(getattr(context, "command", None), "commands", {})
    return list(commands)


def _called(parameter: Any) -> str:
    """Return what people type of a parameter: its long flag, or the word in its place."""
    if parameter is None:
        return "a value"
    if parameter.param_type_name == "option":
        return max(parameter.opts, key=len)
    return str(parameter.metavar or parameter.name.upper()).strip("[].")


def _value(message: str) -> str:
    for theirs, ours in _VALUES.items():
        message = message.replace(theirs, ours)
    if said := re.fullmatch(r"(.*) is not in the range (.*)\.", message, re.DOTALL):
        return f"{said[1]} is not {_range(said[2])}"
    return message.rstrip(".")


def _range(said: str) -> str:
    return re.sub(r"x>=(\S+?)", r"\1 or more", re.sub(r"x<=(\S+)", r"\1 or less", said))
