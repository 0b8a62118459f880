"""Arguments in another place, or of another kind: what was given, and which call was meant.

A verb that was refused what it was given asks here. Where the values fit in another order, or as
another option of the same verb, the error says that call; where one was made from what is wanted,
or leads to it, the error says how.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from rankmill.handles import opened, workspace_at
from rankmill.mining.collection import Collection
from rankmill.mining.errors import BadInput, RankmillError, UsageError
from rankmill.mining.inputs.bounds.guards import brief
from rankmill.mining.inputs.given_paths import path_given
from rankmill.mining.options import Field, Handle, options_of
from rankmill.mining.store import Artifact, Workspace
from rankmill.named.families import KINDS

PARTS: Mapping[tuple[str, str], str] = {
    ("mine", "source"): "sources",
    ("score", "teacher"): "teachers",
    ("select", "strategy"): "strategies",
    ("cut", "keep"): "cuts",
    ("retarget", "target"): "targets",
    ("train", "student"): "students",
    ("train", "loss"): "losses",
    ("export", "format"): "exports",
}
"""(verb, option) → what `rm.list` calls the parts that the option names."""

LEADS: Mapping[tuple[str, str], str] = {
    ("collection", "run"): "rm.mine(SOURCE, {}, split=…)",
    ("run", "pool"): "rm.pool([{}])",
    ("run", "scores"): "rm.score(TEACHER, {})",
    ("run", "evaluation"): "rm.evaluate({})",
    ("pool", "scores"): "rm.score(TEACHER, {})",
    ("scores", "groups"): "rm.select(STRATEGY, POOL, {}, size=16)",
    ("scores", "statistics"): "rm.stats(scores={})",
    ("scores", "evaluation"): "rm.evaluate({})",
    ("groups", "statistics"): "rm.stats({})",
    ("groups", "student"): "rm.train(STUDENT, {})",
    ("student", "run"): "rm.rerank({}, RUN)",
    ("student", "evaluation"): "rm.evaluate(student={}, first_stage=RUN)",
}
"""(kind that was given, kind that is wanted) → the call that makes the one of the other."""


@contextlib.contextmanager
def telling_misplaced(
    request: type[Any],
    called: str,
    given: Mapping[str, Any],
    filled: Mapping[str, Any],
    workspace: Workspace | None,
) -> Iterator[None]:
    """Tell what a block refuses as `misplaced` does, where that is why it was refused."""
    try:
        yield
    except (UsageError, BadInput):
        place = workspace or _place_of(given.values())
        told = None if place is None else misplaced(request, called, given, filled, place)
        if told is None:
            raise
        raise told from None


def _place_of(values: Iterable[Any]) -> Workspace | None:
    """Return the workspace of the first handle among values, or the default one."""
    for value in values:
        artifact = getattr(value, "artifact", value)
        if isinstance(artifact, Artifact):
            return artifact.workspace
    with contextlib.suppress(RankmillError):
        return workspace_at(None)
    return None


def misplaced(
    request: type[Any],
    called: str,
    given: Mapping[str, Any],
    filled: Mapping[str, Any],
    workspace: Workspace,
) -> RankmillError | None:
    """Return the error for arguments of other kinds than their options take; None where each is
    of a kind that its option takes.

    `filled`: the options that the object says of which `called` is a method.
    """
    call = _Call(request, called, given, filled, workspace)
    wrong = [field for field in call.given if not call.fits(field, given[field.name])]
    for field in wrong:
        name, value = field.name, given[field.name]
        meant = call.meant()
        if field.form != "one":
            name, value = call.odd_one(field, value)
        kind = call.kind(value)
        if kind is None and meant is None:
            continue  # nothing is known of the value: what refused it says so
        said = f"{call.shown(value)} is of kind {kind}" if kind else f"got {brief(value)}"
        wanted = _wanted(field, PARTS.get((request.verb, field.name)), name == field.name)
        raised = BadInput if isinstance(value, str) and kind else UsageError
        do = f"did you mean {meant}?" if meant else call.way(field, value)
        return raised(f"{name}: {said}, {wanted} was expected", do=do)
    return None


class _Call:
    """A call: its options, the values that it was given, and the kinds of these."""

    def __init__(
        self,
        request: type[Any],
        called: str,
        given: Mapping[str, Any],
        filled: Mapping[str, Any],
        workspace: Workspace,
    ):
        self.verb, self.called, self.values = request.verb, called, given
        self.filled, self.workspace = set(filled), workspace
        self.options = [
            field
            for field in options_of(request)
            if (field.name not in filled or field.form == "list")
            and (field.positional or field.option.of is not None)
        ]
        self.given = [field for field in self.options if given.get(field.name) is not None]
        self._kinds: dict[int, str | None] = {}

    def kind(self, value: Any) -> str | None:
        """Return the kind of the artifact that one of the values is or names."""
        if id(value) not in self._kinds:
            self._kinds[id(value)] = kind_of(value, self.workspace)
        return self._kinds[id(value)]

    def fits(self, field: Field, value: Any) -> bool:
        """Say whether an option takes a value, as far as its kind tells."""
        if field.form != "one" or (field.option.several and isinstance(value, list | tuple)):
            return _fits_several(field, value, self.workspace)
        kind, part = self.kind(value), PARTS.get((self.verb, field.name))
        if field.type is Handle and field.option.of is not None:
            if kind is not None:
                return kind in field.option.of.split(" or ")
            return field.path_too and _is_path(value, field.option.of)
        if isinstance(value, Artifact | Collection):
            return False
        if part is not None:
            return _is_part(value, part)
        return isinstance(value, str | Path)

    def odd_one(self, field: Field, value: Any) -> tuple[str, Any]:
        """Return the first of a list, or of a mapping's values, that is of another kind, and what
        it is called; the whole where it is no list."""
        if self.kind(value) is not None:
            return field.name, value
        for label, one in _labelled(value):
            if self.kind(one) not in (None, *str(field.option.of).split(" or ")):
                return f"{field.name}[{label!r}]", one
        return field.name, value

    def meant(self) -> str | None:
        """Return the call in which each of the values has an option that takes it; of several the
        one that leaves most of them where they are, None where there is none."""
        values = [self.values[field.name] for field in self.given]
        needed = {field.name for field in self.given if field.required}
        best: tuple[Field, ...] = ()
        kept = -1
        options = [f for f in self.options if f.positional or f.option.of != "collection"]
        for order in permutations(options, len(values)):
            if not needed <= {field.name for field in order}:
                continue
            same = sum(a is b for a, b in zip(order, self.given, strict=True))
            if same > kept and all(map(self.fits, order, values)):
                best, kept = order, same
        return self._written(best, values) if best else None

    def _written(self, order: Sequence[Field], values: Sequence[Any]) -> str:
        """Return the call as Python writes it: what verbs take by place in their order."""
        by_name = {f.name: self.shown(v) for f, v in zip(order, values, strict=True)}
        arguments, gap = [], False
        for field in self.options:
            if field.name not in by_name:
                gap = True
            elif gap or not field.positional:
                arguments.append(f"{field.name}={by_name[field.name]}")
            else:
                arguments.append(by_name[field.name])
        if set(self.values) - {one.name for one in self.given} - self.filled - _NOT_SHOWN:
            arguments.append("…")
        of = "" if "." in self.called else "rm."
        return f"{of}{self.called}({', '.join(arguments)})"

    def shown(self, value: Any) -> str:
        """Return a value as it is written in a call: a name, or a word for it."""
        if isinstance(value, str):
            return json.dumps(value[:80], ensure_ascii=False)
        artifact = getattr(value, "artifact", value)
        if isinstance(artifact, Artifact):
            names = artifact.workspace.names()
            name = next((n for n, a in names.items() if a.fingerprint == artifact.fingerprint), "")
            return json.dumps(name) if name else artifact.kind
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(self.shown, value))}]"
        return getattr(value, "__name__", None) or brief(value)

    def way(self, field: Field, value: Any) -> str:
        """Return how to come from a value to what an option takes."""
        said, kind = self.shown(value), str(self.kind(value))
        if field.form == "list" and kind in str(field.option.of).split(" or "):
            return f"write {field.name}=[{said}]"
        if field.form == "mapping" and kind in str(field.option.of).split(" or "):
            return f'write {field.name}={{"LABEL": {said}}}'
        if field.option.of is None:
            return _part_of(kind, said, PARTS.get((self.verb, field.name)), field)
        with contextlib.suppress(RankmillError):
            artifact = opened(value, self.workspace)
            for role, kinds in _inputs(artifact):
                if kinds in field.option.of.split(" or "):
                    whole = f"rm.open({said})" if said.startswith('"') else said
                    return f'it was made from one: give {whole}.input("{role}")'
        for wanted in field.option.of.split(" or "):
            if (kind, wanted) in LEADS:
                return f"make one from it first: {LEADS[kind, wanted].format(said)}"
        wanted = field.option.of.split(" or ")[0]
        return f'give the name or the handle of one: rm.list("{wanted}") shows those that are there'


_NOT_SHOWN = {"workspace", "name", "executor", "progress"}


def kind_of(value: Any, workspace: Workspace) -> str | None:
    """Return the kind of the artifact that a value is or names; None where it is none."""
    if isinstance(value, Collection):
        return "collection"
    if isinstance(value, Artifact):
        return value.kind
    if isinstance(value, str | Path) and str(value):
        with contextlib.suppress(RankmillError, OSError, ValueError):
            kind: str = opened(value, workspace).kind
            return kind
    return None


def _inputs(artifact: Artifact) -> Iterator[tuple[str, str]]:
    """Yield the roles in which an artifact was made from others, and their kinds."""
    for role in artifact.inputs:
        with contextlib.suppress(RankmillError):
            yield role, artifact.input(role).kind


def _fits_several(field: Field, value: Any, workspace: Workspace) -> bool:
    """Say whether every one of a list, or of a mapping's values, is of the kind that is wanted."""
    if field.option.of is None:
        return not isinstance(value, Artifact | Collection)
    if not isinstance(value, Mapping if field.form == "mapping" else list | tuple):
        return False
    kinds = [kind_of(one, workspace) for _, one in _labelled(value)]
    return all(kind in field.option.of.split(" or ") for kind in kinds)


def _labelled(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each of a list with its place, of a mapping with its label; of lists in it each."""
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        pairs = value.items()
    elif isinstance(value, list | tuple):
        pairs = enumerate(value)
    for label, one in pairs:
        for each in one if isinstance(one, list | tuple) else [one]:
            yield label, each


def _is_path(value: Any, of: str) -> bool:
    """Say whether a value can be the path of what an option takes in place of an artifact."""
    if isinstance(value, Path):
        return True
    if not isinstance(value, str) or not value:
        return False
    if of == "student" and ("/" in value or ":" in value or _is_part(value, "teachers")):
        return True
    with contextlib.suppress(RankmillError, OSError, ValueError):
        return path_given(value).exists()
    return False


def _is_part(value: Any, part: str) -> bool:
    """Say whether a value names a member of a family, or is one."""
    if isinstance(value, str):
        return value.partition("(")[0].strip() in KINDS[part].family.names()
    return callable(value) or hasattr(type(value), "canonical_name")


def _wanted(field: Field, part: str | None, whole: bool) -> str:
    """Say what an option takes, or one of its list does."""
    if field.option.of is not None:
        several = {"list": "a list of ", "mapping": "a mapping from labels to "}.get(field.form, "")
        several = several if whole else ""
        return f"{several}one of kind {field.option.of}"
    noun = field.said if part is None else KINDS[part].family.noun
    said = f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
    return said if part is None else f"the text of {said}"


def _part_of(kind: str, said: str, part: str | None, field: Field) -> str:
    """Return what to write where a text is wanted and an artifact was given."""
    if kind == "student" and part in ("teachers", "students"):
        handle = f"rm.open({said})" if said.startswith('"') else said
        inner = handle.replace('"', "'")
        return f'give its checkpoint: f"bi_encoder(model={{{inner}.model}})"'
    if kind == "student" and part == "sources":
        return f"let it search: rm.retrieve({said}, COLLECTION, split=…)"
    if part is not None:
        return f'write {field.name}="…": rm.list("{part}") shows what there is'
    return f'write {field.name}="{field.option.example or "…"}"'
