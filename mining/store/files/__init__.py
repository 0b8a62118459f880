"""The only folder that opens for writing, syncs, renames, links and removes files.

Everything durable goes temp → fsync → rename → fsync folder, so a kill, a full disk or a power cut
leaves either the old state or the new one. The rest of the house says `files.write_bytes`: this is
its front door.
"""

from .arrow import give_back, mapped_arrow, read_arrow, write_arrow
from .columns import Columns
from .folders import (
    link_folder,
    make_folder,
    make_private,
    remove_empty,
    remove_file,
    remove_for_good,
    remove_tree,
    rename_folder,
)
from .hashing import Facts, HashingSink, Stamp, holds, sha256_of, sha256_once, stamp_of
from .libraries import by_library, sync_tree
from .locks import hold, lock, remove_unless_held, turn
from .outputs import building, copy_tree, replacing, writing
from .publishing import create_only, is_torn, publish, write_bytes
from .small import NoFile, append_line, append_lines, read_small
from .steps import PUBLISHED
from .temporary import beside, sweep, sweep_left

__all__ = [
    "PUBLISHED",
    "Columns",
    "Facts",
    "HashingSink",
    "NoFile",
    "Stamp",
    "append_line",
    "append_lines",
    "beside",
    "building",
    "by_library",
    "copy_tree",
    "create_only",
    "give_back",
    "hold",
    "holds",
    "is_torn",
    "link_folder",
    "lock",
    "make_folder",
    "make_private",
    "mapped_arrow",
    "publish",
    "read_arrow",
    "read_small",
    "remove_empty",
    "remove_file",
    "remove_for_good",
    "remove_tree",
    "remove_unless_held",
    "rename_folder",
    "replacing",
    "sha256_of",
    "sha256_once",
    "stamp_of",
    "sweep",
    "sweep_left",
    "sync_tree",
    "turn",
    "write_arrow",
    "write_bytes",
    "writing",
]
