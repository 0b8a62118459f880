"""A workspace on an object store, and its mirror on the local disk in which the engine works.

<address>/<kind>/<fingerprint>/part-00042.arrow.<sha256>   the data of a part; no key ever gets
                                                           other bytes, whoever puts them
                               part-00042.json             its record, created once: the first wins
                               attempts/<process>.jsonl    what unfinished parts cost so far
                               <file>.<sha256>             files of a folder, and those beside parts
                               ledger.json, manifest.json  created in this order, once
<address>/names/<alias>.json                               as on disk

What is published in the store never changes. The mirror holds the small files of what was opened,
and of the parts as many as the cache may hold.
"""

from __future__ import annotations

from pathlib import Path

from ..address import Address
from .ends import Ends
from .finished import FinishedThere
from .making import Making
from .marker import address_in
from .names_there import NamesThere
from .parts import Parts
from .stored import Stored

__all__ = ["Mirror", "Stored", "address_in"]


class Mirror(Ends):
    """What a workspace asks of the object store behind it."""

    def __init__(self, root: Path, address: Address):
        super().__init__(root, address)
        self.finished, self.parts, self.names = FinishedThere(self), Parts(self), NamesThere(self)
        self.making = Making(self, self.finished)
