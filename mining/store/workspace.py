"""A workspace: finds finished artifacts by fingerprint or name, and has missing ones made.

<workspace>/<kind>/<fingerprint>/   part-00042.arrow, part-00042.json (the only sign of "done"),
                                    manifest.json (create-only, last), ledger.json, attempts.jsonl,
                                    LOCK
<workspace>/names/<alias>.json      readable names
<workspace>/tmp/<fingerprint>/      attempts; only the holder of that artifact's LOCK deletes them
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

from .. import names
from ..errors import BadInput, Corrupt, OtherFormat, RankmillError, warn
from ..inputs.given_paths import check_path, path_given
from . import files, ledger
from .aliases import NAMES, Alias, Stray, alias_at, read_aliases, write_alias
from .artifact import Artifact
from .declared import check_declared
from .execution import Executor, Inline
from .making.ending import noting
from .making.folder import make_files
from .making.leftovers import sweep
from .making.parts import make_parts
from .making.shared import after_share, make_share
from .manifest import MANIFEST, NotFinished, fingerprint_of
from .objects import mirrors
from .objects.mirror import Mirror
from .parts.quarantine import check_something_made
from .plan import Stage
from .together import shares

_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")
_MOST_OPENED = 1024  # handles that a workspace keeps
_NONE_YET = "nothing of kind {0} has a name here yet; `rankmill list {0}` shows what is"


class Workspace:
    """A folder of artifacts, or the mirror of an object store given by its URL. Making the object
    touches no disk."""

    def __init__(self, root: str | Path = "rankmill-work"):
        check_path("workspace", root)
        folder = mirrors.root_of(root) or path_given(root)
        self.root = mirrors.here(folder.absolute())

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    @cached_property
    def mirror(self) -> Mirror | None:
        """The object store that the folder mirrors; None where the folder is all there is."""
        return mirrors.mirror_at(self.root)

    @property
    def most_mapped(self) -> int | None:
        """How many bytes of parts may be mapped at once: what the cache of an object store holds;
        None for a folder."""
        return None if self.mirror is None else self.mirror.cache.bound

    # ---- finding -------------------------------------------------------------------------------

    def check_there(self) -> None:
        """Raise BadInput where there is no such folder, so that nothing can be found in it."""
        if self.mirror is not None:
            if not self.mirror.bucket.holds_any():
                raise BadInput(
                    "there is no workspace here: nothing is stored below this address",
                    where=str(self.mirror.address),
                    do="check bucket and prefix, or begin one: rankmill collect SPEC",
                )
        elif not self.root.is_dir():
            what = "this is no folder" if self.root.exists() else "there is no workspace here"
            raise BadInput(
                what,
                where=self.root,
                do="name the folder of one (--workspace DIR), or begin one: rankmill collect SPEC",
            )

    def open(self, kind: str, fingerprint: str) -> Artifact:
        """Open a finished artifact; raises BadInput when it is not there.

        One that was opened before is the same handle as long as its manifest and ledger stand as
        they stood: a stage asks for its inputs, and theirs, again and again.
        """
        folder = self.folder(kind, fingerprint)
        self.bring(folder)
        state = _state_of(folder)
        known = self._opened.get(folder)
        if state is None or known is None or known[0] != state:
            if len(self._opened) >= _MOST_OPENED:
                self._opened.clear()
            known = self._opened[folder] = state, Artifact(folder, self)
        return known[1]

    @cached_property
    def _opened(self) -> dict[Path, tuple[_State, Artifact]]:
        """The artifacts that were opened by kind and fingerprint, with what stood there then."""
        return {}

    def has(self, kind: str, fingerprint: str) -> bool:
        """Say whether the artifact is finished."""
        manifest = self.folder(kind, fingerprint) / "manifest.json"
        self.bring(manifest.parent)
        return manifest.exists() and not files.is_torn(manifest)

    def folder(self, kind: str, fingerprint: str) -> Path:
        """Return where an artifact stands or will stand."""
        return self.root / kind / fingerprint

    def beside(self, kind: str, fingerprint: str) -> Path:
        """Return where the writer of an artifact puts what stands beside its parts, such as times:
        the folder of the artifact, which is there by then."""
        return self.folder(kind, fingerprint)

    def bring(self, folder: Path) -> None:
        """Where the folder of an artifact mirrors an object store, bring what makes it one."""
        if self.mirror is not None and folder.is_relative_to(self.root):
            self.mirror.finished.pull(folder)

    def manifests(self, kind: str | None = None) -> list[Path]:
        """Return the manifest of every finished artifact (of one kind), in order; those of an
        object store may not have been brought yet."""
        if self.mirror is not None:
            return self.mirror.finished.manifests(kind)
        return sorted(self.root.glob(f"{kind or '*'}/*/manifest.json"))

    def artifacts(self, kind: str | None = None) -> Iterator[Artifact]:
        """Open every finished artifact (of one kind), in order of kind and fingerprint.

        Those of another format version are passed over: `other_formats` has them.
        """
        for one in self._finished(kind):
            if isinstance(one, Artifact):
                yield one

    def fingerprints(self) -> frozenset[str]:
        """Return the fingerprints of all finished artifacts, none of which is opened."""
        return frozenset(path.parent.name for path in self.manifests())

    def other_formats(self, kind: str | None = None) -> list[OtherFormat]:
        """Return, as the error that opening it raises, each artifact of another format version."""
        return [one for one in self._finished(kind) if isinstance(one, OtherFormat)]

    def stray(self) -> list[Stray]:
        """Return, as errors to tell, what lies in the workspace and cannot be read: files in
        `names/` that are no aliases, manifests that are damaged or not ours."""
        stray = [one for one in self._finished(None) if isinstance(one, Stray)]
        return [*stray, *self.aliases()[1].values()]

    def _finished(self, kind: str | None) -> Iterator[Artifact | OtherFormat | Stray]:
        for manifest in self.manifests(kind):
            if files.is_torn(manifest):
                continue
            try:
                yield Artifact(manifest.parent, self)
            except OtherFormat as error:
                yield error
            except NotFinished:  # removed since it was listed, or listed still by a store that lags
                continue
            except (RankmillError, OSError) as error:
                if self.mirror is not None and not isinstance(error, Corrupt):
                    raise  # of the store, the network or the cache, not of this manifest
                yield Stray(
                    manifest, error, ours=bool(_FINGERPRINT.fullmatch(manifest.parent.name))
                )

    def names(self) -> dict[str, Alias]:
        """Return what each alias stands for; other files among the aliases are passed over."""
        return self.aliases()[0]

    def aliases(self) -> tuple[dict[str, Alias], dict[str, Stray]]:
        """Return what each alias stands for, and by name the files that are none of ours."""
        if self.mirror is not None:
            self.mirror.names.bring()
        return read_aliases(self.root)

    def find(self, name: str | Artifact, kind: str | None = None) -> Artifact:
        """Open an artifact by alias, or by the first 8 or more digits of its fingerprint."""
        if isinstance(name, Artifact):
            artifact = name
        else:
            known, stray = self.aliases()
            if self.mirror is not None and not (name in known or _FINGERPRINT.fullmatch(name)):
                self.mirror.names.ask(name)
                known, stray = read_aliases(self.root)
            if name in stray:
                raise stray[name]
            if name in known:
                artifact = self.open_named(name, known[name])
            else:
                artifact = self._by_fingerprint(name, kind, known)
        if kind is not None and artifact.kind != kind:
            raise BadInput(
                f"{name} is of kind {artifact.kind}, one of kind {kind} was expected",
                where=artifact.path,
                do=f"`rankmill list {kind}` shows those that are there",
            )
        return artifact

    def open_named(self, name: str, alias: Alias) -> Artifact:
        """Open what an alias stands for; raises Corrupt where that is no longer what it was."""
        artifact = self.open(alias.kind, alias.fingerprint)
        if alias.root not in (None, artifact.root_hash):
            raise Corrupt(
                f"the name {name!r} was given to {alias.kind} {alias.fingerprint[:12]} when it had "
                f"the root hash {str(alias.root)[:12]}; it has {artifact.root_hash[:12]} now",
                where=self.root / NAMES / f"{name}.json",
                do=f"rankmill verify {alias.fingerprint[:12]}; if that is good, give the name anew",
            )
        return artifact

    def knows(self, name: str) -> bool:
        """Say whether `find` opens an artifact of this name."""
        return name in self.names() or len(self._beginning_with(name, None)) == 1

    def _by_fingerprint(self, name: str, kind: str | None, known: Mapping[str, Alias]) -> Artifact:
        self.check_there()
        manifests = self._beginning_with(name, kind)
        if len(manifests) == 1:
            return Artifact(manifests[0].parent, self)
        if manifests:
            raise BadInput(f"{len(manifests)} artifacts begin with {name}", do="give more digits")
        wanted = [n for n, alias in known.items() if kind in (None, alias.kind)]
        raise BadInput(
            f"no {kind} called {name!r}" if kind else f"nothing is called {name!r}",
            where=self.root,
            do=names.nearest(name, wanted)
            if wanted
            else _NONE_YET.format(kind)
            if kind
            else "nothing has a name here yet",
        )

    def _beginning_with(self, name: str, kind: str | None) -> list[Path]:
        """Return the manifests of the finished artifacts whose fingerprint begins with `name`."""
        if not _FINGERPRINT.fullmatch(name):
            return []
        return [one for one in self.manifests(kind) if one.parent.name.startswith(name)]

    def alias(self, name: str, artifact: Artifact) -> None:
        """Let `name` stand for the artifact from now on; that it stood for something of another
        kind is told."""
        before = alias_at(self.root, name)
        if before is not None and before.kind != artifact.kind:
            warn(
                f"the name {name!r} stood for {before.kind} {before.fingerprint[:12]}, and stands "
                f"for {artifact.kind} {artifact.fingerprint[:12]} from now on"
            )
        write = partial(write_alias, self.root, name, artifact)
        if self.mirror is None:
            write()
        else:
            self.mirror.names.give(name, write)

    def open_made(self, kind: str, fingerprint: str) -> Artifact:
        """Open a finished artifact; raises NothingMade for one without a row."""
        made = self.open(kind, fingerprint)
        check_something_made(made.manifest, made.path)
        return made

    # ---- building ------------------------------------------------------------------------------

    def build(self, stage: Stage, executor: Executor | None = None) -> Artifact:
        """Return the stage's artifact, doing only the work that no earlier run has finished.

        `executor` runs the shards: None is this process, see `rankmill.mining.actors.Execution`.

        Raises Locked when another process writes it, NothingMade when all queries were dropped,
        and whatever the worker raises; parts committed before an error stay, and the same call
        resumes.
        """
        fingerprint = stage.fingerprint
        check_declared(stage.kind, fingerprint, stage, stage.metadata)
        if self.has(stage.kind, fingerprint):
            sweep(self, stage.kind, fingerprint)
            made = self.open_made(stage.kind, fingerprint)
            if executor is not None:
                executor.progress.there(stage.kind, fingerprint)
            return made
        share = shares.current()
        if share is not None and not share.merges:
            make_share(self, stage, fingerprint, executor or Inline(), share)
            return after_share(self, stage, share)
        with noting(self, self.folder(stage.kind, fingerprint)), ledger.keeping() as books:
            built = make_parts(self, stage, fingerprint, executor or Inline(), books, share)
        assert built is not None
        return built

    def build_folder(
        self,
        kind: str,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, Artifact],
        write: Callable[[Path, Path], Mapping[str, Any] | None],
        metadata: Mapping[str, str] | None = None,
        algorithm: int = 1,
    ) -> Artifact:
        """Return an artifact of arbitrary files, such as a student's checkpoint.

        `write(folder, scratch)` fills `folder`; each file in it becomes a part. `scratch` outlives
        a kill, so a long computation keeps its own checkpoints there; it is removed when the
        artifact is published. What `write` returns is its usage for the ledger.
        """
        return make_files(self, kind, parameters, inputs, write, metadata, algorithm)

    def put_manifest(self, path: Path, manifest: bytes) -> None:
        """Publish a manifest, where there is none."""
        files.create_only(path, manifest)


_State: TypeAlias = tuple[files.Stamp, files.Stamp] | None


def _state_of(folder: Path) -> _State:
    """Return what changes with manifest and ledger; None where one of them is not there."""
    try:
        return files.stamp_of(folder / MANIFEST), files.stamp_of(folder / ledger.LEDGER)
    except OSError:
        return None


class NotThere(RankmillError):
    """An artifact that only `FoundOnly` was asked for is not there."""


class FoundOnly(Workspace):
    """The same folder, in which nothing is made and nothing is named: for looking at plans."""

    def build(self, stage: Stage, executor: Executor | None = None) -> Artifact:
        """Return the stage's artifact if it is finished; raises NotThere."""
        return self._found(stage.kind, stage.fingerprint)

    def build_folder(
        self,
        kind: str,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, Artifact],
        write: Callable[[Path, Path], Mapping[str, Any] | None],
        metadata: Mapping[str, str] | None = None,
        algorithm: int = 1,
    ) -> Artifact:
        """Return the artifact if it is finished; raises NotThere."""
        return self._found(kind, fingerprint_of(kind, parameters, inputs, algorithm))

    def alias(self, name: str, artifact: Artifact) -> None:
        """Name nothing."""

    def _found(self, kind: str, fingerprint: str) -> Artifact:
        if not self.has(kind, fingerprint):
            raise NotThere(f"{kind} {fingerprint[:12]} is not there", where=self.root)
        return self.open(kind, fingerprint)


def open_artifact(path: str | Path) -> Artifact:
    """Open an artifact by its folder; what workers in other processes use."""
    folder = mirrors.here(Path(path))
    return Artifact(folder, Workspace(folder.parent.parent))
