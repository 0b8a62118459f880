"""Parts of your own: a source, teacher, statistic, strategy, filter, loss or export format.

A part is a frozen dataclass with a decorator; its fields are its parameters, and its name then
works wherever rankmill's own names do, on the command line, in recipes and in Python, here and on
Ray workers. In a script or a notebook the decorator is all there is to it; a package also names
its parts as entry points, `rankmill.sources`, `rankmill.teachers`, and so on (docs/plugins.md).

    from dataclasses import dataclass
    from rankmill.plugins import statistic

    @statistic("spread")
    @dataclass(frozen=True)
    class Spread:
        def measure(self, rows):
            low = np.minimum.reduceat(rows.scores, rows.offsets[:-1])
            high = np.maximum.reduceat(rows.scores, rows.offsets[:-1])
            return high - low, np.zeros(len(rows), np.uint8)

The version of the code is part of what is made with it: `version = "1"` in the class, without a
type, or else a hash of the source of its module.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rankmill.mining import answers, foreign
from rankmill.mining.errors import UsageError, extras_told
from rankmill.mining.names import Family, neutral

if TYPE_CHECKING:
    from rankmill.mining.collection import Collection
    from rankmill.mining.exports.base import Format
    from rankmill.mining.options import Option
    from rankmill.mining.parts.costs import Costs
    from rankmill.mining.selection.base import Candidates, Filter, Strategy
    from rankmill.mining.sources.base import mines
    from rankmill.mining.sources.searching import Search, SearchingSource
    from rankmill.mining.statistics.base import Column, Rows, Statistic
    from rankmill.mining.teachers.base import prepares
    from rankmill.mining.teachers.pairs import PairTeacher, ScorePairs
    from rankmill.training.losses import Loss

__all__ = [
    "Candidates",
    "Collection",
    "Column",
    "Costs",
    "Filter",
    "Format",
    "Loss",
    "Option",
    "PairTeacher",
    "Part",
    "Rows",
    "ScorePairs",
    "Search",
    "SearchingSource",
    "Statistic",
    "Strategy",
    "export_format",
    "filter",
    "installed",
    "loss",
    "mines",
    "neutral",
    "prepares",
    "source",
    "statistic",
    "strategy",
    "teacher",
]

Member = TypeVar("Member", bound=type)


class Register(Protocol):
    """A class decorator."""

    def __call__(self, member: Member, /) -> Member:
        """Register the class and return it."""
        ...


_TYPES = {  # loaded when they are asked for: a loss needs torch, a source does not
    "Candidates": "rankmill.mining.selection.base",
    "Collection": "rankmill.mining.collection",
    "Column": "rankmill.mining.statistics.base",
    "Costs": "rankmill.mining.parts.costs",
    "Filter": "rankmill.mining.selection.base",
    "Format": "rankmill.mining.exports.base",
    "Loss": "rankmill.training.losses",
    "Option": "rankmill.mining.options",
    "PairTeacher": "rankmill.mining.teachers.pairs",
    "Rows": "rankmill.mining.statistics.base",
    "ScorePairs": "rankmill.mining.teachers.pairs",
    "Search": "rankmill.mining.sources.searching",
    "SearchingSource": "rankmill.mining.sources.searching",
    "Statistic": "rankmill.mining.statistics.base",
    "Strategy": "rankmill.mining.selection.base",
    "mines": "rankmill.mining.sources.base",
    "prepares": "rankmill.mining.teachers.base",
}
_FAMILIES = {
    "source": "sources",
    "teacher": "teachers",
    "statistic": "statistics",
    "strategy": "strategies",
    "filter": "filters",
    "loss": "losses",
    "export_format": "exports",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _TYPES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_TYPES[name]), name)


def _family(kind: str) -> Family:
    from rankmill.named.families import KINDS

    with extras_told():
        return KINDS[_FAMILIES[kind]].family


_WANTED = {
    "statistic": "measure",
    "filter": "keeps",
    "strategy": "choose",
    "loss": "_values",
    "export_format": "write",
}
_UNLESS_SAID: dict[str, dict[str, Any]] = {"statistic": {"unit": "", "needs": frozenset()}}


def _register(kind: str, name: str) -> Register:
    """Return the decorator of a family, which looks first whether the class has what it needs."""
    family = _family(kind)
    if not isinstance(name, str):
        raise UsageError(
            f"{name!r} is no name of a {family.noun}", do=f'write @{kind}("a_name") above the class'
        )

    def add(member: Member) -> Member:
        if not isinstance(member, type):
            raise UsageError(
                f"{family.noun} {name}: {member!r} is no class",
                do=f"decorate a class, as the example in rankmill.plugins.{kind} does",
            )
        for attribute, value in _UNLESS_SAID.get(kind, {}).items():
            if not hasattr(member, attribute):
                setattr(member, attribute, value)
        method = _WANTED.get(kind)
        if method is not None and not hasattr(member, method):
            raise UsageError(
                f"{family.noun} {name} has no {method}",
                where=foreign.place_of(member),
                do=f"write it as the example in rankmill.plugins.{kind} does",
            )
        if method is not None and method in vars(member):  # else it is inherited, and was seen to
            looked_at = answers.checked(kind, vars(member)[method], f"{family.noun} {name}")
            setattr(member, method, looked_at)
        return family.register(name)(member)

    return add


def source(name: str) -> Register:
    """Register a source: `searcher(collection)` returns search(text, depth) → (documents, scores).

    Documents are ordinals of the collection, in any order; empty ones are left out, equal scores
    are ordered by document. `searcher` is called once per process.

        @source("prefix")
        @dataclass(frozen=True)
        class Prefix:
            letters: int = 3

            def searcher(self, collection):
                corpus = collection.corpus
                starts = [t[: self.letters] for t in corpus.texts(range(len(corpus)))]

                def search(text, depth):
                    docs = [i for i, s in enumerate(starts) if s == text[: self.letters]]
                    return docs[:depth], [1.0] * len(docs[:depth])

                return search

    A source that is made in some other way has a function `mine` decorated with `mines(Class)`, as
    those in rankmill/mining/sources.
    """
    return _register("source", name)


def teacher(name: str) -> Register:
    """Register a teacher: `score(pairs)` returns a number for each (query text, document text).

        @teacher("overlap")
        @dataclass(frozen=True)
        class Overlap:
            kind = "similarity"  # or logit (unless said), log-prob, probability

            def score(self, pairs):
                return [len(set(q.split()) & set(d.split())) for q, d in pairs]

    A score must follow from its pair alone. In place of `score`, `scorer()` opens what scoring
    needs (a model), once per process, and returns that function. A function decorated with
    `prepares(Class)` does everything itself.
    """
    return _register("teacher", name)


def statistic(name: str) -> Register:
    """Register a statistic: `measure(rows)` returns (values, status) of every row.

    `rows.scores` float32 [items] and `rows.offsets` int64 [rows + 1] say which scores are whose;
    status uint8 is 0 where a value is defined. `unit` is a text for the column; `needs` names what
    else must be there: labels, vectors, query_vectors, selection, texts, student. Example: the head
    of this module.
    """
    return _register("statistic", name)


def strategy(name: str) -> Register:
    """Register a strategy, which chooses the negatives of a group: the protocol `Strategy`.

    A shortcut: subclass one of rankmill's own and override `reach`, say.
    """
    return _register("strategy", name)


def filter(name: str) -> Register:
    """Register a filter: `keeps(candidates)` → bool [candidates], `reads(labels)` → frozenset.

    @filter("even_documents")
    @dataclass(frozen=True)
    class EvenDocuments:
        def reads(self, labels):
            return frozenset()

        def keeps(self, candidates):
            return candidates.doc % 2 == 0
    """
    return _register("filter", name)


def loss(name: str) -> Register:
    """Register a loss: a `Loss` with `_values(f, g)`, tensors [groups, k] in, [groups] out.

    @loss("squared")
    @dataclass(frozen=True)
    class Squared(Loss):
        def _values(self, f, g):
            return ((f - g) ** 2).mean(dim=1)
    """
    return _register("loss", name)


def export_format(name: str) -> Register:
    """Register an export format: a `Format` with `write(source, out)`, as docs/exports.md says."""
    return _register("export_format", name)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an installed package: what it is, whose it is, and what is wrong with it, if so."""

    kind: str
    name: str
    package: str
    fault: str | None = None


def installed() -> list[Part]:
    """Load the parts of all installed packages, and say which of them cannot be used, and why."""
    parts = []
    losses_too = find_spec("torch") is not None  # what they lack is told by itself
    for kind in (kind for kind in _FAMILIES if losses_too or kind != "loss"):
        family = _family(kind)
        for name, points in foreign.installed(family.group).items():
            for point in points:
                fault = family.fault(name)
                parts.append(Part(kind, name, foreign.distribution_of(point), fault))
    return parts
