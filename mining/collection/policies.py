"""What is done with odd rows: a small table of kinds, what may be done with each, and the defaults.

The default refuses only where going on in silence would change a result. What is not refused is
counted by kind, and the first ten are shown (`Oddities`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import UsageError
from ..names import nearest


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of odd row: what it is, and what may be done with it; the default stands first."""

    help: str
    actions: tuple[str, ...]


KINDS = {
    "duplicate_row": Kind(
        "a document or query a second time, with the same text", ("keep_first", "refuse")
    ),
    "conflicting_row": Kind(
        "an id a second time, with another text", ("refuse", "keep_first", "keep_last")
    ),
    "dangling_qrel": Kind(
        "a judgement of a document or query that is not there", ("refuse", "drop")
    ),
    "duplicate_qrel": Kind(
        "a judgement a second time, with the same grade", ("keep_first", "refuse")
    ),
    "conflicting_qrel": Kind(
        "a judgement a second time, with another grade",
        ("refuse", "keep_first", "keep_last", "keep_highest"),
    ),
    "no_positives": Kind("a split without a grade of at least 1", ("refuse", "keep")),
    "empty_query": Kind("a query without visible text", ("keep", "drop", "refuse")),
    "empty_document": Kind(
        "a document without visible text; it is never mined", ("keep", "refuse")
    ),
    "quoted_field": Kind(
        "a field of a TSV file that stands in quotation marks as csv writes it", ("unquote", "keep")
    ),
}
"""Kind of odd row → what may be done with it, the default first."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The action for every kind; those not named have the default of the table."""

    chosen: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=lambda: KINDS)

    def __getitem__(self, kind: str) -> str:
        return self.chosen.get(kind, self.kinds[kind].actions[0])

    @staticmethod
    def of_empty(role: str) -> str:
        """Return the kind that rows without visible text are of, in "corpus" or "queries"."""
        return "empty_document" if role == "corpus" else "empty_query"

    def looks_for_empty(self, role: str) -> bool:
        """Say whether rows without visible text have to be found before anything is written."""
        return self[self.of_empty(role)] != "keep"

    def identity(self, *kinds: str) -> dict[str, dict[str, str]]:
        """Return what of these kinds is not the default, as the parameters of a stage."""
        other = {k: self[k] for k in kinds if self[k] != self.kinds[k].actions[0]}
        return {"on": other} if other else {}


def policies_of(
    given: Sequence[str] | Mapping[str, str], kinds: Mapping[str, Kind] = KINDS
) -> Policies:
    """Read `kind=action` texts, or a mapping; raises UsageError with the nearest names. `kinds`:
    the table that they are of, by default that of collections."""
    pairs: Iterable[tuple[str, str]]
    if isinstance(given, Mapping):
        pairs = given.items()
    else:
        texts = [one.strip() for text in given for one in text.split(",")]
        pairs = [
            (kind.strip(), action.strip()) for kind, _, action in (t.partition("=") for t in texts)
        ]
    chosen: dict[str, str] = {}
    for kind, action in pairs:
        if kind not in kinds:
            raise UsageError(
                f"on: {kind!r} is no kind of odd row",
                do=nearest(kind, kinds) + "; write KIND=ACTION",
            )
        if action not in kinds[kind].actions:
            raise UsageError(
                f"on: {kind}={action!r} is not possible; {kind} is {kinds[kind].help}",
                do=nearest(action, kinds[kind].actions),
            )
        if chosen.setdefault(kind, action) != action:
            raise UsageError(
                f"on: {kind} is given twice: {chosen[kind]} and {action}", do="keep one"
            )
    return Policies(chosen, kinds)


def option(kind: str, action: str) -> str:
    """Return the option that goes on, as it is typed."""
    return f"--on {kind}={action}"


SHOWN = 10


class Oddities:
    """What was odd and not refused: how many of each kind, and where the first ten stand."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.first: dict[str, list[str]] = {}

    def add(self, kind: str, count: int, examples: Iterable[str] = ()) -> None:
        """Count some more; examples beyond the first ten are not kept."""
        if not count:
            return
        self.counts[kind] = self.counts.get(kind, 0) + count
        first = self.first.setdefault(kind, [])
        for example in examples:
            if len(first) == SHOWN:
                break
            first.append(example)
