"""Which folders are mirrors: by the address that this process was given, or by the marker in it."""

from __future__ import annotations

from pathlib import Path

from .address import Address, is_address, parse
from .mirror import Mirror, address_in

_given: dict[Path, Address] = {}
_made: dict[Path, Mirror] = {}
_elsewhere: dict[Path, Path] = {}  # a mirror of another machine's → that of the same address here


def root_of(workspace: str | Path) -> Path | None:
    """Return the folder of a workspace that is given by a URL, None for one given as a folder.

    Touches nothing. Raises UsageError for what is no address of an object store.
    """
    if not is_address(workspace):
        return None
    place = parse(workspace)
    if isinstance(place, Path):
        return place
    root = place.mirror_root()
    _given[root] = place
    return root


def mirror_at(root: Path) -> Mirror | None:
    """Return the mirror that a folder is, None for any other folder."""
    if root not in _made:
        address = _given.get(root) or address_in(root)
        if address is None:
            return None
        _made[root] = Mirror(root, address)
    return _made[root]


def stands_for(root: Path, address: Address) -> None:
    """Let paths below a mirror of another machine's mean those below ours from now on."""
    own = address.mirror_root()
    _given[own] = address
    if own != root:
        _elsewhere[root] = own


def here(path: Path) -> Path:
    """Return the path on this machine of what may be one of another machine's mirror."""
    for root, own in _elsewhere.items():
        if path.is_relative_to(root):
            return own / path.relative_to(root)
    return path
