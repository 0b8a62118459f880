"""The command list: the artifacts of a workspace, or the parts that can be named."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankmill.cli import streams
from rankmill.cli.session import (
    DEFAULT_WORKSPACE,
    JsonOption,
    Session,
    WorkspaceOption,
    facts_of,
    session,
)
from rankmill.mining.errors import RankmillError
from rankmill.study import words

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact, Workspace


def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            help="A kind of artifact, such as run; or sources, teachers, statistics, strategies, "
            "filters, cuts, targets, losses, students, exports: what can be named there."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Include those without a name.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """List what the workspace holds, with sizes, age and cost; or the parts that can be named.

    Example: rankmill list        rankmill list groups        rankmill list sources
    """
    from rankmill.named.families import KINDS as FAMILIES
    from rankmill.named.families import kind_of, no_kind

    with session(workspace, json=json) as here:
        parts = kind if kind in FAMILIES else None
        facts: dict[str, Any] = {} if parts is None else _told_parts(here, parts)
        wanted = kind_of(kind, here.workspace)
        if wanted is None and parts is None and kind is not None:
            raise no_kind(kind, here.workspace)
        if parts is None:
            here.workspace.check_there()
        if parts is None or (wanted is not None and here.workspace.root.is_dir()):
            held = list(_held(here.workspace, wanted))
            facts |= {"artifacts": [one.facts() for one in held]}
            if not json:
                _tell_held(here.workspace, held, wanted, every=every, beside=parts is not None)
        if json:
            here.emit(facts)


# ---- artifacts -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """An artifact of the workspace: its names, when it was finished, what it took."""

    artifact: Artifact
    names: Sequence[str]
    finished: float | None
    seconds: float | None

    def facts(self) -> dict[str, Any]:
        """Return what `--json` says."""
        return facts_of(self.artifact) | {
            "names": list(self.names),
            "finished": None if self.finished is None else _date(self.finished),
            "seconds": self.seconds,
        }


def _held(workspace: Workspace, kind: str | None) -> Iterator[Held]:
    """Yield what is held, in the order of the stages and then of the names."""
    names: dict[str, list[str]] = {}
    for name, alias in workspace.names().items():
        names.setdefault(alias.fingerprint, []).append(name)
    from rankmill.named.families import ARTIFACTS

    place = {one: number for number, one in enumerate(ARTIFACTS)}
    held = [_one(one, sorted(names.get(one.fingerprint, []))) for one in workspace.artifacts(kind)]
    yield from sorted(
        held,
        key=lambda one: (
            place.get(one.artifact.kind, len(place)),
            one.artifact.kind,
            one.names or ["\uffff"],
            one.artifact.fingerprint,
        ),
    )


def _one(artifact: Artifact, names: Sequence[str]) -> Held:
    try:
        cost: Mapping[str, Any] = artifact.cost()
    except (RankmillError, OSError):  # `rankmill verify` says what is wrong with it
        cost = {}
    spent = [float(cost[line]) for line in ("cpu_s", "gpu_s") if line in cost]
    return Held(artifact, names, _moment(cost.get("finished")), sum(spent) if spent else None)


def _moment(text: Any) -> float | None:
    """Return the time of a ledger in seconds; None for one that says none."""
    try:
        moment = datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC).timestamp()


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age(seconds: float) -> str:
    """Say how long ago something was: `now`, `5 min`, `3 h`, `12 days`."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length * (2 if unit == "days" else 1):
            return f"{seconds // length:.0f} {unit}"
    return "now"


def _tell_held(
    workspace: Workspace, held: Sequence[Held], kind: str | None, *, every: bool, beside: bool
) -> None:
    """Print a line for each artifact with a name (or all), and how many are left out."""
    for error in [*workspace.other_formats(kind), *workspace.stray()]:
        streams.say(f"rankmill: {error}")
    shown = [one for one in held if every or one.names]
    if beside:
        if not held:
            return
        streams.tell(f"\nin {workspace.root}:")
    if not held:
        what, do = "nothing", "begin with rankmill collect SPEC"
        if kind is not None:
            what, do = f"no {kind}", "`rankmill list` shows what else is there"
        streams.tell(f"{what} in {workspace.root} yet; {do}")
    if shown:
        streams.print_whole(_table(shown))
    if folded := [one for one in held if one not in shown]:
        size = words.size(sum(one.artifact.bytes for one in folded))
        streams.tell(f"and {len(folded):,} without a name, {size}: --all shows them")


def _table(held: Sequence[Held]) -> Any:
    from rich.table import Table

    table = Table(show_edge=False, header_style="bold", pad_edge=False, box=None)
    table.add_column("name", overflow="fold")
    table.add_column("kind", no_wrap=True)
    for heading in ("rows", "size", "age", "cost"):
        table.add_column(heading, justify="right", no_wrap=True)
    now = time.time()
    for one in held:
        artifact = one.artifact
        table.add_row(
            ", ".join(one.names) or f"({artifact.fingerprint[:12]})",
            artifact.kind,
            f"{artifact.rows:,}",
            words.size(artifact.bytes),
            "?" if one.finished is None else age(max(now - one.finished, 0.0)),
            "?" if one.seconds is None else words.duration(one.seconds),
        )
    return table


# ---- parts -----------------------------------------------------------------------------------


def _told_parts(here: Session, kind: str) -> dict[str, Any]:
    """Print the parts of a family, or return them for machines."""
    from rankmill.cli.discovery.parts import facts_of_part, tell_parts
    from rankmill.named.families import KINDS as FAMILIES
    from rankmill.named.families import listed, presets

    members = list(listed(kind))
    family, usable = FAMILIES[kind].family, {one.name for one in members}
    for name in family.names():
        if name not in usable:
            streams.say(f"rankmill: {family.noun} {name}: {family.fault(name)}")
    named = presets() if kind == "teachers" else {}
    if not here.as_json:
        tell_parts(kind, members, named)
        return {}
    facts: dict[str, Any] = {kind: [facts_of_part(kind, one) for one in members]}
    return facts | ({"presets": dict(named)} if named else {})
