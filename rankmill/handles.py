"""Names as handles: what a text means where an artifact or a collection is wanted.

The command line and the verbs of Python read names by these rules: an alias, the first 8 or more
digits of a fingerprint, or the folder of an artifact; where an option takes a file as well, a file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rankmill.mining.collection import Collection
from rankmill.mining.errors import BadInput, UsageError
from rankmill.mining.inputs.given_paths import path_given
from rankmill.mining.options import Field, Handle
from rankmill.mining.store import Artifact, Workspace, open_artifact
from rankmill.mining.store.manifest import MANIFEST
from rankmill.stages import DEFAULT_WORKSPACE

WORKSPACE_VARIABLE = "RANKMILL_WORKSPACE"


# ---- one name ------------------------------------------------------------------------------------


def handle_of(workspace: Workspace, field: Field, text: str, said: str | None = None) -> Any:
    """Return the artifact or collection that a text means for an option, or the text itself where
    the option takes a path and it is one; `said` is what errors call the option.

    Raises BadInput with the nearest names, or with the kind of what has the name; UsageError where
    it is the name of an artifact and of a file.
    """
    if field.option.of == "collection":
        return Collection.open(workspace, text)
    if not field.path_too:
        return find(workspace, text, str(field.option.of))
    if text in workspace.names():
        return _named(workspace, text, said or field.name, str(field.option.of))
    if field.option.of == "student" or _is_file_or_shards(workspace, text):
        return text
    return find(workspace, text, str(field.option.of))


def find(workspace: Workspace, text: str, kinds: str) -> Artifact:
    """Return the artifact of a name, of one of the kinds that an option takes: `run or scores`."""
    first, *others = kinds.split(" or ")
    for kind in others:
        with contextlib.suppress(BadInput):
            return workspace.find(text, kind)
    if others and workspace.knows(text) and (one := workspace.find(text)).kind != first:
        raise BadInput(
            f"{text} is of kind {one.kind}, one of kind {kinds} was expected",
            where=one.path,
            do=f"`rankmill list {first}` shows those that are there, and likewise "
            f"{', '.join(others)}",
        )
    return workspace.find(text, first)


def _is_file_or_shards(workspace: Workspace, text: str) -> bool:
    """Say whether a text is the path of a file, or of a folder that has no fingerprint's name."""
    path = path_given(text)
    return path.is_file() or (path.is_dir() and not workspace.knows(text))


def _named(workspace: Workspace, text: str, said: str, kinds: str) -> Artifact:
    """Return the artifact of an alias; raises UsageError where a file has that name too, BadInput
    where it is of another kind."""
    artifact = workspace.find(text)
    if Path(text).exists():
        raise UsageError(
            f"{said} {text!r} means two things: the {artifact.kind} of that name in "
            f"{workspace.root}, and {Path(text).absolute()}",
            do=f"write ./{text} for the file, or {artifact.fingerprint[:12]} for the "
            f"{artifact.kind}",
        )
    return find(workspace, text, kinds)


# ---- names among the arguments of a verb ---------------------------------------------------------


def workspace_at(given: Workspace | str | Path | None) -> Workspace:
    """Return the workspace that is meant: by default $RANKMILL_WORKSPACE, or ./rankmill-work."""
    if isinstance(given, Workspace):
        return given
    if given is None:
        given = os.environ.get(WORKSPACE_VARIABLE) or DEFAULT_WORKSPACE
    place = Workspace(given)
    if place.mirror is None and not place.root.is_dir():
        _check_can_be_made(place.root)
    return place


def _check_can_be_made(root: Path) -> None:
    """Raise BadInput where the folder of a workspace could not be made."""
    above = next(one for one in (root, *root.parents) if one.exists())
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return
    why = f"no permission to write to {above}" if above.is_dir() else f"{above} is a file"
    raise BadInput(
        f"a workspace cannot be made here: {why}",
        where=root,
        do="name the folder of one, or of a new one: workspace=FOLDER",
    )


def opened(name: str | Path | Artifact | Collection, workspace: Workspace | None = None) -> Any:
    """Return the artifact of a name, of a fingerprint's first digits, or at a path.

    Raises BadInput where there is none, UsageError for what is no name.
    """
    if isinstance(name, Artifact | Collection):
        return getattr(name, "artifact", name)
    if not isinstance(name, str | Path):
        raise UsageError(
            f"{name!r} is no name", do="give a name, the digits of a fingerprint, or a path"
        )
    folder = _folder_of_artifact(name)
    if folder is not None:
        return open_artifact(folder)
    place = workspace or workspace_at(None)
    if isinstance(name, Path):
        raise BadInput(
            "there is no artifact here",
            where=name,
            do=f"give the folder that holds its {MANIFEST}, or a name in {place.root}",
        )
    _check_there(place, name)
    return place.find(name)


def handles_in(
    fields: Iterable[Field], given: Mapping[str, Any], workspace: Workspace | str | Path | None
) -> dict[str, Any]:
    """Return the arguments of a verb with names replaced by what they mean.

    They are looked for in `workspace`, by default in that of the handles among the arguments.
    Raises UsageError where a handle is of another workspace than the one that is named.
    """
    named = {field.name: field for field in fields if field.type is Handle and field.option.of}
    place = _place_of([given[name] for name in named if name in given], workspace)
    return {
        name: _meant(place, named[name], value) if name in named else value
        for name, value in given.items()
    }


def _place_of(values: Sequence[Any], workspace: Workspace | str | Path | None) -> Workspace:
    """Return the workspace in which names are looked for."""
    wanted = None if workspace is None else workspace_at(workspace)
    for one in _flat(values):
        artifact = getattr(one, "artifact", one)
        theirs = getattr(artifact, "workspace", None)
        if theirs is None:
            continue
        if wanted is not None and theirs.root != wanted.root:
            raise UsageError(
                f"{artifact!r} is of another workspace than {str(wanted.root)!r}",
                where=theirs.root,
                do="leave out workspace, or give a handle or a name of that one",
            )
        wanted = theirs
    return wanted or workspace_at(None)


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, Mapping):
            yield from _flat(value.values())
        elif isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


def _meant(place: Workspace, field: Field, value: Any) -> Any:
    """Return what a value means: of texts, alone, in lists or under labels, the handles."""
    listed = isinstance(value, list | tuple)
    if (field.form != "one" and isinstance(value, str)) or (
        field.form == "one" and not field.option.several and listed
    ):
        return value  # one where several are wanted, or several: the option itself says so
    if isinstance(value, Mapping):
        return {label: _each(place, field, one) for label, one in value.items()}
    return _each(place, field, value)


def _each(place: Workspace, field: Field, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_each(place, field, one) for one in value]
    if isinstance(value, Path) and not field.path_too:
        value = str(value)
    if not isinstance(value, str):
        return value
    folder = None if field.path_too else _folder_of_artifact(value)
    if folder is not None:
        return handle_of(Workspace(folder.parent.parent), field, folder.name)
    if not field.path_too:
        _check_there(place, value)
    try:
        return handle_of(place, field, value)
    except BadInput as error:
        error.what = f"{field.name}: {error.what}"
        raise


def _folder_of_artifact(name: str | Path) -> Path | None:
    """Return the folder of an artifact where a text is its path."""
    if isinstance(name, str) and not ("/" in name or os.sep in name):
        return None
    folder = path_given(name).absolute()
    return folder if (folder / MANIFEST).is_file() else None


def _check_there(place: Workspace, name: str) -> None:
    """Raise BadInput where there is no workspace in which a name could be looked for."""
    if place.mirror is None and not place.root.is_dir():
        raise BadInput(
            f"{name!r} cannot be looked for: there is no workspace here",
            where=place.root,
            do="say workspace=FOLDER, or begin one: rm.collect(SPEC)",
        )
