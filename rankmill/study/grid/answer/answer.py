"""The answer in words and numbers: which cell to take, what it costs and gains, and whether paying
more is shown to gain more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from rankmill.mining.parts.told import counted
from rankmill.study.costs.prices import ESTIMATED
from rankmill.study.grid.answer.amounts import Amount, Unit, units_of
from rankmill.study.grid.answer.costs import Costs
from rankmill.study.grid.answer.worth import NOTABLE, Step, Worth, steps_of, worths_of
from rankmill.study.grid.design import Cell, Study
from rankmill.study.grid.engine import Engine
from rankmill.study.grid.panels import Panel
from rankmill.study.results import BM25, START, Role
from rankmill.training.comparison import Comparison
from rankmill.training.significance import Interval

ROLES: dict[Role, str] = {START: "the untrained student", BM25: "BM25"}
DEVELOPMENT, JUDGING = "development", ("in-domain", "out-of-domain")
Write = Callable[[float], str]


def plain(value: float) -> str:
    """Write a signed value for the terminal."""
    return f"{value:+.4f}"


class Answer:
    """What a study that was carried out answers."""

    def __init__(self, engine: Engine, panels: Sequence[Panel]):
        self.engine, self.panels = engine, panels
        self.study: Study = engine.study
        self.costs = Costs(engine)

    @property
    def measure(self) -> str:
        """What is gained."""
        return self.study.measures[0]

    # ---- cost against gain -----------------------------------------------------------------------

    @cached_property
    def units(self) -> list[Unit]:
        """What gains are divided by; the first decides. Empty where no cost is known."""
        every = [one for amounts in self.costs.by_seed.values() for one in amounts]
        return units_of(every, self.study.prices)

    @cached_property
    def worths(self) -> dict[tuple[int, Role, str], list[Worth]]:
        """By place of the panel, baseline and key of the unit: every cell, cheapest first."""
        return {
            (place, role, unit.key): worths_of(panel, role, unit, gains, self.costs.by_seed)
            for (place, role), gains in self._gains.items()
            for panel in [self.panels[place]]
            for unit in self.units
        }

    @cached_property
    def steps(self) -> dict[tuple[int, Role, str], list[Step]]:
        """The steps along each frontier, by the same keys."""
        return {
            (place, role, key): list(steps_of(worths, self._gains[place, role], self.costs.by_seed))
            for (place, role, key), worths in self.worths.items()
        }

    @cached_property
    def _gains(self) -> dict[tuple[int, Role], dict[int, np.ndarray]]:
        """By place of the panel and baseline what cells that have it gain, [seeds, queries]."""
        return {
            (place, role): {
                cell.number: panel.differences(cell, role)
                for cell in panel.cells
                if role in panel.against[cell.number]
            }
            for place, panel in enumerate(self.panels)
            for role in ROLES
        }

    def role_of(self, panel: Panel) -> Role:
        """Return the baseline that decides on a panel: the untrained student where all cells have
        the same one, else BM25, over which a gain means the same for all."""
        for role in (START, BM25):
            judged = [panel.reference(cell, role) for cell in panel.cells]
            made = {one.evaluation.fingerprint for one in judged if one is not None}
            if len(made) == 1 and None not in judged:
                return role
        return START

    def shown(self, panel: Panel) -> list[Worth]:
        """Return the cells of a panel by what decides, cheapest first."""
        if not self.units:
            return []
        place = self.panels.index(panel)
        return self.worths[place, self.role_of(panel), self.units[0].key]

    def stepped(self, panel: Panel) -> list[Step]:
        """Return the steps along the frontier that decides on a panel."""
        if not self.units:
            return []
        place = self.panels.index(panel)
        return self.steps[place, self.role_of(panel), self.units[0].key]

    # ---- which to take ---------------------------------------------------------------------------

    @cached_property
    def judge(self) -> Panel:
        """The panel that the answer is about: the first that is not for training or choosing."""
        return next((p for p in self.panels if p.kind in JUDGING), self.panels[0])

    @cached_property
    def chooser(self) -> Panel:
        """The panel that names the best: one for development with the same cells, none of whose
        queries judge, else the judge itself."""
        judge, ours = self.judge, (p for p in self.panels if p.kind == DEVELOPMENT)
        same = (p for p in ours if p.cells == judge.cells and not p.shares(judge))
        return next(same, judge)

    @property
    def best(self) -> Cell:
        """The cell with the largest mean where it is chosen."""
        return self.chooser.best

    @cached_property
    def ties(self) -> list[Cell]:
        """The cells that the tests do not tell apart from the best where it is chosen, cheapest
        first; the best is none of them."""
        below = self.chooser.below_best
        tied = [c for c in self.chooser.cells if c.number in below and not _told(below[c.number])]
        return sorted(tied, key=lambda cell: self._cost(cell)) if self.units else tied

    def _cost(self, cell: Cell) -> float:
        return self.units[0].of(self.costs.alone[cell.number]) or 0.0

    def cost_of(self, amount: Amount) -> str:
        """Say an amount in the unit that decides, and in time where that is another."""
        if not self.units:
            return "an unknown cost"
        first = self.units[0]
        said = first.said(first.of(amount) or 0.0)
        time = next((u for u in self.units[1:] if u.key.endswith("hours")), None)
        return said if time is None else f"{said} ({time.said(time.of(amount) or 0.0)})"

    def sentences(self, write: Write = plain) -> list[str]:
        """Return the answer in three sentences, in two where there is no other cell, so no step to
        one; `write` writes a signed number."""
        more = [self._more(write)] if len(self.chooser.cells) > 1 else []
        return [self._gain(write), self._cheapest(write), *more]

    def name(self, cell: Cell) -> str:
        """Return what sentences call a cell."""
        return f"“{self.study.short(cell)}”"

    def _gain(self, write: Write) -> str:
        best, judge = self.best, self.judge
        against = judge.against[best.number]
        cost = self.cost_of(self.costs.alone[best.number])
        named: dict[Role, str] = {role: name for role, name in ROLES.items() if role in against}
        told = {role: _difference(against[role], write) for role in named}
        several = len(self.chooser.cells) > 1
        how, but = ("best", "but") if several else ("the only cell", "and")
        on = f"{self.name(best)} is {how} on {self.chooser.title}"
        where = f"on {judge.title} it" if judge is not self.chooser else "it"
        if _told(against[START]) and against[START].difference.mean > 0:
            over = " and ".join(f"{told[role]} over {name}" for role, name in named.items())
            return f"{on}: {where} gains {over} in {self.measure}; one student costs {cost}."
        away = " and ".join(f"{told[role]} from {name}" for role, name in named.items())
        return (
            f"No gain is shown: {on}, {but} {where} differs by {away} in {self.measure}; one "
            f"student costs {cost}."
        )

    def _cheapest(self, write: Write) -> str:
        best, others = self.best, len(self.chooser.cells) - 1
        if not others:
            return "There is no other cell to compare it with."
        if not self.ties:
            said = "The other cell is" if others == 1 else f"All {others} other cells are"
            # Only a cell that was stopped may lie above: over the seeds of both.
            above = any(one.difference.mean > 0 for one in self.chooser.below_best.values())
            return f"{said} significantly {'different from' if above else 'below'} it."
        said, cheap = "The other cell is not significantly different from it", self.ties[0]
        if others > 1:
            every = len(self.ties) == others
            tied = f"None of the {others}" if every else f"{len(self.ties)} of the {others}"
            verb = "is" if every else "is not" if len(self.ties) == 1 else "are not"
            said = f"{tied} other cells {verb} significantly different from it"
        if not self.units or self._cost(cheap) >= self._cost(best):
            one = len(self.ties) == 1
            return f"{said}, and {'it is not' if one else 'none of them is'} cheaper."
        cost = self.cost_of(self.costs.alone[cheap.number])
        lead = self.name(cheap) if others == 1 else f"the cheapest of them, {self.name(cheap)},"
        gained = _difference(self.judge.against[cheap.number][START], write)
        share = self._cost(cheap) / self._cost(best)
        return (
            f"{said}; {lead} costs {cost}, {less_of(share)}, and gains {gained} over "
            f"{ROLES[START]}."
        )

    def _more(self, write: Write) -> str:
        if not self.units:
            return "What the cells cost is not known: ledgers of this study are missing."
        steps = self.stepped(self.judge)
        title, cheapest = self.judge.title, steps[0].after
        if len(steps) == 1:
            return (
                f"No cell that costs more than {self.name(cheapest)} has a higher mean on {title}."
            )
        further = steps[1:]
        paid = [one for one in further if one.told_apart and one.gained.mean > 0]
        if not paid:
            if len(further) == 1:
                said = "the one step to a more expensive cell on the frontier is not significant"
            else:
                said = (
                    f"none of the {len(further)} steps to more expensive cells on the frontier is "
                )
                said += "significant"
            return (
                f"Paying more than for {self.name(cheapest)} is not shown to gain more on {title}: "
                f"{said}."
            )
        last = paid[-1]
        assert last.before is not None
        return (
            f"Paying more gains more on {title} in {len(paid)} of {len(further)} steps along the "
            f"frontier; the last of these, from {self.name(last.before)} to "
            f"{self.name(last.after)}, adds {_interval(last.gained, write, told=True)} for another "
            f"{last.unit.said(last.cost)}."
        )

    @cached_property
    def caveats(self) -> list[str]:
        """What the answer rests on, shortly."""
        return list(self._caveats())

    def _caveats(self) -> Iterator[str]:
        seeds, judge = len(self.study.seeds), self.judge
        queries = judge.values(self.best, self.measure).shape[1]
        many = "one training seed" if seeds < 2 else f"{seeds} training seeds"
        asked = counted(queries, "query", "queries")
        yield f"It rests on {asked} of {judge.title} and {many}." + (
            " With one seed the intervals say nothing about training again with another."
            if seeds < 2
            else ""
        )
        if self.chooser is judge and len(judge.cells) > 1:
            yield "The best cell is chosen by the same queries that judge it, which flatters it."
        if self.role_of(judge) == BM25:
            yield (
                "The cells start from different untrained students, so the frontier is drawn for "
                "the gain over BM25, which is the same for all."
            )
        yield from self._of_costs()

    def _of_costs(self) -> Iterator[str]:
        amounts = list(self.costs.alone.values())
        if not self.study.prices:
            yield "No prices are declared ([study.prices]), so costs are in hours, not in money."
        elif any(one.bill.money is None for one in amounts):
            yield "The declared prices do not cover all of the work, so costs are in hours."
        lacking = dict.fromkeys(part for one in amounts for part in one.bill.without)
        if lacking:
            yield f"The money leaves out {', '.join(lacking)}, for which no price is declared."
        ways = {one.bill.how for one in amounts}
        if any(ESTIMATED in how for how in ways):
            yield "Energy is estimated from declared watts where the hardware does not measure it."
        elif not any(ways):
            yield "Energy is not known: the hardware does not measure it and no watts are declared."
        yield (
            "Costs were measured once, on the machines that did the work; the intervals per unit "
            "of cost cover how training costs vary over the seeds and nothing else."
        )

    def as_json(self) -> dict[str, Any]:
        """Return the answer as plain values."""
        return {
            "sentences": self.sentences(),
            "caveats": self.caveats,
            "best": self.best.name,
            "chosen_on": self.chooser.title,
            "judged_on": self.judge.title,
            "not_distinguishable_from_the_best": [cell.name for cell in self.ties],
            "units": [unit.name for unit in self.units],
        }


def _told(compared: Comparison) -> bool:
    return compared.p_adjusted < NOTABLE


def _difference(compared: Comparison, write: Write) -> str:
    """Write a difference with its interval, and whether it is told apart from 0."""
    return _interval(compared.difference, write, told=_told(compared))


def _interval(interval: Interval, write: Write, *, told: bool) -> str:
    if interval.low is None or interval.high is None:
        return f"{write(interval.mean)} ({interval.reason})"
    doubt = "" if told else ", not significant after Holm"
    cut = "" if interval.reason is None else f", {interval.reason}"
    return f"{write(interval.mean)} ({write(interval.low)} to {write(interval.high)}{cut}{doubt})"


def less_of(share: float) -> str:
    """Say what share of a cost another one is, a smaller one: 39% as much."""
    return "hardly less" if share >= 0.995 else f"{share:.0%} as much"
