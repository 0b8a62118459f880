"""What an error tells to do, in the words of Python.

Stages say it as the command line has it, for both share their options: `--allow-lossy`, `rankmill
score TEACHER --pool POOL`. A verb that fails says `allow_lossy=True` and `rm.score(TEACHER, POOL)`.
What is made of a command follows from its request; commands without one are named in `_COMMANDS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from rankmill.mining.options import Field, options_of
from rankmill.stages import REQUESTS
from rankmill.wording import in_quotes

_COMMANDS = {
    "advise": "rm.advise({})",
    "check": "rm.check({})",
    "cost": "rm.open({}).cost()",
    "demo": 'rm.run("demo")',
    "describe": "rm.describe({})",
    "estimate": "rm.estimate({})",
    "hash": "rm.open({}).root_hash",
    "list": "rm.list({})",
    "run": "rm.run({})",
    "show": "rm.open({}).to_polars()",
    "study": "rm.study({})",
    "summary": "rm.summarise({})",
    "verify": "rm.open({}).verify()",
}
"""By command what stands for it in Python; `{}`: its arguments."""
_IN_A_TERMINAL = ("doctor", "gc", "recipes", "repair", "rm", "unsafe-convert-pickle", "watch")
"""Commands that look after a machine or a workspace: there is no verb for them."""

_ALSO = {
    "--workers": "executor=rm.Execution(workers={})",
    "--ray-address": "executor=rm.Execution(ray_address={})",
    "--workspace": "workspace={}",
    "--name": "name={}",
    "--dev": "dev={}",
    "--evidence": "evidence=[{}]",
    "--pilot": "pilot={}",
    "--prices": "prices={}",
    "--machine": "machine={}",
    "--sample": "sample={}",
    "--documents": "documents={}",
    "--scratch": "scratch={}",
}
"""Options that no request declares, as verbs have them."""

_TERMINAL = " in a terminal"
_WORD = r"""(?:"[^"]*"|'[^']*'|[^\s`,;)]+)"""
_ITEM = r"""[A-Z][A-Z0-9_|/]*(?:\.\w+)?(?![\w-])|-?[\w./]+(?:-\w+)*"""
_VALUE = rf"""(?:"[^"]*"|'[^']*'|[\w.+-]+=[^\s,;)`]+|(?:{_ITEM})(?:,(?:{_ITEM}))*|…)"""
_PLAIN = (
    r"""(?:"[^"]*"|'[^']*'|[A-Z][A-Z0-9_]*(?:\.\w+)?\b|[0-9a-f]{8,64}\b|\w+=\w+|[\w-]+(?= --))"""
)
_QUOTED = re.compile(r"`rankmill ([^`]+)`")
_FLAG = re.compile(rf"(--[a-z][a-z-]*|(?<![\w-])-n\b)(?:[ =]({_VALUE}))?")
_CACHE = re.compile(r"--cache-(?:dir|size)(?: DIR)? or (?=RANKMILL_CACHE)")  # no verb has these
_PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_|/]*|…")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_COUNT = re.compile(r"(\d+)([kM])")
_PROSE = frozenset(
    "if and or to of is takes names need out fixes reads uses has for on in with it the".split()
)


def in_python(said: str, request: type | None = None) -> str:
    """Return a sentence with commands and options as Python has them; those of `request` first."""
    calls: list[str] = []

    def kept(call: str) -> str:
        calls.append(call)
        return f"\0{len(calls) - 1}\0"

    def whole(match: re.Match[str]) -> str:
        if match.string[match.end() :].startswith(_TERMINAL):
            return kept(match[0])  # it was said in Python before
        return kept(_call(_split(match[0])[1:]))

    def quoted(match: re.Match[str]) -> str:
        if match.string[match.end() :].startswith(_TERMINAL):
            return kept(match[0])
        call, end, terminal = _call(_split(match[1])).partition(_TERMINAL)
        return kept(f"`{call}`{end}{terminal}")

    said = said.replace("--workers 0 --debug", "--workers 0")
    said = _CACHE.sub("", said)
    said = _QUOTED.sub(quoted, said)
    said = _bare_commands().sub(whole, said)
    said = re.sub(r"--as (run|scores|groups)\b", r"rm.import_\1", said)
    said = _FLAG.sub(lambda match: _option(match, request), said)
    if request is not None:
        said = in_quotes(said, {one.name: one for one in options_of(request)})
    return re.sub("\0(\\d+)\0", lambda match: calls[int(match[1])], said)


@cache
def _bare_commands() -> re.Pattern[str]:
    """Return what finds a command in a sentence: its name, then flags, names and quoted texts."""
    names = {one.command or verb for verb, one in REQUESTS.items()} | {*_COMMANDS, *_IN_A_TERMINAL}
    known = "|".join(sorted(names, key=len, reverse=True))
    end = r"(?![\w-])"
    return re.compile(
        rf"(?<![\w`/.'])rankmill (?:{known}){end}"
        rf"(?: (?:--?[a-z][a-z-]*(?: (?!(?:and|or|says|to)\b){_VALUE})?|{_PLAIN}))*"
    )


def _split(words: str) -> list[str]:
    """Return the words of a command, those in quotes whole."""
    return re.findall(_WORD, words)


def _call(words: Sequence[str]) -> str:
    """Return the call of Python for the words of a command."""
    command, *rest = words
    if command in _IN_A_TERMINAL:
        return f"{' '.join(['rankmill', *words])}{_TERMINAL}"
    verb = next((v for v, one in REQUESTS.items() if command == (one.command or v)), None)
    if command == "import":
        verb = f"import_{rest[rest.index('--as') + 1]}" if "--as" in rest else "import_run"
        rest = [w for i, w in enumerate(rest) if w != "--as" and "--as" not in rest[i - 1 : i]]
    if command == "export" and rest == ["list"]:
        return 'rm.list("exports")'
    if verb is not None:
        arguments = _arguments(rest, options_of(REQUESTS[verb]))
        return f"rm.{verb}({', '.join(arguments)})" if arguments else f"rm.{verb}"
    if command not in _COMMANDS:  # an option of the command line itself: `rankmill --help`
        return f"{' '.join(['rankmill', *words])}{_TERMINAL}"
    needed = "" if command == "list" else "NAME"
    return _COMMANDS[command].format(", ".join(_arguments(rest, ())) or needed)


def _arguments(words: Sequence[str], fields: Sequence[Field]) -> list[str]:
    """Return the arguments of a call: what verbs take by place in their order, the rest by name."""
    flags = {"-n": "--name", "-c": "--collection", "-s": "--statistic"}
    free, named = [], []
    given: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            free.append(word)
            continue
        flag = flags.get(word, word)
        field = next((f for f in fields if f.flag == flag), None)
        if field is not None and field.type is bool:
            named.append(f"{field.name}=True")
        elif field is not None and field.positional:
            given[field.name] = next(rest, "…")
        else:
            named.append(_named(flag, next(rest, "…"), field))
    placed = []
    for field in fields:
        if field.positional and field.option.argument and free:
            given[field.name] = free.pop(0)
    gap = False
    for field in fields:
        if not field.positional:
            continue
        if field.name not in given:
            gap = True
        elif gap:
            placed.append(f"{field.name}={_written(given[field.name])}")
        else:
            placed.append(_written(given[field.name]))
    return [*(_written(word) for word in free), *placed, *named]


def _option(match: re.Match[str], request: type | None) -> str:
    """Return an option of the command line that a sentence names as Python has it."""
    flag, value = match[1], match[2]
    field = _fields(request).get(flag)
    if field is None and flag not in _ALSO:
        return match[0]
    more = ""
    if value in _PROSE or (value is not None and field is not None and field.type is bool):
        value, more = None, match[0][len(flag) :]
    if value is not None:
        return _named(flag, value, field)
    if field is not None and field.type is bool:
        return f"{field.name}=True{more}"
    if flag == "--workers":
        return f"workers{more}"
    name = field.name if field is not None else _ALSO[flag].partition("=")[0]
    return f"{name}=…{more}"


@cache
def _fields(request: type | None) -> Mapping[str, Field]:
    """Return the declared options by their flag, those of one request in the place of others'."""
    every = {f.flag: f for one in REQUESTS.values() for f in reversed(options_of(one))}
    return every | ({f.flag: f for f in options_of(request)} if request is not None else {})


def _named(flag: str, value: str, field: Field | None) -> str:
    if flag == "--set":
        return _setting(value)
    if flag == "--workers" and value == "0":
        return "executor=None"
    if field is None:
        known = _ALSO.get(flag, f"{flag[2:].replace('-', '_')}={{}}")
        return known.format(_written(value))
    if field.form == "list" and field.type is not float:
        return f"{field.name}=[{_written(value)}]"
    if field.form == "list":
        return f"{field.name}=[{', '.join(value.split(','))}]"
    return f"{field.name}={_written(value)}"


def _setting(pair: str) -> str:
    """Return `key=value` of --set: a setting of a format, or a value of a recipe."""
    key, equals, value = pair.partition("=")
    option = "overrides" if "." in key or _PLACEHOLDER.fullmatch(key) else "settings"
    return f'{option}={{"{key}": {_written(value)}}}' if equals else f"overrides={_written(pair)}"


def _written(word: str) -> str:
    """Return a word as Python writes it: a number, True, a text in quotes, a placeholder as is."""
    if word[:1] in "\"'" and word[-1:] == word[:1] and len(word) > 1:
        word = word[1:-1]
        return '"…"' if word == "…" else f'"{word}"'
    if count := _COUNT.fullmatch(word):
        return f"{int(count[1]) * {'k': 1_000, 'M': 1_000_000}[count[2]]:_}"
    if word in ("true", "false"):
        return word.capitalize()
    if _PLACEHOLDER.fullmatch(word) or _NUMBER.fullmatch(word):
        return word
    return f'"{word}"'


def commands_in(said: str) -> Iterator[str]:
    """Yield what in a sentence is of the command line: for tests, which want none in Python."""
    for match in _FLAG.finditer(said):
        if match[1] in _ALSO or match[1] in _fields(None):
            yield match[0]
    for match in _bare_commands().finditer(said):
        if not said[match.end() :].startswith((_TERMINAL, f"`{_TERMINAL}")):
            yield match[0]
