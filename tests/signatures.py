"""Writes `rankmill/objects/signatures.pyi`: verbs and methods, for type checkers and editors.

    python tests/signatures.py

They are made from requests when rankmill is imported, which no editor does. A test compares.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rankmill as rm
from rankmill.objects import kinds, own_parts
from rankmill.request import Request
from rankmill.stages import REQUESTS

PLACE = Path(__file__).resolve().parents[1] / "rankmill" / "objects" / "signatures.pyi"
CLASSES = ("Collection", "Run", "Pool", "Scores", "Groups", "Statistics", "Student")
RETURNED = {  # of verbs that make no object of one class
    "survey": "Overview",
    "cross": "dict[tuple[int, int], Groups]",
    "cells": "dict[tuple[int, int], Groups]",
    "terms": "Terms",
    "audit": "dict[str, Any]",
    "explain": "Explanation",
    "export": "Exported",
}
HEAD = '''"""Verbs and methods for type checkers and editors; tests/signatures.py writes this."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias

from rankmill.mining.actors import Execution
from rankmill.mining.audit.explain import Explanation
from rankmill.mining.collection import Collection as Collected
from rankmill.mining.collection.overview import Overview
from rankmill.mining.exports import Exported
from rankmill.mining.store import Artifact, Workspace
from rankmill.objects.judged import Comparison, Evaluation
from rankmill.objects.kinds import (
    Collection,
    Groups,
    Pool,
    Run,
    Scores,
    Statistics,
    Student,
)
from rankmill.training.ordering import Terms

class PartValue(Protocol):
    """A value of a frozen dataclass: a source, a teacher, a statistic, a loss of one's own."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

Part: TypeAlias = str | Callable[..., Any] | PartValue
Names: TypeAlias = Sequence[str]
'''


def written() -> str:
    """Return the whole file."""
    lines = [HEAD]
    for verb, request in REQUESTS.items():
        signature = inspect.signature(getattr(rm, verb))
        returned = RETURNED.get(verb, signature.return_annotation)
        lines += [*function(verb, signature.parameters.values(), returned, request, ""), ""]
    for name in CLASSES:
        lines += [f"class {name}Verbs:"]
        for method, request in methods(getattr(kinds, name)):
            signature = inspect.signature(getattr(getattr(kinds, name), method))
            own, *others = signature.parameters.values()
            first = "_self" if any(one.name == "self" for one in others) else "self"
            parameters = [own.replace(name=first), *others]
            returned = signature.return_annotation
            lines += function(method, parameters, returned, request, "    ")
        lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def methods(of: type) -> Iterator[tuple[str, type[Request[Any]]]]:
    """Yield the methods of a class that are made from requests, with the request of each."""
    for name, annotation in vars(of).get("__annotations__", {}).items():
        if str(annotation).startswith("Callable[..., "):
            yield name, REQUESTS[name]


def function(
    name: str, parameters: Any, returned: str, request: type[Request[Any]], indent: str
) -> Iterator[str]:
    """Yield the lines of a function: every parameter on a line of its own, and its summary."""
    yield f"{indent}def {name}("
    star = False
    for one in parameters:
        if one.kind is one.VAR_POSITIONAL:
            star = True
            yield f"{indent}    *{one.name}: Run | str | Path,"
            continue
        if one.kind is one.KEYWORD_ONLY and not star:
            star = True
            yield f"{indent}    *,"
        yield f"{indent}    {parameter(one, request)},"
        if one.kind is one.POSITIONAL_ONLY:
            yield f"{indent}    /,"
    yield f"{indent}) -> {returned}:"
    said = inspect.cleandoc(request.__doc__ or "").split("\n\n")[0].split("Example:")[0]
    first, *more = textwrap.wrap(" ".join(said.split()), 84)
    yield f'{indent}    """{first}' + ("" if more else '"""')
    for number, line in enumerate(more, 1):
        yield f"{indent}    {line}" + ('"""' if number == len(more) else "")


def parameter(one: inspect.Parameter, request: type[Request[Any]]) -> str:
    """Return `depth: int = 100`."""
    if one.annotation is one.empty:
        return one.name
    default = "" if one.default is one.empty else f" = {default_of(one)}"
    return f"{one.name}: {annotation(one, request)}{default}"


def annotation(one: inspect.Parameter, request: type[Request[Any]]) -> str:
    """Return the type of a parameter: of a part, a function or a value too; of a name, a path."""
    said = str(one.annotation)
    if (request.verb, one.name) in own_parts.OPTIONS.keys() | own_parts.OR_TEACHER:
        said = re.sub(r"\bNames\b", "Sequence[Part]", re.sub(r"\bstr\b", "Part", said))
    said = re.sub(r"\b(Artifact|Collection) \| str\b(?! \| Path)", r"\1 | str | Path", said)
    return re.sub(r"\bCollection\b", "Collected", said)  # any handle of one, not ours alone


def default_of(one: inspect.Parameter) -> str:
    """Return a default as it is written."""
    if isinstance(one.default, str):
        return '"' + one.default.replace('"', '\\"') + '"'
    return repr(int(one.default)) if type(one.default).__name__ == "Unasked" else repr(one.default)


if __name__ == "__main__":
    PLACE.write_text(written(), encoding="utf-8")
