"""Which files of a folder belong together: by name, by shard number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import BadInput
from ...inputs.blocks import COMPRESSED
from ...inputs.shards import Shard, in_order, shard_of, unpacked_name


def files_named(place: Path, names: Sequence[str], endings: Sequence[str]) -> list[Path]:
    """Return the files of a folder called NAME.ending, plain before compressed."""
    wanted = [f"{n}{end}{packed}" for n in names for end in endings for packed in ("", *COMPRESSED)]
    return [place / name for name in wanted if (place / name).is_file()]


def shards_named(place: Path, ending: str, name: str) -> list[Path]:
    """Return `NAME-00000-of-00002.ending`, … of a folder in order; refuses a set with gaps."""
    shards = [path for path, shard in numbered(place, ending) if shard.name == name]
    return in_order(shards)


def numbered(place: Path, ending: str) -> list[tuple[Path, Shard]]:
    """Return the files of a folder that are shards of a set, with what their names say."""
    paths = [p for p in sorted(place.iterdir()) if unpacked_name(p.name).endswith(ending)]
    return [(path, shard) for path in paths if (shard := shard_of(path)) is not None]


def all_in(folder: Path, ending: str) -> list[Path]:
    """Return the files of a folder of shards in name order; others in it are refused by name."""
    paths = [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "_"))]
    for path in paths:
        if not (path.is_file() and unpacked_name(path.name).endswith(ending)):
            raise BadInput(
                f"{path.name} is no {ending} file",
                where=folder,
                do="a folder of shards holds nothing else; move it away",
            )
    if not paths:
        raise BadInput(f"the folder holds no {ending} files", where=folder, do="check the path")
    return in_order(paths)
