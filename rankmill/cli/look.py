"""Commands that look at a workspace: show, verify, repair, hash, summary, doctor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankmill.cli import streams
from rankmill.cli.session import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    facts_of,
    remarks,
    session,
)
from rankmill.mining.parts.told import counted

if TYPE_CHECKING:
    from rankmill.mining.errors import Corrupt
    from rankmill.mining.store import Artifact, Workspace

NameArgument = Annotated[
    str, typer.Argument(help="Alias, or the first 8 digits of a fingerprint.", metavar="NAME")
]

_MOST_SEED = (1 << 63) - 1
_MOST_ROWS = 1 << 53  # more than any table has, and less than what Arrow cannot count


def show(
    name: NameArgument,
    rows: Annotated[int, typer.Option(help="How many rows; 0 = all.", min=0)] = 10,
    format: Annotated[str, typer.Option(help="table, csv, jsonl or parquet.")] = "table",
    to: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Print rows of any artifact, ids and texts resolved.

    Example: rankmill show nf-groups --rows 3        rankmill show nf-run --rows 0 --format parquet
    --to run.parquet
    """
    from rankmill.cli import rows as shows
    from rankmill.cli.render.artifacts import reading_lines
    from rankmill.mining.errors import UsageError

    if format not in shows.FORMATS:
        raise UsageError(f"unknown format {format!r}", do=f"choose: {', '.join(shows.FORMATS)}")
    if format == "parquet" and to is None:
        raise UsageError("parquet is not printed on a terminal", do="add --to FILE")
    through = False
    if to is not None:
        from rankmill.mining.store.places import check_place

        through = check_place(to).through is not None  # then it may be standard output
    with session(workspace) as here:
        artifact = here.workspace.find(name)
        first = min(rows, _MOST_ROWS) or None
        if format == "parquet" and to is not None:
            written = shows.write_parquet(artifact, first, to)
            streams.tell(f"{to}: {written:,} of {counted(artifact.rows, 'row')}")
            return
        if to is None and format == "table":
            from rankmill.cli.render.rows import tell_rows

            tell_rows(artifact, first)
            for line in (*reading_lines(artifact), *remarks(artifact)):
                streams.tell(line)
            return
        table = shows.first_rows(artifact, first)
        if to is not None:
            shows.write(table, "csv" if format == "table" else format, to)
            told = f"{to}: {table.num_rows:,} of {counted(artifact.rows, 'row')}"
            streams.tell(told, err=through)
        else:
            for line in shows.lines(table, format):
                streams.write_data(line)


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Artifacts or folders of exports; everything if none is named."),
    ] = None,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Compute one part of each again, drawn by the seed; of a folder of files all, "
            "students only if named.",
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(help="With --deep: the seed that picks parts.", min=0, max=_MOST_SEED)
    ] = 0,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Read artifacts whole, with all that they were made from: manifests, hashes, order, ranges,
    finite scores (level 3); tell everything that is wrong. An export, or a student's folder, by
    its path.

    Example: rankmill verify nf-groups        rankmill verify        rankmill verify DIR
    """
    from rankmill.mining.errors import Corrupt
    from rankmill.mining.upkeep import verify as upkeep

    good: list[Artifact] = []
    faults: list[Corrupt] = []
    with session(workspace, json=json) as here:
        written = _written(names or [], here.workspace)
        for name in written:
            from rankmill.mining.exports.verify import verify_written

            wrong = verify_written(Path(name), here.workspace)
            faults += wrong
            if not wrong and not json:
                streams.tell(f"good  {name}")
        asked = [n for n in names or [] if n not in written]
        if asked or not names:
            here.workspace.check_there()
        every = upkeep.verify_artifacts(here.workspace, asked)
        for checked in every if names else upkeep.verify_workspace(here.workspace):
            wrong, artifact, remark = list(checked.faults), checked.artifact, ""
            if deep and artifact is not None and not wrong:
                wrong, remark = _computed_again(artifact, seed, train=checked.named)
            faults += wrong
            if artifact is not None and not wrong:
                good.append(artifact)
                if not json:
                    streams.tell(f"good  {artifact.kind} {checked.path.name[:12]}{remark}")
        strays = [] if names else upkeep.stray_files(here.workspace)
        faults += [one for one in strays if one.ours]
        for fault in [*faults, *(one for one in strays if not one.ours)]:
            streams.say(f"rankmill: {fault}")
        if json:
            here.emit(_verified(good, faults))
        if faults:
            raise typer.Exit(Corrupt.exit_status)


def _verified(good: Sequence[Artifact], faults: Sequence[Corrupt]) -> dict[str, Any]:
    """Return what `verify --json` says."""
    return {
        "good": [facts_of(a) for a in good],
        "broken": [str(f) for f in faults],
        "faults": [{"what": f.what, "where": f.where, "do": f.do} for f in faults],
    }


def _written(names: list[str], workspace: Workspace) -> list[str]:
    """Return which of the names are folders outside of the workspace; raises UsageError where one
    is the name of an artifact and the folder of an export."""
    folders = [name for name in names if name and Path(name).is_dir()]
    for name in filter(workspace.knows, folders):
        from rankmill.mining.errors import UsageError
        from rankmill.mining.exports.export import SIDECAR

        if Path(name, SIDECAR).exists():
            artifact = workspace.find(name)
            raise UsageError(
                f"{name!r} means two things: the {artifact.kind} of that name in {workspace.root}, "
                f"and the export in {Path(name).absolute()}",
                do=f"write ./{name} for the export, or {artifact.fingerprint[:12]} for the "
                f"{artifact.kind}",
            )
    return [name for name in folders if not workspace.knows(name)]


def _computed_again(artifact: Artifact, seed: int, *, train: bool) -> tuple[list[Corrupt], str]:
    """Compute one part of an artifact again, of a folder of files all; returns what is wrong, and a
    remark where it cannot be done."""
    from rankmill.mining.draws import generator
    from rankmill.mining.upkeep.redo import faults_of_rows
    from rankmill.replay import replay

    draw = generator(seed, "verify", artifact.fingerprint)
    faults, why = faults_of_rows(artifact, replay, lambda n: int(draw.integers(n)), train=train)
    what = "a part" if artifact.manifest["schema"] else "all of it"
    return faults, f"  (not computed again: {why})" if why else f"  ({what} computed again)"


def repair(
    names: Annotated[
        list[str] | None, typer.Argument(help="Artifacts; all of them if none is named.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Make damaged parts again, with the recorded bytes or not at all; rewrite damaged ledgers,
    records, manifests and names. What is sound is left alone.

    Example: rankmill repair nf-groups        rankmill repair
    """
    from rankmill.mining.errors import Corrupt, Locked
    from rankmill.mining.upkeep.repair import Repaired, repair_workspace
    from rankmill.replay import replay

    done: list[Repaired] = []
    left: list[Repaired] = []
    with session(workspace, json=json) as here:
        here.workspace.check_there()
        for one in repair_workspace(here.workspace, names or [], replay):
            (done if one.error is None else left).append(one)
            if one.error is not None:
                streams.say(f"rankmill: {one.what}: {one.error}")
            elif not json:
                streams.tell(f"{one.what}: {one.where}")
        if json:
            here.emit(
                {
                    "repaired": [{"what": one.what, "where": str(one.where)} for one in done],
                    "broken": [str(one.error) for one in left],
                }
            )
        elif not done and not left:
            streams.tell("nothing is damaged")
        if left:
            held = all(isinstance(one.error, Locked) for one in left)
            raise typer.Exit(Locked.exit_status if held else Corrupt.exit_status)


def hash_(name: NameArgument, workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Print the root hash: equal hashes are equal data sets, byte for byte.

    Example: rankmill hash nf-groups
    """
    with session(workspace) as here:
        streams.tell(here.workspace.find(name).root_hash)


def doctor(
    name: Annotated[
        str | None, typer.Argument(help="Scores or groups: report what is odd about them instead.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Report what this machine has and lacks, and which promises hold on it; of scores, how many
    are saturated, constant, or no logits.

    Example: rankmill doctor        rankmill doctor nf-scores
    """
    from rankmill.cli.doctor import examine, of_scores

    if name is None:
        findings = examine(workspace)
    else:
        with session(workspace, json=json) as here:
            findings = of_scores(here.workspace.find(name))
    if json:
        with session(workspace, json=True) as here:
            here.emit({f.what: {"state": f.state, "detail": f.detail} for f in findings})
    else:
        for finding in findings:
            streams.tell(f"{finding.state:<6} {finding.what:<22} {finding.detail}")
    if any(f.state == "bad" for f in findings):
        raise typer.Exit(1)


def summary(
    name: Annotated[str, typer.Argument(help="Name of statistics, scores or vectors.")],
    correlate: Annotated[
        list[str] | None, typer.Option("--correlate", help="Columns of the matrix.")
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option("--beside", help="More statistics of the same groups: joined row by row."),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Summarise statistics: moments, deciles, nulls by reason, correlations with intervals.

    Of scores: how the teacher's probability falls with rank, a power law against others. Of
    vectors: their intrinsic dimension. Example: rankmill summary nf-stats        rankmill summary
    nf-stats --json
    """
    from rankmill.cli.render.groups import tell_summary
    from rankmill.mining.statistics.summaries.dataset import describe_artifact

    with session(workspace, json=json) as here:
        others = [here.workspace.find(other, "statistics") for other in beside or ()]
        about = here.workspace.find(name, "statistics" if others else None)
        more = {"beside": others} if others else {}
        tell_summary(here, describe_artifact(about, correlate=correlate, **more))


def unsafe_convert_pickle(
    path: Annotated[Path, typer.Argument(help="A score pickle of sentence-transformers.")],
    to: Annotated[Path, typer.Option("--to", help="FILE.parquet, or JSON Lines.")],
    trust: Annotated[
        bool, typer.Option("--i-trust-this-file", help="Required: a pickle can contain code.")
    ] = False,
) -> None:
    """UNSAFE INPUT: turn a pickle of scores into a table for `rankmill import --as scores`.

    A pickle can carry code. None of it is run here: the file is read as data, and refused where it
    holds anything but numbers, texts and dictionaries. No other command of rankmill reads pickles.

    Example: rankmill unsafe-convert-pickle scores.pkl.gz --to scores.parquet --i-trust-this-file
    """
    from rankmill.mining.errors import BadInput, UsageError
    from rankmill.mining.store.places import check_place
    from rankmill.mining.teachers.files.pickles import convert_score_pickle

    if not trust:
        raise UsageError(
            "a pickle can contain code, and you have not said that you trust this file",
            where=str(path),
            do="check where it comes from, then add --i-trust-this-file; none of its code is run",
        )
    if not path.is_file():
        raise BadInput("there is no such file", where=path, do="check the path")
    through = check_place(to).through is not None  # then it may be standard output
    pairs = convert_score_pickle(path, to)
    streams.tell(f"{to}: {counted(pairs, 'score')}", err=through)
