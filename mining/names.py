"""Values with one canonical text form: `bm25(k1=0.9,b=0.4)` parses to a value and prints back the
same.

A `Family` holds the members of one kind (sources, teachers, statistics, …); the module of a member
is imported when the member is first named. A member is a frozen
dataclass; its fields are the parameters, declared once. The text is what recipes, the command line,
column names and manifests use. It is read by a small parser of its own, never by `eval`.

    value   = word | quoted | list | name "(" [argument {"," argument}] ")"
    argument = [parameter "="] value
    list    = "[" [value {"," value}] "]"

A value has two texts. Its *identity* is hashed and names columns: every parameter but those at
their neutral value, the one with which the member behaves as before the parameter existed. So a new
parameter changes no identity, and a changed default does. Its *display* is for people and leaves
out whatever stands at its default. A text from a user is filled up with defaults, an identity with
neutral values: `Family.stored`.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from . import foreign
from .errors import RankmillError, UsageError, extras_told
from .ranges import check_ranges

if TYPE_CHECKING:
    from .parts.costs import Costs

Member = TypeVar("Member", bound=type)
MOST_NESTED = 32
MOST_CHARACTERS = 400  # of a number
_AROUND = 120  # characters that are shown on either side of a fault
_WORD = re.compile(r"[^\s()\[\],=\"']+")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$", re.ASCII)
_DECIMAL = re.compile(r"-?((0|[1-9]\d*)(\.\d+)?|inf)$", re.ASCII)
_NONE: Mapping[str, str] = {}
_CONSTANTS = {
    "true": True,
    "false": False,
    "none": None,
    "inf": math.inf,
    "-inf": -math.inf,
}
_NEUTRAL = "neutral"
_PLAIN_NAMES = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "tuple": "a list",
    "None": "none",
}


class Identity(str):
    """The identity text of a value: read back, what it leaves out is neutral, not the default."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A parsed `name(positional, parameter=value)`; arguments may be calls and lists themselves."""

    name: str
    positional: tuple[Any, ...] = ()
    named: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:  # in one spelling, as a label: 1.0 is 1
        return text_of(_normal(self))


@dataclass(frozen=True, slots=True)
class _Spelled:
    """A bare number or constant with its spelling: where a text is wanted, 007 is no 7."""

    text: str
    value: Any


def neutral(value: Any, *, default: Any = dataclasses.MISSING) -> Any:
    """Declare a parameter that a member was given later, as the field of a dataclass.

    With `value` the member behaves as before the parameter existed, and identity texts leave it
    out; it is the default unless another is given. `pieces: int = neutral(1, default=2)`. A field
    with the default None is neutral at None without saying so.
    """
    default = value if default is dataclasses.MISSING else default
    return dataclasses.field(default=default, metadata={_NEUTRAL: value})


def neutral_of(field: dataclasses.Field[Any]) -> Any:
    """Return the neutral value of a field; MISSING for one that has none."""
    if field.default is None and _NEUTRAL not in field.metadata:
        return None
    return field.metadata.get(_NEUTRAL, dataclasses.MISSING)


def is_neutral(field: dataclasses.Field[Any], value: Any) -> bool:
    """Say whether a value of a field is its neutral one, so that identity texts leave it out."""
    return _printed(field, value) == _printed(field, neutral_of(field))


def unless_neutral(**given: tuple[Any, Any]) -> dict[str, Any]:
    """Return the parameters of a stage that are not neutral: `min_grade=(given, neutral)`."""
    return {name: value for name, (value, idle) in given.items() if not same(value, idle)}


def same(value: Any, other: Any) -> bool:
    """Say whether two values are written alike: 1 is not true, and 0 is not −0."""
    return text_of(value) == text_of(other)


def parse(text: str) -> Any:
    """Parse `text` to a word (str, int, float, bool or None), a tuple, or a `Call`."""
    return _plain(_Reader(text).whole())


def _plain(value: Any) -> Any:
    """Return a value as read without the spelling of its numbers."""
    if isinstance(value, _Spelled):
        return value.value
    if isinstance(value, tuple):
        return tuple(_plain(v) for v in value)
    if isinstance(value, Call):
        named = tuple((k, _plain(v)) for k, v in value.named)
        return Call(value.name, tuple(_plain(v) for v in value.positional), named)
    return value


def text_of(value: Any, depth: int = 0) -> str:
    """Print a parsed value so that `parse` gives it back, with the same types.

    Raises UsageError for what has no text: nan, half a character (a lone surrogate), lists and
    calls nested too deep, a number too long.
    """
    if depth >= MOST_NESTED and isinstance(value, tuple | list | Call):
        raise UsageError(f"a value is nested deeper than {MOST_NESTED} lists and brackets")
    if isinstance(value, _Spelled):
        return value.text
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return _digits(value)
    if isinstance(value, float):
        if math.isnan(value):
            raise UsageError("nan has no text: it equals nothing, so it can name nothing")
        return repr(float(value))
    if isinstance(value, str):
        return _text_of_text(value)
    if isinstance(value, tuple | list):
        return f"[{','.join(text_of(v, depth + 1) for v in value)}]"
    if isinstance(value, Call):
        arguments = [text_of(v, depth + 1) for v in value.positional]
        arguments += [f"{k}={text_of(v, depth + 1)}" for k, v in value.named]
        return f"{value.name}({','.join(arguments)})"
    return str(value)


def _digits(value: int) -> str:
    if abs(value) >= 10 ** (MOST_CHARACTERS - 1):
        raise UsageError(f"a number has more than {MOST_CHARACTERS} characters")
    return str(value)


def _text_of_text(value: str) -> str:
    _refuse_surrogates(value)
    bare = _WORD.fullmatch(value) and not _NUMBER.match(value) and value not in _CONSTANTS
    return str(value) if bare and value.isprintable() else json.dumps(value, ensure_ascii=False)


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{text!r} holds half a character (a lone surrogate) at {error.start + 1}",
            do="write it in UTF-8: it was read from bytes in another encoding",
        ) from None


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known names are nearest to `word`, for the last line of an error."""
    names = sorted(set(known))
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(close) + "?"
    shown = names if len(names) <= 20 else [*names[:20], "…"]
    return "known: " + (", ".join(shown) if names else "none")


class Family:
    """The members of one kind of value, and the way from text to value and back.

    `group`: the entry points of installed packages that have further members, code of other people
    (`foreign`); their identity ends in the version of that code, `version=…`. `plural`: what
    `rankmill list` calls the members, for families that people write values of. `costs`: what a
    member needs and costs that does not say so itself.
    """

    def __init__(
        self,
        noun: str,
        package: str | None = None,
        modules: Mapping[str, str] = _NONE,
        *,
        group: str | None = None,
        plural: str | None = None,
        costs: Costs | None = None,
    ):
        self.noun, self.group, self.plural, self.costs = noun, group, plural, costs
        self.home: str = sys._getframe(1).f_globals["__name__"]
        self._package = package
        self._members: dict[str, type] = {}
        self._modules = {n: module for module, names in modules.items() for n in names.split()}
        _families[self.home, noun] = self

    def __reduce__(self) -> tuple[Any, ...]:  # the other process has one of its own
        return _family, (self.home, self.noun)

    def register(self, name: str, costs: Costs | None = None) -> Callable[[Member], Member]:
        """Class decorator: make a frozen dataclass the member called `name`; `str(value)` is its
        text. `costs`: what it needs, where that is not what its family needs."""

        def add(member: Member) -> Member:
            self.add(name, member)
            if costs is not None:
                member.costs = costs  # type: ignore[attr-defined]
            return member

        return add

    def add(self, name: str, member: type) -> None:
        """Make a class the member called `name`; the same class defined once more replaces it.

        Raises UsageError for code of other people that is no frozen dataclass, has no version, or
        takes a name that is taken.
        """
        known = self._members.get(name)
        if self.group is not None and foreign.is_foreign(member):
            ours = name in self._modules or (known is not None and not foreign.is_foreign(known))
            if not _WORD.fullmatch(name) or text_of(name) != name:
                raise UsageError(f"{name!r} cannot name a {self.noun}", do="use letters and digits")
            if ours or (known is not None and foreign.place_of(known) != foreign.place_of(member)):
                where = "rankmill" if ours else foreign.place_of(known)
                raise UsageError(
                    f"the name of {self.noun} {name!r} is taken",
                    where=f"{foreign.place_of(member)}; it is taken by {where}",
                    do="give it another name",
                )
            foreign.prepare(member, f"{self.noun} {name}", self.group)
        elif known is not None:
            raise ValueError(f"{self.noun} {name!r} is registered twice")
        if not foreign.is_foreign(member):
            _within_ranges(member, name)
        self._members[name] = member
        member.__str__ = lambda value: self.text(value)  # type: ignore[assignment,misc]
        member.canonical_name = name  # type: ignore[attr-defined]

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted, without loading their modules."""
        return tuple(sorted({*self._members, *self._modules, *foreign.installed(self.group)}))

    def index(self) -> Mapping[str, str]:
        """Return the module that each member of rankmill's own is said to be in."""
        return {name: f"{self._package}{module}" for name, module in self._modules.items()}

    def foreigners(self) -> list[tuple[str, type]]:
        """Return the members registered so far that are other people's code."""
        if self.group is None:
            return []
        return [(n, m) for n, m in self._members.items() if foreign.is_foreign(m)]

    def owns(self, value: Any) -> bool:
        """Say whether `value` is a value of this family."""
        return type(value) in self._members.values()

    def member(self, name: str) -> type:
        """Return the dataclass called `name`; raises UsageError with the nearest names."""
        if name not in self._members and name in self._modules:
            with extras_told():
                import_module(self._modules[name], self._package)
        if name not in self._members and name in foreign.installed(self.group):
            foreign.load(self.group, name, self.noun)
            if name not in self._members:
                raise foreign.not_registered(self.group, name, self.noun)
        if name not in self._members:
            do = nearest(name, self.names())
            if self.plural is not None:
                do = _joined(do, f"`rankmill list {self.plural}` shows them all")
            raise UsageError(f"unknown {self.noun} {name!r}", do=do)
        return self._members[name]

    def fault(self, name: str) -> str | None:
        """Say why the member that a package offers under a name cannot be used; None if it can."""
        if name in self._modules:
            return f"rankmill has a {self.noun} {name!r} of its own"
        try:
            self.member(name)
        except RankmillError as error:
            return str(error)
        return None

    def usable(self) -> list[tuple[str, type]]:
        """Return names and classes, without what broken packages offer: `plugins.installed`."""
        return [
            (n, self.member(n)) for n in self.names() if n in self._modules or not self.fault(n)
        ]

    def parse(self, text: str | Any) -> Any:
        """Parse the text of a user, filled up with defaults, or an `Identity`, with neutral values.

        A value of this family is returned as it is.
        """
        return self._read(text, isinstance(text, Identity))

    def stored(self, text: str) -> Any:
        """Parse an identity that was read from a manifest, a card or the name of a column.

        Raises UsageError where the code of a member is of another version than the text says.
        """
        return self._read(text, True)

    def text(self, value: Any) -> Identity:
        """Return the identity: every parameter in declared order but those that are neutral."""
        said = _said(value, neutral_of)
        version = foreign.version_of(type(value))
        said += [f"version={text_of(version)}"] if version is not None else []
        return Identity(_call(value.canonical_name, said))

    def display(self, value: Any) -> str:
        """Return the text for people: only what is not at its default, and no version."""
        return _call(value.canonical_name, _said(value, _default_of))

    def _read(self, text: Any, stored: bool) -> Any:
        if self.owns(text):
            return text
        if isinstance(text, str) and not text.strip():
            raise UsageError(
                f"{text!r} is no {self.noun}", do=f"write one of {', '.join(self.names())}"
            )
        parsed = _Reader(text).whole() if isinstance(text, str) else text
        parsed = parsed.text if isinstance(parsed, _Spelled) else parsed
        call = Call(parsed) if isinstance(parsed, str) else parsed
        if not isinstance(call, Call):
            raise UsageError(
                f"{text!r} is not a {self.noun}", do=f"write one of {', '.join(self.names())}"
            )
        member = self.member(call.name)
        try:
            return self._bind(call, member, stored)
        except UsageError as error:
            if stored or self.plural is None or type(error) is not UsageError:
                raise
            raise _pointing(error, call.name) from error

    def named(self, call: Call) -> Call:
        """Return a call of a member with every argument under its parameter's name."""
        if call.name not in self.names() or not call.positional:
            return call
        member = self.member(call.name)
        known = [field.name for field in dataclasses.fields(member)]
        placed = _placed(member, known, call.positional, str(call))
        return Call(call.name, (), (*placed.items(), *call.named))

    def _bind(self, call: Call, member: type, stored: bool) -> Any:
        fields = {f.name: f for f in dataclasses.fields(member)}
        where = f"{self.noun} {call}"
        given = self._given(call, member, fields, where)
        if stored:
            for name, field in fields.items():
                if name not in given and (idle := neutral_of(field)) is not dataclasses.MISSING:
                    given[name] = idle
        missing = [
            f.name
            for f in fields.values()
            if f.name not in given
            and f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise UsageError(
                f"{call.name} needs {', '.join(missing)}",
                where=where,
                do=f"write {call.name}({', '.join(_sample(fields[m]) for m in missing)})",
            )
        fitted = {k: _fitted(fields[k], v, where) for k, v in given.items()}
        if stored:  # texts within are identities too
            fitted = {name: _as_identity(value) for name, value in fitted.items()}
        return member(**fitted)

    def _given(
        self, call: Call, member: type, fields: Mapping[str, Any], where: str
    ) -> dict[str, Any]:
        """Return the arguments of a call by parameter, after a look at the version of the code."""
        given = _placed(member, list(fields), call.positional, where)
        version = foreign.version_of(member)
        for key, value in call.named:
            if key == "version" and version is not None:
                said = value if isinstance(value, str) else text_of(value)
                foreign.check_version(member, said, where)
                continue
            if key not in fields:
                raise UsageError(
                    f"{call.name} has no parameter {key!r}",
                    where=where,
                    do=nearest(key, list(fields)),
                )
            if key in given:
                raise UsageError(f"parameter {key!r} is given twice", where=where)
            given[key] = value
        return given


def _placed(
    member: type, known: list[str], positional: tuple[Any, ...], where: str
) -> dict[str, Any]:
    """Return arguments without a name by parameter, in declared order.

    A member that `gathers` takes any number of lists, joined, as the one parameter it names.
    """
    gathers = getattr(member, "gathers", None)
    if gathers is not None and positional:
        lists = [value if isinstance(value, tuple) else (value,) for value in positional]
        return {gathers: tuple(one for items in lists for one in items)}
    if len(positional) > len(known):
        raise UsageError(f"{len(positional)} arguments, at most {len(known)}", where=where)
    return dict(zip(known, positional, strict=False))


_families: dict[tuple[str, str], Family] = {}


def _family(home: str, noun: str) -> Family:
    import_module(home)
    return _families[home, noun]


def _pointing(error: UsageError, name: str) -> UsageError:
    """Return the error of a wrong value, with the command that says what the part takes."""
    do = error.do or ""
    if "`rankmill " not in do:  # of a value within: it points somewhere already
        do = _joined(do, f"`rankmill describe {name}` says what it takes")
    return UsageError(error.what, where=error.where, do=do)


def _joined(do: str, more: str) -> str:
    return f"{do} {more}" if do.endswith("?") else f"{do}; {more}" if do else more


def _within_ranges(member: type, name: str) -> None:
    """Let the constructor of a member refuse numbers out of range, after its own refusals."""
    made: Any = vars(member).get("__init__") or member.__init__  # type: ignore[misc]

    @functools.wraps(made)
    def constructor(self: Any, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        check_ranges(self, name)

    member.__init__ = constructor  # type: ignore[misc]


def foreigners() -> list[tuple[Family, str, type]]:
    """Return family, name and class of all code of other people that this process has loaded."""
    return [(f, *one) for f in _families.values() for one in f.foreigners()]


def _call(name: str, arguments: list[str]) -> str:
    return f"{name}({','.join(arguments)})" if arguments else name


def _declared(field: dataclasses.Field[Any]) -> tuple[frozenset[str], str]:
    """Return the kinds of value that a field takes, `int`, `None`, `tuple`, and a list's items."""
    text = field.type.__name__ if type(field.type) is type else str(field.type)
    text = _without_option(text.replace("typing.", ""))
    if optional := re.fullmatch(r"Optional\[(.*)\]", text):
        text = f"{optional[1]} | None"
    kinds = frozenset(part.strip().split("[")[0] for part in text.split("|"))
    items = re.search(r"tuple\[(\w+)", text)
    return kinds, items[1] if items else ""


def _without_option(text: str) -> str:
    """Return the type of `Annotated[type, Option(…)]`; another annotation as it is."""
    inner, depth = text.removeprefix("Annotated["), 0
    if inner == text:
        return text
    for at, sign in enumerate(inner):
        depth += (sign == "[") - (sign == "]")
        if sign == "," and depth == 0:
            return inner[:at]
    return inner


def said_type(field: dataclasses.Field[Any]) -> str:
    """Return what people call the type of a parameter: `a number or none`, `a list of texts`."""
    kinds, items = _declared(field)
    words = [_PLAIN_NAMES[kind] for kind in _PLAIN_NAMES if kind in kinds]
    plural = {"int": "whole numbers", "float": "numbers", "str": "texts"}.get(items)
    said = [f"{word} of {plural}" if word == "a list" and plural else word for word in words]
    return " or ".join(said) or "a value"


def default_text(field: dataclasses.Field[Any]) -> str | None:
    """Return the default of a parameter as it is written; None where a value must be given."""
    value = _default_of(field)
    return None if value is dataclasses.MISSING else _printed(field, value)


def _default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _said(value: Any, left_out: Callable[[dataclasses.Field[Any]], Any]) -> list[str]:
    """Return `parameter=value` of every parameter that differs from what may be left out."""
    said = []
    for field in dataclasses.fields(value):
        text, idle = _printed(field, getattr(value, field.name)), left_out(field)
        if idle is dataclasses.MISSING or text != _printed(field, idle):
            said.append(f"{field.name}={text}")
    return said


def _as_identity(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_as_identity(v) for v in value)
    return Identity(value) if isinstance(value, str) else value


def _printed(field: dataclasses.Field[Any], value: Any) -> str:
    """Print a parameter: the field says that it is a float, so 2.0 is written 2."""
    kinds, items = _declared(field)
    if isinstance(value, tuple | list) and items in ("int", "float"):
        return f"[{','.join(_short(v) for v in value)}]"
    return _short(value) if kinds & {"int", "float"} else text_of(_normal(value))


def _short(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole and not same(value, -0.0) else text_of(value)


def _fitted(field: dataclasses.Field[Any], value: Any, where: str) -> Any:
    """Fit a parsed value to the declared type of its parameter, or refuse with the value."""
    kinds, items = _declared(field)
    if isinstance(value, tuple) and "tuple" in kinds:
        fitted = tuple(_fit(frozenset({items}), v) for v in value)
        if _UNFIT not in fitted:
            return fitted
        number = next(i for i, v in enumerate(fitted) if v is _UNFIT)
        raise UsageError(
            f"{field.name}: {text_of(value[number])} is not {_PLAIN_NAMES[items]}", where=where
        )
    fitted = _fit(kinds, value)
    if fitted is not _UNFIT:
        return fitted
    received = f"{field.name}={text_of(value)}"
    if kinds <= {"tuple", "None"}:
        sample = {"int": "[1,2]", "float": "[0.5,2]"}.get(items, f"[{text_of(value)},…]")
        raise UsageError(
            f"{received} is not a list",
            where=where,
            do=f"{field.name}= takes a list, such as {field.name}={sample}",
        )
    wanted = [name for kind, name in _PLAIN_NAMES.items() if kind in kinds]
    raise UsageError(f"{received} is not {' or '.join(wanted)}", where=where)


def _sample(field: dataclasses.Field[Any]) -> str:
    """Return a parameter as it is written where it is missing."""
    return f"{field.name}={'[a,b]' if 'tuple' in _declared(field)[0] else '…'}"


_UNFIT = object()


def _fit(kinds: frozenset[str], value: Any) -> Any:
    """Return a single value as one of the kinds has it, or _UNFIT."""
    if not kinds & _PLAIN_NAMES.keys():
        return _normal(value)
    given, spelled = value, value.text if isinstance(value, _Spelled) else None
    value = _plain(value)
    if value is None and "None" in kinds:
        return None
    if isinstance(value, bool) and "bool" in kinds:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and kinds & {"int", "float"}:
        return _number(kinds, value)
    if "str" in kinds:
        if isinstance(value, str):
            return value
        if isinstance(value, Call):
            return str(given)  # a nested value kept as its text
        if spelled is not None or type(value) in (int, float):
            return spelled or text_of(value)  # a run may be called 42, or 12e4
    if isinstance(value, tuple) and "tuple" in kinds:
        return value
    return _UNFIT


def _normal(value: Any) -> Any:
    """Return a nested value of no declared type in one spelling: 1.0 is 1, but 12e4 is a name."""
    if isinstance(value, _Spelled):
        is_name = type(value.value) in (int, float) and not _DECIMAL.match(value.text)
        return value.text if is_name else _normal(value.value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, tuple):
        return tuple(_normal(v) for v in value)
    if isinstance(value, Call):
        named = tuple((k, _normal(v)) for k, v in value.named)
        return Call(value.name, tuple(_normal(v) for v in value.positional), named)
    return value


def _number(kinds: frozenset[str], value: int | float) -> Any:
    if type(value) is float and "float" not in kinds:
        return int(value) if value.is_integer() else _UNFIT
    if type(value) is int and "int" not in kinds:
        return float(value) if abs(value) < 10**308 else _UNFIT
    return value


class _Reader:
    """A cursor over one text; every refusal shows the text with the position."""

    def __init__(self, text: str):
        _refuse_surrogates(text)
        self.text, self.at, self.depth = text, 0, 0

    def whole(self) -> Any:
        """Return the value that is the whole text; numbers and constants keep their spelling."""
        value = self.value()
        self.end()
        return value

    def value(self) -> Any:
        self._blank()
        if self._peek() in "\"'":
            return self._quoted()
        if self._peek() == "[":
            return tuple(item for _, item in self._sequence("[", "]", named=False))
        word = self._word()
        if self._peek() == "(":
            items = list(self._sequence("(", ")", named=True))
            positional = tuple(v for k, v in items if k is None)
            return Call(word, positional, tuple((k, v) for k, v in items if k is not None))
        if word in _CONSTANTS:
            return _Spelled(word, _CONSTANTS[word])
        if _NUMBER.match(word):
            if len(word) > MOST_CHARACTERS:
                raise self._error(f"a number of more than {MOST_CHARACTERS} characters")
            whole = word.lstrip("+-").isdigit()
            return _Spelled(word, int(word) if whole else float(word))
        return word

    def end(self) -> None:
        self._blank()
        if self.at < len(self.text):
            raise self._error("unexpected text")

    def _sequence(
        self, opening: str, closing: str, *, named: bool
    ) -> Iterator[tuple[str | None, Any]]:
        self.at += len(opening)
        self.depth += 1
        if self.depth > MOST_NESTED:
            raise self._error(f"nested deeper than {MOST_NESTED} lists and brackets")
        self._blank()
        while self._peek() != closing:
            key, value = None, self.value()
            self._blank()
            if self._peek() == "=" and named and isinstance(value, str):
                self.at += 1
                key, value = value, self.value()
                self._blank()
            yield key, value
            if self._peek() == ",":
                self.at += 1
                self._blank()
            elif self._peek() != closing:
                raise self._error(f"expected ',' or '{closing}'")
        self.at += 1
        self.depth -= 1

    def _quoted(self) -> str:
        quote, start = self.text[self.at], self.at
        end = start + 1
        while end < len(self.text) and self.text[end] != quote:
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise self._error("the quote is never closed")
        self.at = end + 1
        body = self.text[start + 1 : end]
        try:
            said = json.loads(f'"{body}"') if quote == '"' else body.replace("\\'", "'")
            _refuse_surrogates(said)
            return said
        except json.JSONDecodeError as error:
            raise self._error("this quoted text is not valid") from error

    def _word(self) -> str:
        match = _WORD.match(self.text, self.at)
        if not match:
            raise self._error("expected a name or a value")
        self.at = match.end()
        return match.group()

    def _peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else "\0"

    def _blank(self) -> None:
        while self._peek().isspace():
            self.at += 1

    def _error(self, what: str) -> UsageError:
        begin = max(0, self.at - _AROUND)
        seen, more = self.text[begin : self.at + _AROUND], len(self.text) - self.at > _AROUND
        before = "…" if begin else ""
        at = " " * (len(before) + self.at - begin)
        pointer = f"{before}{seen}{'…' if more else ''}\n         {at}^"
        return UsageError(f"{what} at character {self.at + 1}", where=pointer)
