"""What runs tell, in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rankmill.cli.runs.status import Run

_OF_RUN = ("stages_done", "failures", "bytes_read", "bytes_written", "updated")
_OF_STAGE = (
    "shards",
    "shards_done",
    "shards_found",
    "work",
    "work_done",
    "count",
    "count_done",
    "share",
    "rate",
    "seconds",
    "seconds_left",
)


def as_prometheus(told: Sequence[Run], damaged: int = 0) -> Iterator[str]:
    """Yield the lines of the text format, as a collector of text files reads it; `damaged`: how
    many files among the statuses hold none."""
    series: dict[str, list[str]] = {}

    def sample(name: str, labels: str, value: object) -> None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            series.setdefault(f"rankmill_{name}", []).append(f"{{{labels}}} {value}")

    for run in told:
        one = f'host="{_label(run.facts["host"])}",process="{run.facts["process"]}"'
        for name in _OF_RUN:
            sample(name, one, run.facts.get(name))
        sample("alive", one, int(run.alive))
        alike: Counter[str] = Counter()
        for stage in run.facts["stages"]:
            words = [f'{key}="{_label(stage[key])}"' for key in ("stage", "title", "items")]
            alike[",".join(words)] += 1
            if (nth := alike[",".join(words)]) > 1:  # one series has one value
                words.append(f'nth="{nth}"')
            for name in _OF_STAGE:
                sample(f"stage_{name}", ",".join([one, *words]), stage.get(name))
    yield "# HELP rankmill_damaged_status_files Files of the workspace that tell of no run."
    yield "# TYPE rankmill_damaged_status_files gauge"
    yield f"rankmill_damaged_status_files {damaged}"
    for name, lines in series.items():
        yield f"# TYPE {name} gauge"
        yield from (name + line for line in lines)


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
