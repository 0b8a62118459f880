"""A workspace: finds finished artifacts by fingerprint or name, and builds the ones that are
missing.

<workspace>/<kind>/<fingerprint>/   part-00042.arrow, part-00042.json (the only sign of "done"),
                                    manifest.json (create-only, last), ledger.json, attempts.jsonl,
                                    LOCK
<workspace>/names/<alias>.json      readable names
<workspace>/tmp/<fingerprint>/      attempts; only the holder of that artifact's LOCK deletes them
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from .. import names
from ..errors import (
    BadInput,
    BadPair,
    Corrupt,
    Incomplete,
    Locked,
    OtherFormat,
    RankmillError,
    warn,
)
from ..inputs.given_paths import check_path, path_given
from ..meter import measuring
from ..meter.underway import Underway
from . import attempts, files, ledger
from .aliases import NAMES, Alias, Stray, read_aliases, write_alias
from .artifact import Artifact, named
from .declared import check_declared
from .execution import Executor, Inline, Job, Report, shown
from .manifest import canonical_json, fingerprint_of
from .objects import mirrors
from .objects.mirror import Mirror, Stored
from .parts.quarantine import check_allowance, check_something_made, quarantined
from .parts.records import (
    Frame,
    Holds,
    commit_part,
    finished_records,
    is_intact,
    manifest_of,
    record_for,
)
from .parts.titles import title_of
from .plan import Stage
from .sums import sums_beside
from .together import shares

_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")
_NONE_YET = "nothing of kind {} is here yet; `rankmill list` shows what is"
_LOOK_S = 1.0  # between two looks for the parts of other shares
_LOOK_AFAR_S = 5.0  # in an object store, where each look is some requests
_NOTE_WITHIN_S = 3.0  # of a run that was stopped
_HURRY_S = 30.0  # for the last share to let go of what is complete


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
        """Open a finished artifact; raises BadInput when it is not there."""
        return Artifact(self.folder(kind, fingerprint), self)

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
            self.mirror.pull(folder)

    def manifests(self, kind: str | None = None) -> list[Path]:
        """Return the manifest of every finished artifact (of one kind), in order; those of an
        object store may not have been brought yet."""
        if self.mirror is not None:
            return self.mirror.manifests(kind)
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
            self.mirror.bring_names()
        return read_aliases(self.root)

    def find(self, name: str | Artifact, kind: str | None = None) -> Artifact:
        """Open an artifact by alias, or by the first 8 or more digits of its fingerprint."""
        if isinstance(name, Artifact):
            artifact = name
        else:
            known, stray = self.aliases()
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

    def alias(self, name: str, artifact: Artifact) -> None:
        """Let `name` stand for the artifact from now on; that it stood for something of another
        kind is told."""
        before = self.names().get(name)
        if before is not None and before.kind != artifact.kind:
            warn(
                f"the name {name!r} stood for {before.kind} {before.fingerprint[:12]}, and stands "
                f"for {artifact.kind} {artifact.fingerprint[:12]} from now on"
            )
        write = partial(write_alias, self.root, name, artifact)
        if self.mirror is None:
            write()
        else:
            self.mirror.give_name(name, write)

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
            self._sweep(stage.kind, fingerprint)
            made = self._found_made(stage.kind, fingerprint)
            if executor is not None:
                executor.progress.there(stage.kind, fingerprint)
            return made
        share = shares.current()
        if share is not None and not share.merges:
            self._make_share(stage, fingerprint, executor or Inline(), share)
            return self._after_share(stage, share)
        with self._noting(self.folder(stage.kind, fingerprint)), ledger.keeping() as books:
            built = self._build(stage, fingerprint, executor or Inline(), books, share)
        assert built is not None
        return built

    def _make_share(
        self, stage: Stage, fingerprint: str, executor: Executor, share: shares.Share
    ) -> None:
        """Make the parts of a share. Where a run holds the whole artifact, it may be another share
        that puts all together; else it is waited for, or Locked raised."""
        waiting = shares.Waiting(share)
        while not self.has(stage.kind, fingerprint):
            try:
                noting = self._noting(self.folder(stage.kind, fingerprint))
                with noting, ledger.keeping() as books:
                    self._build(stage, fingerprint, executor, books, share)
                return
            except Locked:
                missing = set(self._missing(stage))
                if not any(share.takes(s) for s in stage.shards() if s.number in missing):
                    return
                if not share.wait:
                    raise
            waiting.look(f"{stage.kind}, which another run holds", self._look_s)

    def _after_share(self, stage: Stage, share: shares.Share) -> Artifact:
        """Return the artifact once the parts of all shares are there: one of them publishes it.

        Raises Elsewhere where some are missing and are not waited for.
        """
        waiting = shares.Waiting(share)
        folder, until = self.folder(stage.kind, stage.fingerprint), time.monotonic() + _HURRY_S
        while not self.has(stage.kind, stage.fingerprint):
            missing = self._missing(stage)
            if missing and not share.wait:
                some = (
                    "1 part of another share is"
                    if len(missing) == 1
                    else (f"{len(missing)} parts of other shares are")
                )
                raise shares.Elsewhere(
                    f"share {share.index} of {share.count} of {stage.kind} is made; {some} missing",
                    where=folder,
                    do="when they have ended, run the same command again; with --merge to see "
                    "that nothing is left to make",
                )
            if not missing:
                with contextlib.suppress(Locked), shares.using(shares.MERGE):
                    return self.build(stage)
                if not share.wait and time.monotonic() > until:
                    raise shares.Elsewhere(
                        f"all parts of {stage.kind} are there, and another run holds them",
                        where=folder,
                        do="run the same command again",
                    )
            waiting.look(f"parts of {stage.kind}: {shares.numbers(missing)}", self._look_s)
        return self._found_made(stage.kind, stage.fingerprint)

    def _missing(self, stage: Stage) -> list[int]:
        """Return the numbers of the parts that have no record."""
        folder = self.folder(stage.kind, stage.fingerprint)
        if self.mirror is not None:
            self.mirror.adopt(folder)
        return [
            s.number for s in stage.shards() if not (folder / f"part-{s.number:05d}.json").exists()
        ]

    def _build(
        self,
        stage: Stage,
        fingerprint: str,
        executor: Executor,
        books: ledger.Books,
        share: shares.Share | None,
    ) -> Artifact | None:
        folder = self.folder(stage.kind, fingerprint)
        with measuring() as checking:
            self._check_mirror(stage.inputs)
            self._check_input(stage, executor)
        partly = share is not None and not share.merges
        with files.lock(folder / "LOCK", shared=partly):
            if self.has(stage.kind, fingerprint):
                return self._found_made(stage.kind, fingerprint)
            books.folder = folder
            ledger.note_request(folder)
            ledger.note_models(folder, canonical_json(stage.parameters).decode())
            if stage.check is not None:
                ledger.note(folder, ledger.OUTSIDE, 1, checking)
            plan = list(stage.shards())
            place = self._fresh_attempts(stage.kind, fingerprint, share if partly else None)
            records = finished_records(folder, plan, fingerprint, self._holds(folder))
            held: list[Report] = []  # parts with quarantined queries, until all are known

            def commit(report: Report) -> None:
                if quarantined(stage, report):
                    held.append(report)
                else:
                    number = report.shard.number
                    records[number] = commit_part(folder, stage, fingerprint, report, self.mirror)

            job = Job(
                stage=stage,
                pending=shares.pending(share, plan, records, folder),
                done=len(records),
                attempts=place,
                folder=folder,
                title=title_of(stage, self),
            )
            if job.pending:
                try:
                    executor.execute(job, commit)
                except BadPair as error:
                    raise named(error, stage.inputs) from error
            if partly:
                files.sweep(place)
                shares.refuse_held(held, folder)
                return None
            check_allowance(stage, held, folder)
            for report in held:
                number = report.shard.number
                records[number] = commit_part(folder, stage, fingerprint, report, self.mirror)
            parts = [records[s.number] for s in plan]
            manifest = manifest_of(stage.kind, fingerprint, stage, stage.metadata, parts)
            check_something_made(json.loads(manifest), folder)
            self._publish(folder, manifest, place, books)
        return self.open(stage.kind, fingerprint)

    def _check_input(self, stage: Stage, executor: Executor) -> None:
        """Look at input from outside, which may be read from its beginning to its end."""
        if stage.check is not None:
            title = f"{title_of(stage, self)}, looking at its input"
            with shown(executor.progress, Underway(stage.kind, title, "", count=0, work=0)):
                stage.check()

    @property
    def _look_s(self) -> float:
        return _LOOK_S if self.mirror is None else _LOOK_AFAR_S

    @contextlib.contextmanager
    def _noting(self, folder: Path) -> Iterator[None]:
        """Where a run ends before it has published, leave what it cost in the object store."""
        within: float | None = None
        try:
            yield
        except Exception:
            raise
        except BaseException:  # stopped: whoever did that may not wait for long
            within = _NOTE_WITHIN_S
            raise
        finally:
            if self.mirror is not None and not (folder / "manifest.json").exists():
                with contextlib.suppress(RankmillError):  # what ended the run is told
                    self.mirror.note(folder, last=True, within=within)

    def _check_mirror(self, inputs: Mapping[str, Artifact]) -> None:
        """Before any work: the object store takes what will be made, the cache what is read."""
        if self.mirror is None:
            return
        self.mirror.check_writable()
        for artifact in inputs.values():
            for part in artifact.parts:
                self.mirror.cache.check_fits(part.bytes, f"{artifact.kind} part {part.number}")

    def _holds(self, folder: Path) -> Holds:
        """Return what says whether the data of a record are whole: here, or in the store."""
        if self.mirror is None:
            return partial(is_intact, folder)
        sizes = self.mirror.adopt(folder)
        return lambda record: sizes.get(f"{record['file']}.{record['sha256']}") == record["bytes"]

    def _found_made(self, kind: str, fingerprint: str) -> Artifact:
        """Open a finished artifact; raises NothingMade for one without a row."""
        made = self.open(kind, fingerprint)
        check_something_made(made.manifest, made.path)
        return made

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
        fingerprint = fingerprint_of(kind, parameters, inputs, algorithm)
        frame = Frame(parameters, inputs, algorithm)
        check_declared(kind, fingerprint, frame, metadata or {})
        if self.has(kind, fingerprint):
            self._sweep(kind, fingerprint)
            return self.open(kind, fingerprint)
        folder = self.folder(kind, fingerprint)
        self._await_first_share(kind, fingerprint)
        with (
            self._noting(folder),
            ledger.keeping() as books,
            files.lock(folder / "LOCK"),
        ):
            if self.has(kind, fingerprint):
                return self.open(kind, fingerprint)
            self._check_mirror(inputs)
            books.folder = folder
            ledger.note_request(folder)
            ledger.note_models(folder, canonical_json(parameters).decode())
            attempt = self._fresh_attempts(kind, fingerprint)
            scratch = files.make_folder(attempt.parent / "scratch")
            with measuring() as cost:
                usage = write(attempt, scratch)
            ledger.note(folder, 0, 1, ledger.with_usage(cost, usage or {}))
            parts = []
            for number, (name, facts) in enumerate(files.sync_tree(attempt).items()):
                files.make_folder((folder / name).parent)
                files.publish(attempt / name, folder / name)
                parts.append(record_for(number, name, "", facts, fingerprint, {}, {}))
            if self.mirror is not None:
                self.mirror.send(folder, [Stored.of(part) for part in parts])
            manifest = manifest_of(kind, fingerprint, frame, metadata or {}, parts)
            self._publish(folder, manifest, attempt, books)
        return self.open(kind, fingerprint)

    def _await_first_share(self, kind: str, fingerprint: str) -> None:
        """What is made in one piece is the first share's: others wait for it, or end."""
        share = shares.current()
        if share is not None and share.merges and not self.has(kind, fingerprint):
            raise Incomplete(
                f"{kind} is missing",
                where=self.folder(kind, fingerprint),
                do="it is made in one piece, by --shard 0/N, or by the command without --merge",
            )
        if share is None or share.index == 0:
            return
        waiting = shares.Waiting(share)
        while not self.has(kind, fingerprint):
            if not share.wait:
                raise shares.Elsewhere(
                    f"{kind} is made in one piece, by share 0 of {share.count}",
                    where=self.folder(kind, fingerprint),
                    do="when it has ended, run the same command again",
                )
            waiting.look(f"{kind}, which share 0 makes in one piece", self._look_s)

    def _attempts(self, fingerprint: str) -> Path:
        return self.root / "tmp" / fingerprint

    def _fresh_attempts(
        self, kind: str, fingerprint: str, share: shares.Share | None = None
    ) -> Path:
        """Remove attempts of runs of this host that have ended, and make a folder for ours.

        Without a `share` we hold the lock alone, but another host may not see it: what it has begun
        stays.
        """
        files.sweep_left(self.folder(kind, fingerprint))
        place = self._attempts(fingerprint)
        over = attempts.is_over if share is None else attempts.is_left
        for old in attempts.below(place):
            if over(old.name):
                files.sweep(old)  # another share may be at it, too
        return files.make_folder(place / f"run-{attempts.own()}")

    def _sweep(self, kind: str, fingerprint: str) -> None:
        """Remove what runs of this host that have ended left of a finished artifact."""
        files.sweep_left(self.folder(kind, fingerprint))
        place = self._attempts(fingerprint)
        runs = attempts.below(place)
        left = [run for run in runs if attempts.is_over(run.name)]
        for one in left if len(left) < len(runs) else [place]:
            files.sweep(one)

    def _publish(self, folder: Path, manifest: bytes, ours: Path, books: ledger.Books) -> None:
        parts = json.loads(manifest)["parts"]
        stored = sum(p["bytes"] for p in parts)
        ledger.close(folder, books, stored, sums_beside(folder, manifest, parts))
        if self.mirror is None:
            self._put(folder / "manifest.json", manifest)
        else:
            with self.mirror.turn_at(folder):  # else who looks for it just now clears what is here
                self.mirror.publish(folder, manifest)
                self._put(folder / "manifest.json", manifest)
        others = [run for run in attempts.below(ours.parent) if run != ours]
        files.sweep(ours if others else ours.parent)  # a waiting share may sweep it just now

    def _put(self, path: Path, manifest: bytes) -> None:
        """Publish a manifest, where there is none."""
        files.create_only(path, manifest)


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
