"""The command estimate: what a recipe will take, from measured samples of its stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rankmill.cli import streams
from rankmill.cli.recipes.given import (
    DeviceOption,
    NoAddress,
    NoWorkers,
    RecipeArgument,
    SetOption,
    overrides,
    refuse_elsewhere,
)
from rankmill.cli.session import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, session
from rankmill.study import words

if TYPE_CHECKING:
    from rankmill.study.estimate.fit import Interval
    from rankmill.study.estimate.outcome import Estimate, Row


def estimate(
    recipe: RecipeArgument,
    set_: SetOption = None,
    sample: Annotated[int, typer.Option(help="Queries of a split in the largest sample.")] = 64,
    documents: Annotated[
        int, typer.Option(help="Documents of the largest slice; a smaller corpus is taken whole.")
    ] = 2_000,
    machine: Annotated[
        str | None, typer.Option(help="Another machine: 8xH100, L4, … or FILE.toml.")
    ] = None,
    prices: Annotated[Path | None, typer.Option(help="Prices in TOML.")] = None,
    scratch: Annotated[
        Path | None, typer.Option(help="Where samples are made; default: beside the workspace.")
    ] = None,
    device: DeviceOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
    no_workers: NoWorkers = None,
    no_address: NoAddress = None,
) -> None:
    """Estimate what a recipe or study will take, stage by stage; refuse what cannot fit.

    Samples of every stage are carried out and removed. 90 % intervals: docs/estimate.md. What is
    in the workspace costs nothing and is left as it is. Ends with status 4 if something cannot fit.
    Example: rankmill estimate nfcorpus.toml --sample 32
    Example: rankmill estimate s.toml --set train.documents=1M --machine 8xH100 --prices prices.toml
    """
    from rankmill.study.estimate import estimate_recipe

    why = "samples are measured one after the other, in this process"
    refuse_elsewhere("estimate", why, workers=no_workers, address=no_address)
    with session(workspace, json=json) as here:
        made = estimate_recipe(
            recipe,
            here.workspace,
            overrides(set_, device),
            queries=sample,
            documents=documents,
            machine=machine,
            prices=prices,
            scratch=scratch,
            progress=here.executor.progress,
        )
        if json:
            here.emit(made.as_json())
        else:
            tell_estimate(made)
        made.refuse()


def tell_estimate(made: Estimate) -> None:
    """Print what the stages will take."""
    streams.print_whole(_table(made))
    for line in made.lines():
        streams.tell(line)


def _table(made: Estimate) -> Any:
    from rich.table import Table

    table = Table(show_edge=False, header_style="bold", pad_edge=False)
    for heading in ("stage", "for", "grows with"):
        table.add_column(heading, no_wrap=heading == "stage")
    total = made.total
    seconds = {"wall_s": "elapsed", "cpu_s": "CPU"}
    seconds |= {"gpu_s": "GPU"} if total["gpu_s"].point else {}
    money = {n: h for n, h in _PRICED.items() if n in total}
    for heading in (*seconds.values(), "memory", "disk", *money.values()):
        table.add_column(heading, justify="right")
    for row, count in _grouped(made.rows):
        cells = _cells(row, made, list(seconds), list(money))
        cells[1] += f", and {count - 1} alike, each" if count > 1 else ""
        table.add_row(*cells)
    return table


def _grouped(rows: Sequence[Row]) -> list[tuple[Row, int]]:
    """Return the rows, of equal ones that are alike the first alone, with how many there are."""
    counts: dict[str, list[Any]] = {}
    for number, row in enumerate(rows):
        alike = row.state != "there" and (row.stage, row.work, sorted(row.lines.items()))
        counts.setdefault(str(alike or number), [row, 0])[1] += 1
    return [(row, count) for row, count in counts.values()]


_PRICED = {"kwh": "Wh", "money": "money", "grams": "g CO₂e"}


def _cells(row: Row, made: Estimate, seconds: list[str], money: list[str]) -> list[str]:
    if row.state == "there":
        return [row.stage, row.name, row.work, "there"]
    cells = [row.stage, row.name, row.work]
    cells += [_range(row.line(line), words.duration) for line in seconds]
    cells += [_range(row.line(line), words.size) for line in ("peak_rss_bytes", "disk_bytes")]
    priced = row.priced(made.prices)
    for name in money:
        times = 1000 if name == "kwh" else 1
        interval = priced.get(name)
        cells.append(
            "–" if interval is None else _range(interval.times(times, times, times), _number)
        )
    return cells


def _number(value: float) -> str:
    return f"{value:,.3g}"


def _range(interval: Interval, write: Any) -> str:
    return f"{write(interval.point)} ({write(interval.low)} – {write(interval.high)})"
