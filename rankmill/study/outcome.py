"""What came out of a recipe: who beats whom and by how much, for the terminal, for JSON, for the
report. Nothing here computes a stage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rankmill.mining.store import canonical_json
from rankmill.study import words
from rankmill.study.costs.charges import Charges
from rankmill.study.costs.gains import Gain, charged, gains
from rankmill.study.recipe import Recipe
from rankmill.study.results import FIRST_STAGE, SEARCH, START, TEACHER, Results, System
from rankmill.study.standings import Standing, Standings, references
from rankmill.study.words import duration

if TYPE_CHECKING:
    from rankmill.mining.store import Artifact
    from rankmill.training.comparison import Comparison
    from rankmill.training.significance import Interval


class Outcome:
    """The results of a recipe with their statistics."""

    def __init__(self, recipe: Recipe, results: Results, temperature: float):
        self.recipe, self.results, self.temperature = recipe, results, temperature
        self.standings = Standings(recipe, results)

    @property
    def measure(self) -> str:
        """The first measure of the recipe: the one that is tested."""
        return self.standings.measure

    @property
    def samplers(self) -> list[str]:
        """The samplers whose groups were drawn or trained on, in the recipe's order."""
        trained = {one.sampler for one in self.results.students.values()}
        return [s for s in self.recipe.samplers if s in trained or s in self.results.groups]

    @cached_property
    def artifacts(self) -> list[Artifact]:
        """Every artifact behind the outcome, inputs first, each once."""
        from rankmill.about import ancestry

        results = self.results
        last = [*results.runs.values(), *results.statistics.values()]
        last += [a for trained in results.students.values() for a in trained.seeds.values()]
        last += [a for a in (results.pool, results.scores) if a is not None]
        last += [judged.evaluation for judged in results.judged]
        last += [*results.against.values(), *results.samplers.values()]
        return ancestry(*last)

    # ---- for the terminal ------------------------------------------------------------------------

    def table(self) -> Any:
        """Return a rich table: a row for each system; in-domain, out-of-domain and over all."""
        from rich.table import Table

        table = Table(show_edge=False, header_style="bold", pad_edge=False)
        title = f"system\nmean, 95 % interval\n{self.scope}\nagainst start, Holm p"
        table.add_column(title, min_width=22)
        rows: dict[System, list[str]] = {}
        for domain in self.standings.domains:
            _number_column(table, f"{self.measure}\n{domain}\n{self.kind_of(domain)}")
        for standing in self.standings.all:
            row = rows.setdefault(standing.system, [self.title_of(standing.system)])
            row.append(_interval(standing.mean) + _gain(standing.against.get(START)))
        for over, overall in self.standings.overall.items():
            _number_column(table, f"{self.measure}\nmacro mean\n{over}")
            _number_column(table, "\nmicro\nmean")
            for one in overall:
                mean = f"{one.macro.mean:.4f}" if one.without_interval else _interval(one.macro)
                rows[one.system] += [mean, f"{one.micro:.4f}"]
        for row in rows.values():
            table.add_row(*row)
        return table

    @property
    def scope(self) -> str:
        """What the intervals of students are about."""
        count = len(self.recipe.seeds)
        return "over queries only; one seed" if count == 1 else f"over queries and {count} seeds"

    def kind_of(self, domain: str) -> str:
        """Return `in-domain` or `out-of-domain`."""
        return "in-domain" if self.recipe.in_domain(domain) else "out-of-domain"

    def title_of(self, system: System) -> str:
        """Return what people read: students are named by their sampler, and loss if there are
        several."""
        if system.is_student:
            loss = f", {system.loss}" if system.loss else ""
            searching = SEARCH if system.searches else ""
            return f"student, {system.sampler} groups{loss}{searching}"
        if system.role == FIRST_STAGE:
            domains = self.standings.domains
            stages = {self.recipe.first_stage_of(d).partition("(")[0] for d in domains}
            return f"first stage: {', '.join(sorted(stages))}"
        return system.name

    def lines(self) -> Iterator[str]:
        """Yield what is to be said of the table, and the sentences that close the run."""
        for over, overall in self.standings.overall.items():
            if reason := overall[0].without_interval:
                yield f"the macro mean of {over} has no interval: {reason}"
        yield from self.sentences()
        for domain in self.standings.domains:
            for pair in self.standings.pairs(domain):
                yield f"{domain}: {pair.a} against {pair.b}: {words.verdict(pair)}"
        yield from self.left_out()
        yield from self.advice
        yield f"cost: making all of this took {duration(self.seconds)}"
        if self.results.pool is not None:
            yield f"root of the pool's scores: {self._root(self.results.scores)}"

    @cached_property
    def advice(self) -> list[str]:
        """What is to be said of groups that teach little, with the keys of a recipe that help."""
        from rankmill.mining.audit.poor_data import advice_of

        return [
            f"{sampler} groups: {one.said(recipe=True)}.".replace(
                "NAME", f"{self.recipe.name}-{sampler}-groups"
            )
            for sampler, groups in self.results.groups.items()
            for one in advice_of(groups)
        ]

    def left_out(self) -> list[str]:
        """Say where the teacher stands beside no student, and where students are judged by queries
        that they were trained on."""
        return [
            *(
                f"{domain}: the teacher scored none of these pairs and is left out."
                for domain in self.standings.unanswered()
            ),
            *self._judged_by_their_own(),
        ]

    def _judged_by_their_own(self) -> Iterator[str]:
        from rankmill.training.evaluation import Evaluation
        from rankmill.training.trained_on import told

        for domain in self.recipe.domains if self.recipe.trains else ():
            judged = [
                Evaluation(one.evaluation)
                for one in self.results.judged
                if one.domain == domain and one.system.is_student
            ]
            most = max((len(one.trained_on) for one in judged), default=0)
            if most:
                split = self.recipe.domains[domain].split
                yield f"{domain}: {told(most, len(judged[0].query), split, 'a student')}."

    def sentences(self) -> Iterator[str]:
        """Yield for each domain how its best student stands."""
        for domain in self.standings.domains:
            best = self.best(domain)
            if best is not None:
                yield self.sentence(best)

    def sentence(self, standing: Standing) -> str:
        """Say in words how a student stands against its start, the first stage and the teacher."""
        which = "best student" if len(self.results.students) > 1 else "student"
        parts = [
            f"{standing.domain}: the {which}, trained on {standing.system.trained_as} groups, "
            f"reaches {self.measure} {standing.mean.mean:.4f}"
        ]
        named: dict[str, str] = {START: "the untrained student", FIRST_STAGE: "the first stage"}
        named[TEACHER] = "the teacher"
        for compared in references(standing):
            name = named.get(compared.b, compared.b)
            parts.append(f"it {words.against(compared, name)} {words.signed(compared)}")
        return "; ".join(parts)

    def best(self, domain: str) -> Standing | None:
        """Return the student with the largest mean on a domain; None where none was judged."""
        mine = [
            s
            for s in self.standings.all
            if s.domain == domain and s.system in self.results.students
        ]
        return max(mine, key=lambda s: s.mean.mean, default=None)

    @cached_property
    def gains(self) -> list[Gain]:
        """What each student would have cost alone, beside what it gained."""
        return gains(self.recipe, self.results, self.standings, self.charges)

    @cached_property
    def charges(self) -> Charges | None:
        """What the study cost, and each system's part of it; None where it trained nothing."""
        if not self.results.students:
            return None
        return charged(self.recipe, self.results, self.artifacts)

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
        facts = [metadata.version("rankmill"), self.recipe.written, shown]
        return hashlib.sha256(canonical_json(facts)).hexdigest()

    # ---- for machines ----------------------------------------------------------------------------

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as plain values."""
        systems = [
            {
                "system": s.system.name,
                "domain": s.domain,
                "in_domain": self.recipe.in_domain(s.domain),
                "seeds": s.seeds,
                self.measure: s.mean.mean,
                **words.bounds(s.mean, trained=s.system.is_student),
                "against": {c.b: words.plain(c) for c in references(s)},
                "measures": dict(s.measures),
            }
            for s in self.standings.all
        ]
        pairs = [
            {"domain": domain, "a": c.a, "b": c.b, **words.plain(c)}
            for domain in self.standings.domains
            for c in self.standings.pairs(domain)
        ]
        overall = [
            {
                "system": one.system.name,
                "over": over,
                "domains": list(one.domains),
                "queries": one.queries,
                "macro": one.macro.mean,
                "macro_low": one.macro.low,
                "macro_high": one.macro.high,
                "macro_over": one.macro.over,
                "macro_reason": one.macro.reason,
                "micro": one.micro,
            }
            for over, overall in self.standings.overall.items()
            for one in overall
        ]
        return {
            "recipe": self.recipe.name,
            "systems": systems,
            "samplers": pairs,
            "overall": overall,
            "gains": [
                {
                    "system": g.system.name,
                    "domain": g.domain,
                    **asdict(g.spent),
                    "seconds": g.spent.seconds,
                    "charged": g.charged,
                    "gain": g.gained.difference.mean,
                    **words.bounds(g.gained.difference),
                    "per_hour": g.per_hour,
                    "front": g.front,
                }
                for g in self.gains
            ],
            "charges": self.charges.as_json() if self.charges else None,
            "advice": self.advice,
            "seconds": self.seconds,
            "roots": {f"{a.kind}/{a.fingerprint[:12]}": a.root_hash for a in self.artifacts},
        }


def _number_column(table: Any, title: str) -> None:
    table.add_column(title, justify="right", no_wrap=True)


def _interval(mean: Interval) -> str:
    return f"{mean.mean:.4f}\n{words.between(mean)}"


def _gain(compared: Comparison | None) -> str:
    if compared is None:
        return ""
    return f"\n{compared.difference.mean:+.4f}, p {words.p_value(compared.p_adjusted)}"
