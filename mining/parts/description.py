"""What a part of a family is, takes and costs, read from where it is declared.

The class says the name and types of its parameters, their `Option` what they mean, `ranges` how far
numbers go, the docstring what the part is and where it comes from (`Source: …`), `Costs` what it
needs. Parts of other people are read the same way; a parameter without an `Option` is looked up in
the docstring.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from .. import foreign, names
from ..errors import RankmillError
from ..options import Option
from ..ranges import MOST_COUNTED, MOST_MEASURED, range_of
from .costs import Costs

_MOST_EXAMPLES = 2  # parameters that an example shows at their defaults
_LIMITS = (MOST_COUNTED, MOST_MEASURED, -MOST_MEASURED, 1e6, -1e6, 1e-6, 2**63 - 1)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; `default` is its text, None where a value must be given."""

    name: str
    type: str
    default: str | None
    help: str
    unit: str | None = None
    within: str | None = None
    example: str | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """One part: `about` is what its docstring says after the first paragraph, `needs` what else it
    reads (vectors, a student's scores), `package` whose it is."""

    noun: str
    name: str
    summary: str
    about: tuple[str, ...]
    source: str | None
    parameters: tuple[Parameter, ...]
    example: str
    costs: Costs | None
    needs: frozenset[str] = frozenset()
    unit: str | None = None
    package: str | None = None


def describe(family: names.Family, name: str) -> Described:
    """Describe the member of a name; raises UsageError for one that the family lacks."""
    member = family.member(name)
    summary, about, source = _told(member)
    parameters = tuple(_parameters(member, name))
    example = _example(member, name, parameters)
    value: Any = None
    with contextlib.suppress(RankmillError):
        value = family.parse(example)
    return Described(
        noun=family.noun,
        name=name,
        summary=summary,
        about=about,
        source=source,
        parameters=parameters,
        example=example,
        costs=_costs(family, member),
        needs=frozenset(getattr(value, "needs", ()) or ()),
        unit=_unit(family, value),
        package=_package(family, member, name),
    )


def summary_of(member: type) -> str:
    """Return the first paragraph of what a class says of itself."""
    return _told(member)[0]


def _told(member: type) -> tuple[str, tuple[str, ...], str | None]:
    """Return the first paragraph of a docstring, the others, and what follows `Source:`."""
    text = inspect.cleandoc(vars(member).get("__doc__") or "")
    if text.startswith(f"{member.__name__}("):  # written by dataclass
        text = ""
    source = None
    if match := re.search(r"Source:\s+(.+?)(?:\n\s*\n|\Z)", text, re.S):
        source = " ".join(match[1].split())
        text = text.replace(match[0], "\n\n")
    told = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]
    return (told[0] if told else "", tuple(told[1:]), source)


def _parameters(member: type, name: str) -> typing.Iterator[Parameter]:
    options = options_of_part(member)
    doc = inspect.getdoc(member) or ""
    for field in dataclasses.fields(member):
        option = options.get(field.name, Option(_in_docstring(field.name, doc)))
        type_ = names.said_type(field)
        yield Parameter(
            name=field.name,
            type=type_,
            default=names.default_text(field),
            help=option.help,
            unit=option.unit,
            within=_within(name, field.name) if "number" in type_ else None,
            example=option.example,
        )


def options_of_part(member: type) -> Mapping[str, Option]:
    """Return what a class declares of its parameters, by name."""
    try:
        hints = typing.get_type_hints(member, include_extras=True)
    except (
        NameError,
        AttributeError,
        TypeError,
    ):  # a type of other people's code that is there for type checkers alone
        return {}
    return {
        name: next(one for one in typing.get_args(hint)[1:] if isinstance(one, Option))
        for name, hint in hints.items()
        if typing.get_origin(hint) is Annotated
        and any(isinstance(one, Option) for one in typing.get_args(hint)[1:])
    }


def _in_docstring(name: str, doc: str) -> str:
    """Return the sentence of a docstring that begins with a parameter's name, or holds it."""
    text = " ".join(doc.split())
    match = re.search(rf"`{name}`: (.+?)(?:\. |\.?$)", text)
    if match is None:
        match = re.search(rf"(?:^|(?<=\. ))([^.]*`{name}`.*?)(?:\. |\.?$)", text)
    return f"{match[1][0].upper()}{match[1][1:]}." if match else ""


def _within(member: str, parameter: str) -> str | None:
    """Say which numbers a parameter takes; limits that nobody meets are left out."""
    known = range_of(member, parameter)
    if known is None:
        return None
    least = None if known.least in _LIMITS else _plain(known.least)
    most = None if known.most in _LIMITS else _plain(known.most)
    if least is not None and most is not None:
        return f"{least} to {most}"
    return f"at least {least}" if least is not None else most and f"at most {most}"


def _plain(limit: float) -> str:
    return f"{limit:,.10g}"


def _example(member: type, name: str, parameters: tuple[Parameter, ...]) -> str:
    """Return a value that can be typed: what must be given, what has an example, or defaults."""
    shown = [(p.name, p.example) for p in parameters if p.default is None or p.example is not None]
    if not shown:
        plain: list[tuple[str, str | None]] = [
            (p.name, p.default) for p in parameters if p.default not in (None, "none", '""')
        ]
        shown = plain[:_MOST_EXAMPLES]
    gathers = getattr(member, "gathers", None)
    said = [
        f"{value or '…'}" if key == gathers else f"{key}={value or '…'}" for key, value in shown
    ]
    return f"{name}({','.join(said)})" if said else name


def _costs(family: names.Family, member: type) -> Costs | None:
    own = getattr(member, "costs", None)
    if isinstance(own, Costs):
        return own
    return None if foreign.is_foreign(member) else family.costs


def _unit(family: names.Family, value: Any) -> str | None:
    """Return the unit of what a statistic measures."""
    unit = getattr(value, "unit", None) if family.noun == "statistic" else None
    return unit if isinstance(unit, str) and unit else None


def _package(family: names.Family, member: type, name: str) -> str | None:
    """Return whose code a part is; None for rankmill's own."""
    if not foreign.is_foreign(member):
        return None
    points = foreign.installed(family.group).get(name, ())
    return foreign.distribution_of(points[0]) if points else foreign.place_of(member)
