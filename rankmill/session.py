"""What the commands share: options, the workspace with its executor, and how a result is told."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankmill import progress

if TYPE_CHECKING:
    from rankmill.mining.actors import Execution
    from rankmill.mining.store import Artifact, Workspace

WorkspaceOption = Annotated[
    Path,
    typer.Option("--workspace", "-w", envvar="RANKMILL_WORKSPACE", help="Folder of artifacts."),
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=0, help="Ray actors; 0 = this process, every core.")
]
AddressOption = Annotated[
    str | None, typer.Option("--ray-address", help="Use this existing Ray cluster.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
NameOption = Annotated[str | None, typer.Option("--name", "-n", help="Alias for the result.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of every draw.")]
DEFAULT_WORKSPACE = Path("rankmill-work")


@dataclass(slots=True)
class Session:
    """One command's workspace, executor and output."""

    workspace: Workspace
    executor: Execution
    as_json: bool
    began: float = field(default_factory=time.perf_counter)

    def tell(self, artifact: Artifact, name: str | None = None) -> None:
        """Give the artifact its alias and print what came out."""
        if name:
            self.workspace.alias(name, artifact)
        seconds = time.perf_counter() - self.began
        facts = facts_of(artifact) | {"name": name, "seconds": round(seconds, 3)}
        if self.as_json:
            self.emit(facts)
            return
        label = f"{name} = " if name else ""
        typer.echo(
            f"{label}{artifact.kind} {artifact.fingerprint[:12]}  {artifact.rows:,} rows  "
            f"{progress.size(artifact.bytes)}  {progress.duration(seconds)}"
        )
        for reason, queries in artifact.dropped.items():
            typer.echo(f"  dropped {len(queries):,} queries: {reason}")
        for key, value in artifact.counts.items():
            typer.echo(f"  {key.replace('_', ' ')}: {value:,}")
        typer.echo(f"  root {artifact.root_hash}")

    def emit(self, facts: dict[str, Any]) -> None:
        """Print one JSON object."""
        typer.echo(json.dumps(facts, ensure_ascii=False, allow_nan=False))


@contextlib.contextmanager
def session(
    workspace: Path, workers: int = 0, ray_address: str | None = None, as_json: bool = False
) -> Iterator[Session]:
    """Open the workspace; a Ray cluster asked for lives as long as the block."""
    from rankmill.mining.actors import Execution, cluster
    from rankmill.mining.store import Workspace

    executor = Execution(workers, ray_address, progress.for_stream(sys.stderr))
    with contextlib.ExitStack() as stack:
        if workers or ray_address:
            stack.enter_context(cluster(max(workers, 1), ray_address))
        yield Session(Workspace(workspace), executor, as_json)


def facts_of(artifact: Artifact) -> dict[str, Any]:
    """Return what `--json` says of an artifact."""
    return {
        "kind": artifact.kind,
        "fingerprint": artifact.fingerprint,
        "root": artifact.root_hash,
        "rows": artifact.rows,
        "bytes": artifact.bytes,
        "parts": len(artifact.parts),
        "dropped": {reason: len(queries) for reason, queries in artifact.dropped.items()},
        "counts": artifact.counts,
        "path": str(artifact.path),
    }
