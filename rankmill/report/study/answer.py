"""The answer of a study as plain values: its pictures and its tables of cost and gain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rankmill.report import content, crossed
from rankmill.report.page.words import number, seconds, signed, significant
from rankmill.report.study.tables import Shown, Table, difference, named, tested
from rankmill.study.costs.prices import amount, energy
from rankmill.study.grid.answer.amounts import Amount, Unit
from rankmill.study.grid.answer.answer import ROLES, Answer
from rankmill.study.grid.answer.worth import Step, Worth
from rankmill.study.grid.outcome import StudyOutcome
from rankmill.study.grid.panels import Panel
from rankmill.study.results import Role
from rankmill.training.ordering import Terms
from rankmill.training.significance import Interval

UNKNOWN = "–"
_WORTH, _COST = "Cost against gain", "What the cells cost"
_ORDER = "The order that the theory predicts"
_HOURS = {"gpu_hours": "GPU time", "cpu_hours": "CPU time"}


# ---- pictures ------------------------------------------------------------------------------------


def cost_pictures(outcome: StudyOutcome) -> list[crossed.CostPicture]:
    """Return gain against cost, the panel that the answer is about first."""
    shown = outcome.answer.shown
    return [_picture(outcome, panel) for panel in judge_first(outcome) if shown(panel)]


def judge_first(outcome: StudyOutcome) -> list[Panel]:
    """Return the panels, the one that the answer is about first."""
    return sorted(outcome.panels, key=lambda panel: panel is not outcome.answer.judge)


def _picture(outcome: StudyOutcome, panel: Panel) -> crossed.CostPicture:
    shown = outcome.answer.shown(panel)
    unit, role = shown[0].unit, shown[0].role
    scale, name = _scaled(unit, max(one.cost for one in shown))
    several = outcome.study.varied
    colors = "sampler" if "sampler" in several else several[0]
    others = [axis for axis in several if axis != colors]
    marked = {c.number: ", ".join(c.levels[axis] for axis in others) for c in outcome.study.cells}
    of_colors = (cell.levels[colors] for cell in outcome.study.cells)
    of_marks = (marked[cell.number] for cell in outcome.study.cells)
    spots = [
        crossed.Spot(
            outcome.study.short(one.cell),
            scale * one.cost,
            _of(one.gained.difference),
            one.cell.levels[colors],
            marked[one.cell.number],
            one.front,
        )
        for one in shown
    ]
    return crossed.CostPicture(
        f"Gain against cost, {panel.title}",
        outcome.answer.measure,
        ROLES[role],
        _HOURS.get(unit.key, unit.title.partition(" ")[0]),
        name,
        colors,
        ", ".join(others),
        spots,
        *(list(dict.fromkeys(levels)) for levels in (of_colors, of_marks)),
    )


def _scaled(unit: Unit, most: float) -> tuple[float, str]:
    """Return by what amounts are multiplied on an axis, and what they then are in."""
    if unit.key.endswith("hours"):
        if most >= 2:
            return 1.0, "hours"
        return (60.0, "minutes") if 60 * most >= 2 else (3600.0, "seconds")
    if unit.key == "kwh" and most < 1:
        return 1000.0, "Wh"
    return 1.0, unit.name


def crossings(outcome: StudyOutcome) -> Iterator[crossed.Crossing]:
    """Yield the means over the two declared factors, wherever their effects were estimated."""
    factors = outcome.study.factors
    for one in outcome.effects:
        if one.effects:
            means = {(b, a): _of(mean) for (a, b), mean in one.means.items()}
            title = _at(outcome, one.domain, one.others)
            yield crossed.Crossing(
                title, outcome.answer.measure, factors[1].name, factors[0].name, means
            )


def effect_bars(outcome: StudyOutcome) -> Iterator[crossed.EffectBars]:
    """Yield the effects that go with them."""
    for one in outcome.effects:
        if one.effects:
            rows = {f"{e.factor}: {e.step}": _of(e.difference) for e in one.effects}
            title = _at(outcome, one.domain, one.others)
            yield crossed.EffectBars(title, outcome.answer.measure, rows)


def _at(outcome: StudyOutcome, domain: str, others: Mapping[str, str]) -> str:
    several = [level for axis, level in others.items() if axis in outcome.study.varied]
    return ", ".join(dict.fromkeys([domain, *several]))


def _of(interval: Interval) -> content.Interval:
    return content.Interval(interval.mean, interval.low, interval.high, interval.reason)


# ---- tables --------------------------------------------------------------------------------------


def worth_tables(outcome: StudyOutcome) -> Iterator[Table]:
    """Yield cost against gain, panel by panel and baseline by baseline: what decides first."""
    answer = outcome.answer
    if not answer.units:
        return
    for panel in judge_first(outcome):
        place, first = outcome.panels.index(panel), answer.role_of(panel)
        for role in sorted(ROLES, key=lambda role: role != first):
            if answer.worths[place, role, answer.units[0].key]:
                yield _worth(outcome, place, role)
        yield from _steps(answer, panel)


def _worth(outcome: StudyOutcome, place: int, role: Role) -> Table:
    answer, panel = outcome.answer, outcome.panels[place]
    shown = answer.worths[place, role, answer.units[0].key]
    rates = [
        {one.cell.number: one for one in answer.worths[place, role, unit.key]}
        for unit in answer.units
    ]
    axes = outcome.study.varied
    columns = [*axes, *(unit.title for unit in answer.units), f"gain over {ROLES[role]}"]
    columns += ["on the frontier", "gain, verdict", "compared with the best"]
    columns += [f"gain per {unit.name}" for unit in answer.units]
    here = (g for g in outcome.gains if g.domain == panel.domain)
    by_cell = {g.cell.number: g for g in here if g.cell in panel.cells}
    rows = []
    for one in shown:
        mine = [rate[one.cell.number] for rate in rates]
        row = [*named(outcome.study, one.cell), *(_cost(worth) for worth in mine)]
        row += [difference(one.gained), "yes" if one.front else "", one.verdict]
        row += [by_cell[one.cell.number].verdict, *(_rate(worth.rate) for worth in mine)]
        rows.append(row)
    say = (
        "Cheapest first; the cost is what one student would have cost alone. The 95 % interval of "
        "the gain per unit of cost includes how costs vary over the seeds, and contains 0 exactly "
        "where the interval of the gain does. A cell is on the frontier if no cell that costs the "
        "same or less has a higher mean; the verdicts of the tests are in the columns beside it."
    )
    title = f"Cost against gain over {ROLES[role]}, {panel.title}"
    return Table(title, columns, rows, len(axes), say, _WORTH)


def _steps(answer: Answer, panel: Panel) -> Iterator[Table]:
    steps = answer.stepped(panel)
    if not steps:
        return
    unit, role = steps[0].unit, steps[0].role
    columns = [
        "from",
        "to",
        f"extra {unit.title}",
        "extra gain",
        f"extra gain per {unit.name}",
        "verdict",
    ]
    rows = [
        [
            answer.study.short(one.before) if one.before else f"nothing ({ROLES[role]})",
            answer.study.short(one.after),
            _cost(one),
            tested(one.gained, one.p_adjusted),
            _rate(one.rate),
            one.verdict,
        ]
        for one in steps
    ]
    say = (
        "What each step to a more expensive cell adds, in all and per unit of cost; paired over "
        "queries and seeds. The same values decide which cells are on the frontier, so p is "
        "adjusted (Holm) over all pairs of cells. A step that is not significant is not shown to "
        "be worth its cost."
    )
    yield Table(f"Steps along the frontier, {panel.title}", columns, rows, 2, say, _WORTH)


def _cost(one: Worth | Step) -> str:
    if one.unit.key.endswith("hours"):
        return Shown(seconds(3600 * one.cost), one.cost)
    return Shown(one.unit.said(one.cost), one.cost)


def _rate(rate: Interval) -> str:
    def write(value: float) -> str:
        return significant(value, sign=True)

    if rate.low is None or rate.high is None:
        return Shown(f"{write(rate.mean)} ({rate.reason})", rate.mean)
    return Shown(f"{write(rate.mean)} ({write(rate.low)} … {write(rate.high)})", rate.mean)


def cost_tables(outcome: StudyOutcome) -> Iterator[Table]:
    """Yield what a student of every cell would have cost alone, and who pays for the study."""
    yield _alone(outcome)
    yield _charged(outcome)


def _alone(outcome: StudyOutcome) -> Table:
    costs, axes = outcome.answer.costs, outcome.study.varied
    phases = ("mining", "teacher", "groups", "training")
    alone = _Columns(list(costs.alone.values()), outcome.study.prices.currency)
    charged = _Columns(list(costs.charged.values()), outcome.study.prices.currency)
    columns = [*axes, *phases, *alone.names, "charged, all seeds"]
    columns += ["money charged"] if charged.money else []
    rows = []
    for cell in outcome.study.cells:
        spent = outcome.spent(cell)
        row = [*named(outcome.study, cell)]
        row += (_seconds(getattr(spent, phase)) for phase in phases)
        row += alone.of(costs.alone[cell.number])
        due = costs.charged[cell.number]
        row.append(_seconds(due.cpu_s + due.gpu_s))
        row += [_money(due, outcome.study.prices.currency)] if charged.money else []
        rows.append(row)
    say = (
        "What one student would have cost if its cell had been the only one. Work that was already "
        "there counts as if it had been done, and of the teacher’s pairs only those that the "
        "sampler needs. Phases are seconds of processor and accelerator, without compiling, "
        "imports and overhead; elapsed time is with those of whoever came first. “Charged” is the "
        "cell’s share of what the study cost: work that several cells use is split among them. "
        f"{alone.say}"
    )
    title = "What one student of each cell costs alone"
    return Table(title, columns, rows, len(axes), say.strip(), _COST)


def _charged(outcome: StudyOutcome) -> Table:
    costs, study = outcome.answer.costs, outcome.study
    every = {
        (axis, level): amount_
        for axis in study.varied
        for level, amount_ in costs.charged_to(axis).items()
    }
    every["all", "the study"] = costs.whole
    charged = _Columns(list(every.values()), study.prices.currency)
    columns = ["axis", "level", *charged.names, "compiling, imports", "overhead", "already there"]
    rows = []
    for (axis, level), due in every.items():
        parts = (_seconds(due.lines.get(f"{one}_s", 0.0)) for one in ("first", "overhead", "found"))
        rows.append([axis, level, *charged.of(due), *parts])
    saved = costs.whole.lines.get("saved_s", 0.0)
    more = f" Teacher scores taken from other pools saved another {seconds(saved)}." * (saved > 0)
    say = (
        "Every artifact counts once, whenever it was made. Work that several levels use is split "
        "among them: teacher scores by the pairs that each needs, everything else equally; all "
        "share compiling and importing. “Already there” is the part that the workspace held "
        f"before this command.{more} {charged.say}"
    )
    title = "What the study cost, by level"
    return Table(title, columns, rows, 2, say.strip(), _COST)


class _Columns:
    """The columns of amounts, without those of which nothing is known."""

    def __init__(self, amounts: Sequence[Amount], currency: str):
        self.currency = currency
        self.gpu = any(one.gpu_s for one in amounts)
        self.energy = any(one.joules is not None for one in amounts)
        self.money = any(one.bill.money is not None for one in amounts)
        self.grams = any(one.bill.grams is not None for one in amounts)
        ways = dict.fromkeys(one.bill.how for one in amounts if one.bill.how)
        lacking = dict.fromkeys(part for one in amounts for part in one.bill.without)
        said = [f"Energy: {'; '.join(ways)}."] if ways else []
        said += [f"The sum of money leaves out {', '.join(lacking)}."] if lacking else []
        self.say = " ".join(said)

    @property
    def names(self) -> list[str]:
        """The headings."""
        made = ["CPU time", *(["GPU time"] if self.gpu else []), "elapsed"]
        made += ["energy"] if self.energy else []
        made += [f"money{f' ({self.currency})' if self.currency else ''}"] if self.money else []
        return made + (["CO₂e"] if self.grams else [])

    def of(self, one: Amount) -> list[str]:
        """Write one amount."""
        made = [_seconds(one.cpu_s), *([_seconds(one.gpu_s)] if self.gpu else [])]
        made.append(_seconds(one.lines.get("wall_s", 0.0)))
        kwh, grams = one.bill.kwh, one.bill.grams
        if self.energy:
            made.append(UNKNOWN if kwh is None else Shown(energy(kwh), kwh))
        made += [_money(one, self.currency)] if self.money else []
        if self.grams:
            made.append(UNKNOWN if grams is None else Shown(f"{amount(grams)} g", grams))
        return made


def _seconds(value: float) -> str:
    return Shown(seconds(value), value)


def _money(one: Amount, currency: str) -> str:
    money = one.bill.money
    return UNKNOWN if money is None else Shown(f"{amount(money)} {currency}".strip(), money)


# ---- the order that the theory predicts ----------------------------------------------------------


def order_tables(outcome: StudyOutcome) -> Iterator[Table]:
    """Yield the terms of designs beside how their students did, and how far the orders agree."""
    for one in outcome.predicted:
        terms, observed = one.terms, one.terms.observed or {}
        rows = []
        for name, design in terms.designs.items():
            row = [name, number(design.diameter.mean), number(design.entropy_bits.mean)]
            row.append(f"{design.amount[terms.n]:,}")
            for kind, values in {**terms.predicted, "observed": observed}.items():
                rank = terms.orders[kind].index(name) + 1
                row.append(Shown(f"{number(values[name])}, {rank}.", values[name]))
            rows.append(row)
        at = _at(outcome, one.domain, one.others)
        title = f"{_ORDER}, {at}, {terms.measure}"
        columns = ["groups", "Δ", "H, bits", f"n, {terms.n}", *terms.predicted]
        columns.append(str(terms.measure))
        yield Table(title, columns, rows, 1, _agreement(terms), _ORDER)


def _agreement(terms: Terms) -> str:
    first = next(iter(terms.designs.values()))
    said = (
        f"Δ is the mean {first.diameter.column} and H the mean {first.entropy_bits.column} of the "
        "groups. Locality is Δ·√(ln n / n), entropy is H/2, and combined is their sum: our "
        "reconstruction of Theorem 2.1 without its unknown constants, which orders designs and "
        "bounds nothing. The rank follows the comma; 1. is the least risk."
    )
    parts = [
        f"{kind}: Kendall τ {signed(correlation.kendall, 2)} ({signed(low, 2)} … {signed(high, 2)})"
        for kind, correlation in (terms.agreement or {}).items()
        if correlation.kendall is not None
        and (low := correlation.kendall_low) is not None
        and (high := correlation.kendall_high) is not None
    ]
    if parts:
        said += (
            f" Agreement with the students’ order, 95 % intervals over queries: {'; '.join(parts)}."
        )
    if terms.too_few and terms.chance is not None:
        said += (
            f" Too few designs: two unrelated orders of {len(terms.designs)} agree or disagree "
            f"completely with probability {min(1.0, terms.chance):.2g}."
        )
    return said
