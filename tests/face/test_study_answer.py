"""The answer of a study, from values given by hand: which cell, for what, and whether more pays."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_study import RECIPE

from rankmill.report.study.answer import cost_pictures, cost_tables, worth_tables
from rankmill.report.study.page import html
from rankmill.report.study.values import StudyReport
from rankmill.study.costs.gains import Spent
from rankmill.study.costs.prices import Prices
from rankmill.study.grid.answer.amounts import Amount, amount_of, mean_of
from rankmill.study.grid.answer.answer import Answer, less_of
from rankmill.study.grid.answer.cell_gain import CellGain
from rankmill.study.grid.answer.frames import charges_frame, steps_frame, worth_frame
from rankmill.study.grid.design import Cell, Study, study_of
from rankmill.study.grid.panels import Panel
from rankmill.study.results import BM25, START, Role
from rankmill.training.comparison import Comparison, compare

QUERIES = 60
PRICES = Prices(per_cpu_hour=36.0, watts_per_cpu=10, per_kwh=0.0, grams_per_kwh=300, currency="EUR")


def study(prices: Prices = PRICES, seeds: int = 3) -> Study:
    """Return the tiny study: small and large students, random and bm25 samplers."""
    data = tomllib.loads(RECIPE)
    data["train"]["seeds"] = list(range(1, seeds + 1))
    return replace(study_of(data, "s.toml"), prices=prices, text=RECIPE)


@dataclass(frozen=True)
class Given(Panel):
    """A panel whose cells have given values [seeds, queries], and baselines [queries]."""

    said: str = "in-domain"
    table: Mapping[int, np.ndarray] = field(default_factory=dict)
    baselines: Mapping[tuple[int, Role], np.ndarray] = field(default_factory=dict)

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.said

    @property
    def trained(self) -> int:  # type: ignore[override]
        return 0

    def shares(self, other: Panel) -> bool:
        return False

    def values(self, cell: Cell, measure: str) -> np.ndarray:
        return self.table[cell.number]

    def reference(self, cell: Cell, role: Role) -> Any:
        key = self.baselines[cell.number, role].tobytes()
        return SimpleNamespace(evaluation=SimpleNamespace(fingerprint=key))

    def differences(self, cell: Cell, role: Role) -> np.ndarray:
        return self.table[cell.number] - self.baselines[cell.number, role]

    @property
    def against(self) -> dict[int, dict[Role, Comparison]]:  # type: ignore[override]
        made: dict[int, dict[Role, Comparison]] = {}
        for cell in self.cells:
            for role in (START, BM25):
                pair = {"a": self.table[cell.number], "b": self.baselines[cell.number, role]}
                made.setdefault(cell.number, {})[role] = compare(pair, draws=1)[0]
        return made


def answer_of(
    gains: Mapping[str, float],
    costs: Mapping[str, float],
    *,
    prices: Prices = PRICES,
    seeds: int = 3,
    dev: Mapping[str, float] | None = None,
    starts: Mapping[str, float] | None = None,
) -> Answer:
    """Return the answer of a study whose cells gain and cost as said, by "student, sampler"; CPU
    seconds vary a little over the seeds. BM25 is at 0.35, starts at 0.3 unless said."""
    made = study(prices, seeds)
    option = {"margin": None, "alpha": 0.05, "draws": 1}
    recipe = SimpleNamespace(option=lambda section, name: option[name], seed=0)
    engine: Any = SimpleNamespace(
        study=made,
        trained=dict.fromkeys(range(4), seeds),
        tracks=[SimpleNamespace(recipe=recipe)] * 2,
        stopped={},
    )
    panels = []
    for domain, kind, means in (("dev", "development", dev), ("test", "in-domain", gains)):
        if means is None:
            continue
        rng = np.random.Generator(np.random.Philox(7))
        query = rng.normal(0, 0.1, QUERIES)
        table, baselines = {}, {}
        for cell in made.cells:
            start = 0.3 + (starts or {}).get(cell.levels["train.student"], 0.0)
            noise = rng.normal(0, 0.02, (seeds, QUERIES))
            noise -= noise.mean(axis=1, keepdims=True)  # means are as said
            table[cell.number] = start + means[made.short(cell)] + query + noise
            baselines[cell.number, START] = start + query
            baselines[cell.number, BM25] = 0.35 + query
        panels.append(Given(engine, domain, tuple(made.cells), kind, table, baselines))
    told = Answer(engine, panels)
    by_seed = {
        cell.number: [
            amount_of(
                {"cpu_s": s, "cpu_uncounted_s": s, "wall_s": s / 2},
                prices,
            )
            for place in range(seeds)
            for s in [costs[made.short(cell)] * (1 + 0.01 * (place - (seeds - 1) / 2))]
        ]
        for cell in made.cells
    }
    told.costs = GivenCosts(made, by_seed)  # type: ignore[assignment]
    return told


class GivenCosts:
    """Costs given by seed; every cell is charged what its students cost."""

    def __init__(self, made: Study, by_seed: dict[int, list[Amount]]):
        self.study, self.by_seed = made, by_seed
        self.alone = {
            n: amount_of(mean_of(one.lines for one in amounts), made.prices)
            for n, amounts in by_seed.items()
        }
        self.charged = self.alone

    @property
    def whole(self) -> Amount:
        return self._sum(list(self.alone))

    def charged_to(self, axis: str) -> dict[str, Amount]:
        levels = self.study.levels[axis]
        return {
            level: self._sum([c.number for c in self.study.cells if c.levels[axis] == level])
            for level in levels
        }

    def _sum(self, cells: list[int]) -> Amount:
        lines = mean_of(self.alone[n].lines for n in cells)
        return amount_of({k: v * len(cells) for k, v in lines.items()}, self.study.prices)


GAINS = {
    "small, random": 0.02,
    "small, bm25": 0.06,
    "large, random": 0.061,
    "large, bm25": 0.0605,
}
COSTS = {
    "small, random": 100.0,
    "small, bm25": 200.0,
    "large, random": 900.0,
    "large, bm25": 1000.0,
}


def test_three_sentences_name_the_best_the_cheapest_tie_and_what_more_buys():
    first, second, third = answer_of(GAINS, COSTS, dev=GAINS).sentences()
    assert first.startswith("“large, random” is best on dev: on test it gains +0.06")
    assert "over the untrained student and +0.01" in first
    assert first.endswith("one student costs 9.00 EUR (15 min 0 s of CPU time).")
    assert second.startswith("2 of the 3 other cells are not significantly different from it; ")
    assert (
        "the cheapest of them, “small, bm25”, costs 2.00 EUR (3 min 20 s of CPU time), 22% "
        in second
    )
    assert third.startswith("Paying more gains more on test in 1 of 2 steps along the frontier; ")
    assert "from “small, random” to “small, bm25”, adds +0.04" in third
    assert third.endswith("for another 1.00 EUR.")


def test_development_chooses_and_the_test_only_judges():
    dev = {**GAINS, "small, random": 0.2}
    told = answer_of(GAINS, COSTS, dev=dev)
    assert told.study.short(told.best) == "small, random"
    assert told.sentences()[0].startswith("“small, random” is best on dev: on test it gains +0.02")
    assert told.sentences()[1] == "All 3 other cells are significantly below it."
    assert not any("flatters" in text for text in told.caveats)
    alone = answer_of(GAINS, COSTS)
    assert alone.sentences()[0].startswith("“large, random” is best on test: it gains")
    assert any("chosen by the same queries that judge it" in text for text in alone.caveats)


def test_a_single_cell_is_best_of_nothing():
    told = answer_of(GAINS, COSTS)
    alone = Answer(told.engine, [replace(told.judge, cells=told.judge.cells[:1])])
    alone.costs = told.costs
    first, second = alone.sentences()
    assert first.startswith("“small, random” is the only cell on test, small, random: it gains +")
    assert second == "There is no other cell to compare it with."
    assert not any("flatters" in text for text in alone.caveats)


def test_a_gain_that_is_not_told_from_0_is_called_none_and_its_rate_holds_0():
    told = answer_of(dict.fromkeys(GAINS, 0.0), COSTS)
    assert told.sentences()[0].startswith("No gain is shown: ")
    assert ", not significant after Holm)" in told.sentences()[0]
    for one in told.shown(told.judge):
        assert one.verdict == "not distinguishable from no gain"
        assert one.rate.low < 0 < one.rate.high
    assert "is not shown to gain more" in told.sentences()[2] or "No cell" in told.sentences()[2]


def test_steps_that_are_not_told_apart_are_not_worth_their_cost():
    flat = {**GAINS, "small, random": 0.058}
    third = answer_of(flat, COSTS).sentences()[2]
    assert third == (
        "Paying more than for “small, random” is not shown to gain more on test: none of the 2 "
        "steps to more expensive cells on the frontier is significant."
    )


def test_students_that_start_apart_are_compared_over_bm25():
    told = answer_of(GAINS, COSTS, starts={"small": 0.0, "large": 0.02})
    assert told.role_of(told.judge) == BM25
    assert {one.role for one in told.shown(told.judge)} == {BM25}
    assert any("frontier is drawn for the gain over BM25" in text for text in told.caveats)
    same = answer_of(GAINS, COSTS)
    assert same.role_of(same.judge) == START


def test_without_prices_hours_decide_and_it_is_said():
    told = answer_of(GAINS, COSTS, prices=Prices())
    assert [unit.key for unit in told.units] == ["cpu_hours"]
    assert told.sentences()[0].endswith("one student costs 15 min 0 s of CPU time.")
    assert any("No prices are declared" in text for text in told.caveats)
    assert any("Energy is not known" in text for text in told.caveats)
    assert "EUR" not in " ".join([*told.sentences(), *told.caveats])
    priced = answer_of(GAINS, COSTS)
    assert [unit.name for unit in priced.units] == ["EUR", "CPU-hour", "kWh"]
    assert any("Energy is estimated" in text for text in priced.caveats)


@pytest.mark.parametrize(
    ("samplers", "called"),
    [
        (["bm25"], ["sampler bm25"]),
        (["random", "bm25"], ["random", "sampler bm25"]),
        (["near"], ["near"]),
    ],
)
def test_a_cell_is_not_called_what_a_baseline_is(samplers: list[str], called: list[str]):
    """ "bm25 gains 0.06 over BM25" says nothing: is it the baseline or a student?"""
    data = tomllib.loads(RECIPE)
    strategy = data["groups"]["samplers"]["bm25"]
    data["groups"]["samplers"] = dict.fromkeys(samplers, strategy)
    data["study"] = {}
    made = study_of(data | {"train": {**data["train"], "student": "bi_encoder(model=e)"}}, "s.toml")
    assert [made.short(cell) for cell in made.cells] == called
    assert [cell.name for cell in made.cells] == [f"{name}, kl" for name in samplers]


def test_one_seed_is_said():
    told = answer_of(GAINS, COSTS, seeds=1)
    assert (
        "With one seed the intervals say nothing about training again with another."
        in told.caveats[0]
    )
    for one in told.shown(told.judge):
        assert one.rate.low == pytest.approx(one.gained.difference.low / one.cost)


def test_frames_hold_every_unit_and_baseline():
    told = answer_of(GAINS, COSTS, dev=GAINS)
    worth, steps, charges = worth_frame(told), steps_frame(told), charges_frame(told)
    assert len(worth) == 2 * 2 * 3 * 4  # panels, baselines, units, cells
    for row in worth.to_dicts():
        assert row["per_unit"] == pytest.approx(row["gain"] / row["cost"])
        assert row["per_unit_low"] < row["per_unit"] < row["per_unit_high"]
    euros = {row["cell"]: row["cost"] for row in worth.to_dicts() if row["unit"] == "EUR"}
    assert euros["large, bm25, kl"] == pytest.approx(10.0)
    assert set(steps["after"].to_list()) <= set(worth["cell"].to_list())
    whole = charges.to_dicts()[-1]
    assert whole["axis"] == "study"
    assert whole["charged_money"] == pytest.approx(22.0)
    assert whole["charged_joules"] == pytest.approx(10 * 2200)
    assert whole["charged_grams_co2e"] == pytest.approx(22000 / 3.6e6 * 300)


def outcome_of(told: Answer) -> Any:
    """Return what tables are made of."""
    gains = [
        CellGain(c, p.domain, Spent(1, 2, 3, 4, 5), p.against[c.number][START],
                 p.below_best.get(c.number), front=False)
        for p in told.panels for c in p.cells
    ]  # fmt: skip
    return SimpleNamespace(
        answer=told,
        study=told.study,
        panels=told.panels,
        gains=gains,
        spent=lambda cell: Spent(1.0, 2.0, 3.0, 4.0, 5),
        predicted=[],
    )


def test_every_table_names_the_best_of_its_own_evaluation_set():
    told = answer_of(GAINS, COSTS, dev={**GAINS, "small, random": 0.2})
    outcome = outcome_of(told)
    bests = {"dev": ["small", "random"], "test": ["large", "random"]}
    seen = 0
    for table in worth_tables(outcome):
        if table.title.startswith("Cost against gain"):
            column = table.columns.index("compared with the best")
            named = [row[:2] for row in table.rows if row[column] == "best"]
            assert named == [bests[table.title.rpartition(", ")[2]]]
            seen += 1
    assert seen == 4  # two sets, two baselines


def test_the_tables_and_the_page_say_the_same():
    told = answer_of(GAINS, COSTS, dev=GAINS)
    panel, outcome = told.judge, outcome_of(told)
    tables = [*worth_tables(outcome), *cost_tables(outcome)]
    for table in tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
    titles = [table.title for table in tables]
    assert titles.count(f"Cost against gain over BM25, {panel.title}") == 1
    assert f"Steps along the frontier, {panel.title}" in titles
    alone = next(t for t in tables if t.title == "What one student of each cell costs alone")
    assert "money (EUR)" in alone.columns
    row = next(row for row in alone.rows if row[:2] == ["large", "bm25"])
    assert row[alone.columns.index("money (EUR)")] == "10.00 EUR"
    assert row[alone.columns.index("energy")] == "2.78 Wh"
    pictures = cost_pictures(outcome)
    assert [picture.title for picture in pictures] == [
        "Gain against cost, test",
        "Gain against cost, dev",
    ]
    report = StudyReport(
        told.study.title, [], tables, [], answer=told.sentences(), caveats=told.caveats,
        costs=pictures, recipe=told.study.text,
    )  # fmt: skip
    page = html(report)
    assert page.count("<table") == len(tables)
    assert "“large, random” is best on dev" in page


@pytest.mark.parametrize(
    ("share", "said"), [(0.39, "39% as much"), (0.9949, "99% as much"), (0.998, "hardly less")]
)
def test_a_cost_that_is_nearly_the_same_is_not_called_a_hundred_percent(
    share: float, said: str
) -> None:
    assert less_of(share) == said
