"""An option as who asks has it: `when_short="fill"` in Python, `--when-short fill` in a terminal.

Stages share their options with both and say them as `--when-short fill` or `when_short=fill`. What
Python is told goes through `rankmill.objects.speech`, what a terminal is told through here. Inside
of a part's text, `ensemble(missing=drop_doc)`, and of a call, nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from rankmill.mining.options import Field

_SAID = re.compile(
    r"""(?<![\w.=\-"'/{])(?P<name>[a-z][a-z_]*)="""
    r"""(?P<value>"[^"]*"|'[^']*'|\[[^\]]*\]|…|[^\s,;:()\]"'{<]++(?:\([^()]*\))?+)(?=[\s,;:)\]]|$)"""
)
"""`name=value`, where the value ends with the word: of `spec=b'x'` nothing is one."""
_CALL = re.compile(r"[\w.]+\(")


def in_terminal(said: str, options: Mapping[str, Field]) -> str:
    """Return a sentence with the options that it says as `name=value` as a terminal has them."""

    def flagged(field: Field, value: str) -> str:
        if field.option.argument or value in _NO_VALUES:
            return f"{field.name}={value}"
        if field.type is bool:
            return field.flag
        items = value[1:-1].split(", ") if value[0] == "[" else [value]
        return " ".join(f"{field.flag} {_in_shell(one)}" for one in items)

    return _reworded(said, options, flagged)


def in_quotes(said: str, options: Mapping[str, Field]) -> str:
    """Return a sentence with the texts that it says of options in quotes, as Python has them."""

    def written(field: Field, value: str) -> str:
        text = field.type is str and field.form == "one" and value[0] not in "\"'[…"
        if not text or _PLACEHOLDER.fullmatch(value) or value in _NO_VALUES:
            return f"{field.name}={value}"
        return f'{field.name}="{value}"'

    return _reworded(said, options, written)


_NO_VALUES = ("None", "False", "[]", "a", "an")  # and what is said of a value: a DataFrame
_PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_]*|-?\d.*")  # `depth=N`: some number


def _in_shell(value: str) -> str:
    """Return a value as a shell reads it: without quotes where it needs none."""
    bare = value[1:-1] if value[:1] in "\"'" and value[-1:] == value[:1] else value
    return bare if re.fullmatch(r"[\w./:@%+…-]+", bare) else f"'{bare}'"


def _reworded(said: str, options: Mapping[str, Field], write: Callable[[Field, str], str]) -> str:
    """Return a sentence with the options outside of calls written anew."""
    inside = _inside_of_calls(said)

    def one(match: re.Match[str]) -> str:
        field = options.get(match["name"])
        if field is None or inside[match.start()]:
            return match[0]
        return write(field, match["value"])

    return _SAID.sub(one, said)


def _inside_of_calls(said: str) -> list[bool]:
    """Return for each character whether it stands between the brackets of a call."""
    inside, depth = [False] * len(said), 0
    starts = {match.end() - 1 for match in _CALL.finditer(said)}
    for at, letter in enumerate(said):
        if at in starts or (depth and letter == "("):
            depth += 1
        elif depth and letter == ")":
            depth -= 1
        inside[at] = depth > 0
    return inside
