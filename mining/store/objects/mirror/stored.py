"""A part as the store is asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class IsStored(Protocol):
    """A part as its manifest tells it."""

    @property
    def file(self) -> str:
        """Its name within the artifact."""
        ...

    @property
    def bytes(self) -> int:
        """Its size."""
        ...

    @property
    def sha256(self) -> str:
        """The hash of its content."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A part as its record tells it: a file, its size and its SHA-256."""

    file: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Stored:
        """Take from a completion record."""
        return cls(record["file"], record["bytes"], record["sha256"])
