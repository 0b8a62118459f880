"""Families: the members of one kind of value, and the way from text to value and back."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from .. import foreign
from ..errors import RankmillError, UsageError, extras_told
from ..ranges import check_ranges
from .fitting import fit_to, placeholder_of
from .parameters import arguments_of, default_of, neutral_of
from .reader import Reader
from .suggestions import nearest
from .texts import WORD, Call, Identity, Spelled, text_of

if TYPE_CHECKING:
    from ..parts.costs import Costs

Member = TypeVar("Member", bound=type)
_NONE: Mapping[str, str] = {}
_families: dict[tuple[str, str], Family] = {}


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
            if not WORD.fullmatch(name) or text_of(name) != name:
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
        said = arguments_of(value, neutral_of)
        version = foreign.version_of(type(value))
        said += [f"version={text_of(version)}"] if version is not None else []
        return Identity(_call(value.canonical_name, said))

    def display(self, value: Any) -> str:
        """Return the text for people: only what is not at its default, and no version."""
        return _call(value.canonical_name, arguments_of(value, default_of))

    def _read(self, text: Any, stored: bool) -> Any:
        if self.owns(text):
            return text
        if isinstance(text, str) and not text.strip():
            raise UsageError(
                f"{text!r} is no {self.noun}", do=f"write one of {', '.join(self.names())}"
            )
        parsed = Reader(text).whole() if isinstance(text, str) else text
        parsed = parsed.text if isinstance(parsed, Spelled) else parsed
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
                do=f"write {call.name}({', '.join(placeholder_of(fields[m]) for m in missing)})",
            )
        fitted = {k: fit_to(fields[k], v, where) for k, v in given.items()}
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


def foreigners() -> list[tuple[Family, str, type]]:
    """Return family, name and class of all code of other people that this process has loaded."""
    return [(f, *one) for f in _families.values() for one in f.foreigners()]


def _family(home: str, noun: str) -> Family:
    import_module(home)
    return _families[home, noun]


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


def _call(name: str, arguments: list[str]) -> str:
    return f"{name}({','.join(arguments)})" if arguments else name


def _as_identity(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_as_identity(v) for v in value)
    return Identity(value) if isinstance(value, str) else value
