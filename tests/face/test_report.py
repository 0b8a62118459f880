"""The report: deterministic, self-contained, escaped, and no picture empty or overlapping."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import synthetic_report
from attacked_values import attacked
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from pictures import text_boxes

from rankmill.mining.errors import UsageError
from rankmill.report import content, write_report
from rankmill.report.depths import counts_the_list, reaches_beyond, said_of
from rankmill.report.page.blocks import SHOWN, Cell, Column, DataTable, Fold, folded
from rankmill.report.page.canvas import log_axis, looks, panel, short, with_own_ids
from rankmill.report.page.costs import costs
from rankmill.report.page.mined import distribution_picture, recall_picture
from rankmill.report.page.ranked import rank_pictures
from rankmill.report.page.render import csv_text, script_of
from rankmill.report.page.run import page
from rankmill.report.page.studied import cost_legend, cost_picture
from rankmill.report.page.trained import curve_picture, effect_pictures, smooth
from rankmill.report.page.words import number, p_value, seconds, signed, size

VOID = {"meta", "link", "br", "img"}
CSV = "data:text/csv;charset=utf-8;base64,"


class Reader(HTMLParser):
    """Collects ids, links and text, and checks that elements close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.csv: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.handle_attributes(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handle_attributes(attrs)

    def handle_attributes(self, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if (target := str(given.get("href"))).startswith(CSV):
            text = base64.b64decode(target.removeprefix(CSV), validate=True).decode()
            self.csv[str(given["download"])] = text
            return
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            elif name in {"href", "src", "xlink:href", "srcset", "action"}:
                self.links.append(str(value))
            assert not name.startswith("on"), f"{name} would run code"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def html() -> str:
    return page(synthetic_report.report())


def test_same_report_gives_the_same_bytes(html: str) -> None:
    assert page(synthetic_report.report()) == html


def test_page_is_self_contained(html: str) -> None:
    reader = read(html)
    assert html.count("<script") == html.count(f"<script>{script_of()}</script>") == 1
    assert reader.tags.count("script") == 1
    assert "link" not in reader.tags
    assert all(link.startswith("#") for link in reader.links)
    assert "@import" not in html
    assert re.findall(r"url\((?!#)", html) == []


def test_ids_are_unique_and_links_lead_somewhere(html: str) -> None:
    reader = read(html)
    assert len(reader.ids) == len(set(reader.ids))
    assert {link[1:] for link in reader.links} <= set(reader.ids)


def test_every_section_and_picture_is_there(html: str) -> None:
    for title in (
        "How well the students rank", "Samplers against each other", "What each source found",
        "Entropy and locality", "Score against rank", "Training", "Cost against gain",
        "What each stage cost", "Queries in and out", "Provenance", "Machine and software", "Notes",
        "The order that the theory predicts",
    ):  # fmt: skip
        assert f"<h2>{title}" in html
    # 1 of gain against cost, 2 domains, recall and overlap, 3 statistics and their plane, 4 rank
    # panels, 4 training curves; and the graph
    assert html.count("<figure>") == html.count('<svg role="img"') == 1 + 2 + 2 + 4 + 4 + 4
    assert html.count('<figure class="drawing">') == html.count('class="provenance"') == 1


class Named(HTMLParser):
    """Collects the levels of headings, and what has no name for those who hear a page."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[int] = []
        self.nameless: list[tuple[str, dict[str, str | None]]] = []
        self.drawn: dict[str, str | None] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if self.drawn is not None and tag != "title":  # a drawing is named by its first element
            self.nameless.append(("svg", self.drawn))
        self.drawn = None
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))
        hidden = given.get("aria-hidden") == "true"
        if tag == "svg" and not hidden and not given.get("aria-label"):
            self.drawn = given
        needed = {"th": "scope", "table": "aria-label", "img": "alt"}.get(tag)
        if needed is not None and not given.get(needed):
            self.nameless.append((tag, given))


def test_headings_follow_on_each_other_and_everything_has_a_name(html: str) -> None:
    reader = Named()
    reader.feed(html)
    assert reader.levels[:3] == [1, 2, 2]
    assert max(b - a for a, b in pairwise(reader.levels)) == 1
    assert reader.nameless == []
    reader = Named()
    reader.feed('<h1>a</h1><h3>b</h3><table><th>c</th></table><svg role="img"><path/></svg>')
    assert [tag for tag, _ in reader.nameless] == ["table", "th", "svg"]


def test_a_mean_at_the_end_of_the_scale_is_drawn_whole(drawn: list[Figure]) -> None:
    report = synthetic_report.report()
    best = [
        replace(one, scores={domain: content.Interval(1.0, 1.0, 1.0) for domain in one.scores})
        for one in report.systems
    ]
    effect_pictures(tuple(best), tuple(report.domains), "nDCG@10", looks(tuple(report.samplers)))
    marks = [
        line
        for figure in drawn
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() not in ("None", None, "")
    ]
    assert len(marks) == sum(len(one.scores) for one in best)
    assert not any(mark.get_clip_on() for mark in marks)


def test_one_mark_on_the_frontier_is_joined_by_no_line() -> None:
    picture = synthetic_report.report().picture
    assert picture is not None
    spots = [replace(one, front=not number) for number, one in enumerate(picture.spots)]
    assert "The filled mark is" in cost_picture(replace(picture, spots=spots)).remark
    spots = [replace(one, front=True) for one in spots]
    assert (
        "Filled marks, joined by the grey line,"
        in cost_picture(replace(picture, spots=spots)).remark
    )


def test_the_first_screen_asks_answers_shows_and_warns(html: str) -> None:
    report = synthetic_report.report()
    first = html[html.index("<header>") : html.index("<nav")]
    places = [first.index(text) for text in (report.question, *report.answer, *report.caveats)]
    assert places == sorted(places)
    assert first.count("<figure>") == 1
    assert first.count("<li>") == 3 + len(report.caveats)


def test_figures_of_the_content_are_on_the_page(html: str) -> None:
    text = " ".join("".join(read(html).text).split())
    for shown in (
        "nDCG@10", "+0.118", "p < 0.001", "+0.103 … +0.134", "0.538 – 0.566", "2 min 40 s",
        "Kendall τ +0.67", "it orders designs and bounds nothing", "κ density_ratio(target=corpus)",
        "∞ in 100%", "0.307",
        "1.9 GB", "412,331", "too_few_candidates 27", "007fe91c007fe91c", "2.13.0+cpu",
    ):  # fmt: skip
        assert shown in text


def test_text_is_escaped_everywhere() -> None:
    odd = '<i>"x"&$y$'
    report = synthetic_report.report(("random", odd))
    html = page(replace(report, title=odd, domains=(*report.domains, odd)))
    reader = read(html)
    assert "<i>" not in html
    assert html.count("<script") == 1
    assert odd in "".join(reader.text)


def test_no_text_of_a_report_becomes_mark_up() -> None:
    """Every text of every part is an attack but for roles, which are no free texts."""
    report = synthetic_report.report(("random", "bm25"))
    assert report.ranks is not None
    systems = [replace(attacked(s), role=s.role) for s in report.systems]
    curves = [replace(attacked(c), role=c.role) for c in report.ranks.curves]
    whole = attacked(replace(report, systems=[], ranks=None, graph=None))
    ranks = replace(attacked(replace(report.ranks, curves=[])), curves=curves)
    html = page(replace(whole, systems=systems, ranks=ranks, graph=attacked(report.graph)))
    reader = read(html)
    assert reader.tags.count("script") == 1
    assert html.count(f"<script>{script_of()}</script>") == 1
    assert "img" not in reader.tags
    assert "alert(1)" in "".join(reader.text)


def test_the_page_allows_itself_nothing_but_its_own_script(html: str) -> None:
    digest = base64.b64encode(hashlib.sha256(script_of().encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy.replace("&#39;", "'").startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in policy.replace("&#39;", "'").replace("&#43;", "+")


def test_tables_are_downloaded_with_all_digits(html: str) -> None:
    files = read(html).csv
    assert len(files) == html.count("<table")
    rows = list(
        csv.DictReader(io.StringIO(files["difference-between-two-students-python-docs.csv"]))
    )
    assert len(rows) == 6
    assert rows[0]["trained on"] == "random − bm25"
    assert float(rows[0]["difference"]) == 0.013
    assert float(rows[0]["difference, low"]) == 0.004
    assert float(rows[0]["difference, p"]) == 0.021
    hashes = list(csv.DictReader(io.StringIO(files["all-artifacts.csv"])))
    assert hashes[0]["root hash"] == "007fe91c" * 8


def test_a_text_is_no_formula_in_a_spreadsheet() -> None:
    """A name that begins like a formula is told apart from a number that is negative."""
    rows = [[Cell("=HYPERLINK(1)"), Cell("−0.5", value=-0.5)], [Cell("@x"), Cell("–")]]
    table = DataTable("t", [Column("-name", number=False), Column("v")], rows)
    lines = csv_text(table).splitlines()
    assert lines == ["'-name,v", "'=HYPERLINK(1),-0.5", "'@x,–"]


def test_costs_are_folded_by_kind_the_dearest_first() -> None:
    costs_of = [
        content.StageCost("run", "a", 1.0, 2.0), content.StageCost("scores", "s", 6.0, 9.0),
        content.StageCost("run", "b", 3.0, None),
    ]  # fmt: skip
    told = costs(costs_of)
    folds = [one for one in told if isinstance(one, Fold)]
    assert [one.title for one in folds] == ["scores", "run × 2", "All stages together"]
    assert [one.bar for one in folds] == [0.6, 0.4, None]
    assert folds[1].note == "4.00 s elapsed · 2.00 s CPU · 40.0%"
    (table,) = folds[1].blocks
    assert isinstance(table, DataTable)
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["a", "1.00 s", "2.00 s"], ["b", "3.00 s", "–"],
    ]  # fmt: skip
    assert [cell.text for cell in table.total] == ["total", "4.00 s", "2.00 s"]


def test_long_tables_are_folded_and_short_ones_are_not() -> None:
    rows = [[Cell(str(n))] for n in range(SHOWN + 1)]
    short = folded(DataTable("t", [Column("n")], rows[:SHOWN]), "say")
    assert [one.kind for one in short] == ["say", "table"]
    (fold,) = folded(DataTable("t", [Column("n")], rows), "say")
    assert isinstance(fold, Fold)
    assert fold.note == f"{SHOWN + 1} rows"
    assert [one.kind for one in fold.blocks] == ["say", "table"]


@pytest.mark.parametrize(
    ("measure", "depth", "counts", "beyond"),
    [
        ("R@100", 40, True, True), ("R@40", 40, True, False), ("R@10", 40, False, False),
        ("R(rel=2)@100", 40, True, True), ("P@50", 40, True, True), ("nDCG@100", 40, False, False),
        ("RR", 40, False, False), ("Success@5", 5, True, False),
    ],
)  # fmt: skip
def test_recall_beyond_what_is_re_ranked_is_nobodys_own(
    measure: str, depth: int, counts: bool, beyond: bool
) -> None:
    assert counts_the_list(measure, depth) is counts
    assert reaches_beyond(measure, depth) is beyond


def test_what_is_left_out_is_said() -> None:
    assert said_of(["nDCG@10", "R@10"], 40) == ""
    assert said_of(["RR", "R@100"], 40) == (
        "R@100 is not shown for systems that re-rank the first 40 documents of a run: their order "
        "cannot change it."
    )


def test_an_empty_report_is_a_page_without_sections() -> None:
    html = page(content.Report("nothing yet"))
    assert "section" not in read(html).tags
    assert "<figure>" not in html


def test_write_report(tmp_path: Path) -> None:
    path = write_report(tmp_path / "report.html", content.Report("nothing yet"))
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


# ---- what is drawn -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "samplers",
    [
        ("random",),
        synthetic_report.SAMPLERS,
        (
            "random",
            "bm25",
            "dense MiniLM-L6",
            "fusion of three",
            "cross-encoder",
            "mixed",
            "a name of more than thirty characters",
        ),
    ],
    ids=len,
)
def test_no_text_overlaps_or_leaves_its_picture(
    drawn: list[Figure], samplers: tuple[str, ...]
) -> None:
    page(synthetic_report.report(samplers))
    assert drawn
    for figure in drawn:
        boxes = text_boxes(figure)
        assert len(boxes) >= 4
        check_axes(figure, [text for text, _ in boxes])
        for place, (text, box) in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, text
            assert figure.bbox.y0 <= box.y0 <= box.y1 <= figure.bbox.y1, text
            for other, beside in boxes[:place]:
                assert not box.overlaps(beside), f"{text!r} over {other!r}"


def check_axes(figure: Figure, shown: list[str]) -> None:
    """No axis has one label alone, nor two that are equal."""
    (axes,) = figure.axes
    for axis in (axes.xaxis, axes.yaxis):
        ticks = [label.get_text() for label in axis.get_ticklabels() if label.get_text() in shown]
        assert len(ticks) >= 2 or isinstance(axis.get_major_locator(), FixedLocator)
        assert len(set(ticks)) == len(ticks)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    ("low", "high"), [(0.31, 0.34), (2.1, 2.9), (0.4, 1.6), (1e-6, 3e-6), (997, 1003), (3, 300)]
)
def test_axes_of_any_range_can_be_read(
    drawn: list[Figure], low: float, high: float, log: bool
) -> None:
    with panel("t", "a") as (_, axes):
        axes.plot((low, high), (low, high))
        if log:
            axes.set_xscale("log")
            axes.set_yscale("log")
            log_axis(axes.xaxis)
            log_axis(axes.yaxis)
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
    check_axes(drawn[0], [text for text, _ in text_boxes(drawn[0])])


def test_every_picture_draws_something_of_every_sampler(drawn: list[Figure]) -> None:
    report = synthetic_report.report()
    page(report)
    for figure in drawn:
        (axes,) = figure.axes
        assert axes.lines or axes.collections or axes.patches
        for line in axes.lines:
            assert np.isfinite(np.asarray(line.get_ydata(), dtype=float)).any()


def test_a_sampler_keeps_its_colour(html: str) -> None:
    look = looks(synthetic_report.SAMPLERS)
    assert len({style.color for style in look.values()}) == len(look)
    many = looks(tuple(f"s{n}" for n in range(18)))
    assert len({(style.color, str(style.dash)) for style in many.values()}) == 18
    for style in look.values():  # chip, legends, dots, curves
        assert html.lower().count(style.color.lower()) > 10


# ---- odd content -------------------------------------------------------------------------------

LOOK = looks(("bm25",))


def test_values_that_are_not_finite_are_counted_beneath_the_picture() -> None:
    values = {"bm25": [0.5, 0.6, np.nan, np.inf]}
    picture = distribution_picture(content.Statistic("H", "h", "bits", values), LOOK)
    assert "bm25 2" in picture.remark
    assert "2 without a finite value" in picture.remark


@pytest.mark.parametrize("values", [[0.0, 0.0, 0.0], [1.0], [1e-12, 2e-12], [5e8, 5e8]])
def test_equal_and_extreme_values_are_drawn(values: list[float]) -> None:
    picture = distribution_picture(content.Statistic("H", "h", "bits", {"bm25": values}), LOOK)
    assert "nan" not in picture.svg


def test_rank_panels_leave_out_what_a_logarithm_cannot_show() -> None:
    rank = np.arange(1, 5)
    curves = [
        content.RankCurve("bm25", "teacher", rank, np.array([0.5, 0.2, 0.0, np.nan])),
        content.RankCurve("bm25", "student", rank, np.zeros(4)),
    ]
    (picture,) = rank_pictures(content.RankPanels(curves), LOOK)
    assert "teacher" in picture.alternative
    assert "student" not in picture.alternative


def test_recall_that_found_nothing_is_still_a_picture() -> None:
    recall = content.SourceRecall("bm25", np.array([1, 10]), np.zeros(2))
    assert "bm25 0.00" in recall_picture((recall,), LOOK).alternative


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_short_trainings_are_drawn(steps: int) -> None:
    step = np.arange(steps)
    picture = curve_picture("loss", "nats", {"bm25": (step, np.full(steps, 0.3))}, LOOK)
    assert "bm25 from 0.3 to 0.3" in picture.alternative


def test_steps_below_the_floor_are_counted() -> None:
    value = np.array([1.0, 0.5, -0.1, 0.4])
    picture = curve_picture("loss", "nats", {"bm25": (np.arange(4), value)}, LOOK)
    assert "1 step is not positive and is not drawn." in picture.remark


@pytest.mark.parametrize(("count", "window"), [(1, 1), (7, 3), (20, 7), (5, 99)])
def test_smooth_is_the_mean_of_what_the_window_holds(count: int, window: int) -> None:
    values, half = np.arange(count) ** 2.0, window // 2
    slow = [values[max(0, i - half) : i + half + 1].mean() for i in range(count)]
    np.testing.assert_allclose(smooth(values, window), slow)


# ---- refusals ----------------------------------------------------------------------------------


def test_an_interval_that_cannot_be_had_says_why() -> None:
    with pytest.raises(UsageError, match=r"no interval of 0\.1, and no reason"):
        content.Interval(0.1, None, None)
    without = content.Interval(0.31, None, None, "too few data sets: 2")
    system = content.System("student", "student", {"near": without}, sampler="bm25")
    told = page(
        content.Report(
            "r",
            domains=["near"],
            samplers=["bm25"],
            systems=[system],
            scope="over queries only (one seed)",
        )
    )
    assert "0.310<small>too few data sets: 2</small>" in told
    assert "those of students over queries only (one seed), all others over queries" in told


def test_an_interval_holds_its_value() -> None:
    with pytest.raises(UsageError, match=r"interval 0\.2 … 0\.3 does not hold 0\.1"):
        content.Interval(0.1, 0.2, 0.3)


def test_books_balance() -> None:
    with pytest.raises(UsageError, match="'mine' do not balance: 10 in, 8 out, 1 dropped"):
        content.Books("mine", 10, 8, {"no_positive": 1})


def test_samplers_are_listed() -> None:
    curve = content.Training("dense", [1], [1.0], [1.0])
    with pytest.raises(UsageError, match="samplers dense are drawn but not listed"):
        content.Report("x", samplers=("bm25",), training=(curve,))


def test_domains_are_listed() -> None:
    system = content.System("bm25", "first stage", {"test": content.Interval(0.1, 0.1, 0.1)})
    with pytest.raises(UsageError, match="system 'bm25' has scores for unknown domains test"):
        content.Report("x", systems=(system,))


# ---- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (number(0.12345), "0.123"),
        (number(-0.5, 1), "−0.5"),
        (number(-0.0001), "0.000"),
        (number(float("nan")), "–"),
        (signed(0.0312), "+0.031"),
        (signed(0.0001), "0.000"),
        (p_value(3e-9), "p < 0.001"),
        (p_value(0.0123), "p = 0.012"),
        (p_value(0.4142), "p = 0.414"),
        (seconds(0.4242), "0.42 s"),
        (seconds(12.34), "12.3 s"),
        (seconds(245.0), "4 min 05 s"),
        (seconds(9000.0), "2 h 30 min"),
        (seconds(None), "–"),
        (size(0), "0 B"),
        (size(4_810_000), "4.8 MB"),
        (size(412_000_000), "412 MB"),
        (size(1_912_000_000), "1.9 GB"),
        (short(0.05), "0.05"),
        (short(0.15), "0.15"),
        (short(200.0), "200"),
        (short(1e-6), "10⁻⁶"),
        (short(1e-4), "0.0001"),
        (short(0.01, powers=True), "10⁻²"),
        (short(2e7), "2·10⁷"),
        (with_own_ids('<g id="a"/><u href="#a" clip-path="url(#a)"/>', "p"),
         '<g id="p-a"/><u href="#p-a" clip-path="url(#p-a)"/>'),
    ],
)  # fmt: skip
def test_words(written: str, wanted: str) -> None:
    assert written == wanted


def test_a_sampler_has_one_colour_on_the_whole_page():
    """The first picture has the cheapest first, all others the samplers as the recipe has them."""
    samplers = ("random", "bm25", "dense")
    of_the_page = looks(samplers)
    shown = synthetic_report.picture(samplers)
    turned = replace(shown, spots=shown.spots[::-1][:2], color_levels=samplers, mark_levels=["kl"])
    told = {sample.name: sample.color for sample in cost_legend(turned).samples}
    assert told == {name: of_the_page[name].color for name in ("bm25", "dense")}


def test_nine_levels_of_a_study_have_nine_colours():
    """Their marks say what else a cell is: they do not tell a second round of colours apart."""
    samplers = tuple(f"level {number}" for number in range(9))
    shown = synthetic_report.picture(samplers)
    told = [s.color for s in cost_legend(shown).samples if s.name in samplers]
    assert len(told) == len(set(told)) == 9


def test_a_set_that_is_called_what_it_is_says_it_once():
    report = synthetic_report.report()
    assert report.domains[0] not in report.kinds.values()
    kind = report.kinds[report.domains[0]]
    told = page(report)
    assert f"{report.domains[0]}, {kind}" in told
    again = page(replace(report, kinds={domain: domain for domain in report.domains}))
    assert f"{report.domains[0]}, {report.domains[0]}" not in again


def test_ticks_of_one_axis_are_written_in_one_way():
    with panel("t", "a picture", height=3.0) as (_, axes):
        axes.set_yscale("log")
        axes.set_ylim(2e-5, 0.5)
        log_axis(axes.yaxis)
        write = axes.yaxis.get_major_formatter()
        assert [write(tick) for tick in (1e-4, 0.01, 0.1)] == ["10⁻⁴", "10⁻²", "10⁻¹"]
        axes.set_ylim(2e-4, 0.5)
        assert [write(tick) for tick in (0.001, 0.01, 0.1)] == ["0.001", "0.01", "0.1"]
