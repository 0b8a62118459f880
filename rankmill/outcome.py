"""What came out of a recipe: who beats whom and by how much, for the terminal, for JSON, for the
report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from rankmill.mining.store import canonical_json
from rankmill.pipeline import FIRST_STAGE, START, TEACHER, Results
from rankmill.progress import duration
from rankmill.recipes import Recipe
from rankmill.training import comparison, significance

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact


@dataclass(frozen=True, slots=True)
class Standing:
    """A system on a domain: mean of the first measure with its interval, and paired differences."""

    system: str
    domain: str
    mean: significance.Interval
    against_start: comparison.Comparison | None
    against_first_stage: comparison.Comparison | None
    against_teacher: comparison.Comparison | None


class Outcome:
    """The results of a recipe with their statistics; nothing here computes a stage."""

    def __init__(self, recipe: Recipe, results: Results, temperature: float):
        self.recipe, self.results, self.temperature = recipe, results, temperature

    @property
    def measure(self) -> str:
        """The first measure of the recipe: the one that is tested."""
        return self.recipe.evaluate.measures.split()[0]

    def values(self, domain: str, measure: str | None = None) -> dict[str, np.ndarray]:
        """Return per-query values by system, all over the same queries."""
        wanted = measure or self.measure
        return {
            judged.system: per_query(judged.evaluation, wanted)
            for judged in self.results.judged
            if judged.domain == domain
        }

    @cached_property
    def standings(self) -> list[Standing]:
        """Every system on every domain; Holm over the differences of one domain."""
        return [s for domain in self.recipe.evaluate.domains for s in self._of_domain(domain)]

    def _of_domain(self, domain: str) -> Iterator[Standing]:
        values = self.values(domain)
        if not values:
            return
        references = (START, FIRST_STAGE, TEACHER)
        family = [(s, r) for s in self.results.students for r in references]
        compared = comparison.compare(values, family, seed=self.recipe.seed) if family else []
        found = {(c.a, c.b): c for c in compared}
        for system, per_query_values in values.items():
            yield Standing(
                system,
                domain,
                significance.bootstrap_interval(per_query_values, seed=self.recipe.seed),
                *(found.get((system, reference)) for reference in references),
            )

    @cached_property
    def artifacts(self) -> list[Artifact]:
        """Every artifact behind the outcome, inputs first, each once."""
        from rankmill.lineage import ancestry

        results = self.results
        last = [*results.runs.values(), *results.statistics.values(), *results.students.values()]
        last += [a for a in (results.pool, results.scores) if a is not None]
        last += [judged.evaluation for judged in results.judged]
        found = {a.fingerprint: a for artifact in last for a in ancestry(artifact)}
        return list(found.values())

    # ---- for the terminal ------------------------------------------------------------------------

    def table(self) -> Any:
        """Return a rich table of systems by domain."""
        from rich.table import Table

        domains = list(self.recipe.evaluate.domains)
        table = Table(show_edge=False, header_style="bold", pad_edge=False)
        table.add_column("system")
        for domain in domains:
            table.add_column(f"{self.measure} {domain}\n95 % interval", justify="right")
            table.add_column("against start\n(Holm p)", justify="right")
        rows: dict[str, list[str]] = {}
        for standing in self.standings:
            mean = standing.mean
            row = rows.setdefault(standing.system, [self.title_of(standing.system)])
            row.append(f"{mean.mean:.4f}\n{mean.low:.4f} to {mean.high:.4f}")
            row.append(_difference(standing.against_start))
        for row in rows.values():
            table.add_row(*row)
        return table

    def title_of(self, system: str) -> str:
        """Return what people read: students are named by their sampler."""
        if system in self.results.students:
            return f"student, {system} groups"
        if system == FIRST_STAGE:
            return f"first stage: {self.recipe.evaluate.first_stage.partition('(')[0]}"
        return system

    def lines(self) -> Iterator[str]:
        """Yield the sentences that close the run."""
        for domain in self.recipe.evaluate.domains:
            best = self._best(domain)
            if best is not None:
                yield self.sentence(best)
        yield f"cost: {duration(self.seconds)} of work behind these artifacts"
        if self.results.pool is not None:
            yield f"root of the pool's scores: {self._root(self.results.scores)}"

    def sentence(self, standing: Standing) -> str:
        """Say in words how a student stands against its start, the first stage and the teacher."""
        mean = standing.mean.mean
        parts = [
            f"{standing.domain}: the best student ({standing.system} groups) reaches "
            f"{self.measure} {mean:.4f}"
        ]
        against = (
            ("its untrained start", standing.against_start),
            ("the first stage", standing.against_first_stage),
            ("the teacher", standing.against_teacher),
        )
        for name, compared in against:
            if compared is not None:
                parts.append(f"{_against(compared, name)} {_signed(compared)}")
        return ", ".join(parts)

    def _best(self, domain: str) -> Standing | None:
        mine = [
            s for s in self.standings if s.domain == domain and s.system in self.results.students
        ]
        return max(mine, key=lambda s: s.mean.mean, default=None)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all stages behind the outcome, whenever they were done."""
        return sum(float(a.cost()["wall_s"]) for a in self.artifacts)

    @staticmethod
    def _root(artifact: Artifact | None) -> str:
        return "none" if artifact is None else artifact.root_hash

    @cached_property
    def key(self) -> str:
        """A hash of everything that the report shows: recipe, root hashes, costs, version."""
        from importlib import metadata

        shown = {a.root_hash: a.cost()["wall_s"] for a in self.artifacts}
        facts = [metadata.version("rankmill"), self.recipe.model_dump(mode="json"), shown]
        return hashlib.sha256(canonical_json(facts)).hexdigest()

    # ---- for machines ----------------------------------------------------------------------------

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as plain values."""
        systems = [
            {
                "system": s.system,
                "domain": s.domain,
                self.measure: s.mean.mean,
                "low": s.mean.low,
                "high": s.mean.high,
                "against": {
                    c.b: {"difference": c.difference.mean, "p": c.p_t, "p_holm": c.p_adjusted}
                    for c in (s.against_start, s.against_first_stage, s.against_teacher)
                    if c is not None
                },
                "measures": {
                    m: float(self.values(s.domain, m)[s.system].mean())
                    for m in self.recipe.evaluate.measures.split()
                },
            }
            for s in self.standings
        ]
        roots = {a.kind + "/" + a.fingerprint[:12]: a.root_hash for a in self.artifacts}
        return {
            "recipe": self.recipe.name,
            "systems": systems,
            "seconds": self.seconds,
            "roots": roots,
        }


def per_query(evaluation: Artifact, measure: str) -> np.ndarray:
    """Return one measure's values by ascending query, float64."""
    table = pa.concat_tables(evaluation.tables())
    return table[measure].to_numpy()


def write_report(outcome: Outcome, path: Path) -> None:
    """Write the report, unless the one that stands there is about the same outcome."""
    if path.exists() and outcome.key in path.read_text(encoding="utf-8", errors="replace"):
        return
    from rankmill.contents import report_of
    from rankmill.report import write_report as write

    write(path, report_of(outcome))


def _difference(compared: comparison.Comparison | None) -> str:
    if compared is None:
        return ""
    return f"{compared.difference.mean:+.4f}\np {_p(compared.p_adjusted)}"


def _against(compared: comparison.Comparison, name: str) -> str:
    if compared.p_adjusted >= 0.05:
        return f"does not differ significantly from {name}:"
    return f"{'beats' if compared.difference.mean > 0 else 'trails'} {name} by"


def _signed(compared: comparison.Comparison) -> str:
    d = compared.difference
    return f"{d.mean:+.4f} ({d.low:+.4f} to {d.high:+.4f}, p {_p(compared.p_adjusted)})"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
