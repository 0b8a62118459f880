"""What the verbs return: artifacts that have the next verbs as methods.

An object is the artifact itself, in a class of its kind: every stage takes it wherever it takes an
artifact, and its rows are read as those of any artifact. Kinds without a class of their own (an
index, tokens) are plain objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from rankmill.about import collection_of
from rankmill.mining import collection as mined
from rankmill.mining.errors import UsageError
from rankmill.mining.exports.rows import html
from rankmill.mining.parts.told import Findings, counted
from rankmill.mining.store import Artifact
from rankmill.objects.door import door

_CLASSES: dict[str, type[Object]] = {}
_collections: list[Callable[[mined.Collection], mined.Collection]] = []

Made = TypeVar("Made", bound="Object")
_SHORT = 60  # characters of one text in a repr


def short(text: str) -> str:
    """Return a text that may be long, cut for a line."""
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


def at_least_none(rows: int) -> int:
    """Return a number of rows; raises UsageError for one below 0, or beyond any table."""
    if not 0 <= rows < 2**63:
        raise UsageError(f"rows={rows} is no number of rows", do="write rows=5")
    return rows


class Object(Artifact):
    """An artifact of any kind: its rows as frames and dictionaries, what it was made from, its
    cost."""

    def __init_subclass__(cls, kind: str = "") -> None:
        super().__init_subclass__()
        if kind:
            _CLASSES[kind] = cls

    @classmethod
    def of(cls: type[Made], artifact: Artifact) -> Made:
        """Return an artifact that is open as an object; nothing is read again."""
        made = cls.__new__(cls)
        made.__dict__.update(vars(artifact))
        return made

    def __len__(self) -> int:
        return self.rows

    def __bool__(self) -> bool:
        return True  # of no rows too: whether one was given is what stages ask

    def __repr__(self) -> str:
        if type(self) is Object:
            return super().__repr__()
        return f"<{type(self).__name__} {self.about()}, {self.fingerprint[:12]}>"

    def _repr_html_(self) -> str:
        return html(self, title=repr(self)[1:-1])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield every row as a dictionary with ids and texts, some thousand documents at a time."""
        return self.records()

    @door
    def head(self, rows: int = 5) -> Any:
        """Return the first rows as a polars frame, ids and texts resolved."""
        return super().head(at_least_none(rows))

    @door
    def records(self, texts: bool = True) -> Iterator[dict[str, Any]]:
        """Yield every row as a dictionary, the texts of lists of documents too unless told not to;
        some thousand documents are in memory at a time."""
        return super().records(texts)

    def about(self) -> str:
        """Return what it is in a few words."""
        return f"{self.kind}, {counted(self.rows, 'row')}"

    @property
    def asked(self) -> str:
        """How many queries it has a row for, in words."""
        return counted(self.rows, "query", "queries")

    @door
    def input(self, role: str) -> Any:
        """Return the object that this one was made from in a role, such as "pool"."""
        return as_object(super().input(role))

    @property
    def split(self) -> str:
        """The split whose queries it is about."""
        return self.metadata.get("split", "")

    @property
    def collection(self) -> Any:
        """The collection that it is about."""
        return as_object(collection_of(self))


def collections_by(make: Callable[[mined.Collection], mined.Collection]) -> None:
    """Say what makes an object of a collection: its class has verbs, which stand on this module."""
    _collections[:] = [make]


def _collection_of(held: mined.Collection) -> mined.Collection:
    return _collections[0](held)


def as_object(made: Any) -> Any:
    """Return what a stage made with artifacts and collections as objects; of a mapping its values.

    Another mapping, such as an audit, prints as lines; anything else is returned as it is.
    """
    if isinstance(made, mined.Collection):
        return _collection_of(made)
    if isinstance(made, Artifact) and made.kind == "collection":
        return _collection_of(mined.Collection(made))
    if isinstance(made, Object):
        return made
    if isinstance(made, Artifact):
        return _CLASSES.get(made.kind, Object).of(made)
    if isinstance(made, Mapping) and made and all(isinstance(v, Artifact) for v in made.values()):
        return {key: as_object(value) for key, value in made.items()}
    return Findings(made) if type(made) is dict else made
