"""The page of a study: all is there without the script, nothing overlaps, axes can be read."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import synthetic_study
from attacked_values import attacked
from markupsafe import escape
from matplotlib.figure import Figure
from pictures import text_boxes

from rankmill.report.page.render import script_of
from rankmill.report.page.studied import cost_picture, crossing_picture, effect_bars, line_looks
from rankmill.report.page.words import significant
from rankmill.report.study import files as study_files
from rankmill.report.study.page import html
from rankmill.report.study.tables import Shown, Table
from rankmill.report.study.values import StudyReport


class Reader(HTMLParser):
    """Collects what a page holds: ids, links, tables as rows of texts, and what it would load."""

    def __init__(self, page: str):
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.tables: list[list[int]] = []
        self.scripts = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [str(given["id"])] if "id" in given else []
        if tag == "a":
            self.links.append(str(given["href"]))
        elif "src" in given or (tag == "link"):
            self.loads.append(tag)
        self.scripts += tag == "script"
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append(0)
        elif tag in ("td", "th"):
            self.tables[-1][-1] += 1


@pytest.fixture(scope="module")
def page() -> str:
    return html(synthetic_study.report())


def test_the_page_is_one_file_and_says_everything_without_its_script(page):
    read = Reader(page)
    assert read.scripts == 1
    assert read.loads == []
    assert not re.findall(r"https?://(?!www\.w3\.org)", page)
    without = page.replace(f"<script>{script_of()}</script>", "")
    assert "<script>" not in without
    report = synthetic_study.report()
    for table in report.tables:
        assert len(read.tables) == len(report.tables)
        for row in table.rows:
            assert str(escape(str(row[0]))) in without
    for text in (*report.answer, *report.caveats, *report.notes, report.title):
        assert str(escape(text)) in without
    assert "[study.prices]" in without
    assert "&lt;of a core&gt;" in without


def test_no_text_of_a_study_becomes_mark_up() -> None:
    whole = html(attacked(synthetic_study.report()))
    assert whole.count("<script") == whole.count(f"<script>{script_of()}</script>") == 1
    assert "<img" not in whole
    assert whole.count("alert(1)") > 100


def test_the_interval_and_p_stand_below_a_value() -> None:
    numbers = {"low": 0.01, "high": 0.042}
    told = Shown("+0.025 (+0.010 … +0.042), p = 0.021", 0.025, **numbers, p=0.021)
    columns, plain = ["cell", "gain"], Shown("0.5 (one seed)", 0.5)
    table = Table("t", columns, [["a", told], ["b", plain], ["c", "–"], ["d", "1 (of 2)"]])
    whole = html(StudyReport("s", [], [table], []))
    assert (
        '>+0.025<small>+0.010 … +0.042</small><small class="gain">p = 0.021</small></td>' in whole
    )
    assert ">0.5<small>one seed</small></td>" in whole
    assert ">–</td>" in whole
    assert ">1<small>of 2</small></td>" in whole


def test_rows_have_as_many_cells_as_headings(page):
    for counts in Reader(page).tables:
        assert len(set(counts)) == 1


def test_ids_are_unique_and_links_lead_somewhere(page):
    read = Reader(page)
    assert len(set(read.ids)) == len(read.ids)
    inside = [link for link in read.links if not link.startswith("data:text/csv;")]
    assert inside
    assert len(read.links) - len(inside) == len(read.tables)  # every table can be downloaded
    assert {link.removeprefix("#") for link in inside} <= set(read.ids)


def test_the_answer_comes_first(page):
    first = page.index("<ol>")
    assert first < page.index("<nav") < page.index("<section")
    assert page.count("<li>", first, page.index("</ol>")) == 3
    assert first < page.index('<svg role="img"') < page.index("<nav")


def test_columns_are_sorted_by_numbers_and_not_by_their_texts(page):
    values = [float(v) for v in re.findall(r'data-v="([^"]+)"', page)]
    assert 0.012 in values
    assert len(values) >= 24


def test_the_same_report_gives_the_same_bytes(page):
    assert html(synthetic_study.report()) == page


def test_pictures_follow_the_page_into_the_dark(page):
    pictures = re.findall(r"<svg role=\"img\".*?</svg>", page, flags=re.S)
    assert len(pictures) == 6
    for svg in pictures:
        assert "#1f2430" not in svg
        assert "var(--soft)" in svg  # of labels and axes


@pytest.mark.parametrize("widely", [False, True])
def test_no_text_overlaps_and_axes_can_be_read(drawn, widely):
    crossings = [synthetic_study.crossing("a")]
    cost_picture(synthetic_study.cost_picture("test", widely=widely))
    crossing_picture(crossings[0], line_looks(crossings))
    effect_bars(synthetic_study.effects("a"))
    assert len(drawn) == 3
    for figure in drawn:
        check(figure)


@pytest.mark.parametrize("scale", [2e-7, 1e-4, 0.3, 1.0, 40.0])
@pytest.mark.parametrize("spread", [0.001, 0.2, 1.0])
def test_costs_of_any_size_and_spread_can_be_read(drawn, scale, spread):
    whole = synthetic_study.cost_picture("test")
    middle = whole.spots[3].cost
    spots = [
        replace(one, cost=scale * (middle + spread * (one.cost - middle)) / 100)
        for one in whole.spots
    ]
    cost_picture(replace(whole, spots=spots))
    check(drawn[0])


def check(figure: Figure) -> None:
    boxes = text_boxes(figure)
    for place, (text, box) in enumerate(boxes):
        assert figure.bbox.x0 - 1 <= box.x0 <= box.x1 <= figure.bbox.x1 + 1, text
        assert figure.bbox.y0 - 1 <= box.y0 <= box.y1 <= figure.bbox.y1 + 1, text
        for other, beside in boxes[:place]:
            assert not box.overlaps(beside), f"{text!r} over {other!r}"
    (axes,) = figure.axes
    shown = [text for text, _ in boxes]
    for axis in (axes.xaxis, axes.yaxis):
        ticks = [label.get_text() for label in axis.get_ticklabels() if label.get_text() in shown]
        assert len(ticks) >= 2
        assert len(set(ticks)) == len(ticks)
    assert axes.get_xlabel()


def test_one_cell_alone_is_a_picture():
    whole = synthetic_study.cost_picture("test")
    one = replace(whole, spots=whole.spots[:1])
    assert "<svg" in cost_picture(one).svg


def test_markdown_and_latex_hold_the_same_tables():
    report = synthetic_study.report()
    twin, tex = study_files.markdown(report), study_files.latex(report)
    for sentence in (*report.answer, *report.caveats):
        assert sentence in twin
    for table in report.tables:
        assert f"## {table.title}" in twin
    assert tex.count(r"\begin{tabular}") == len(report.tables)
    assert r"a \& b" in tex


@pytest.mark.parametrize(
    ("value", "plain", "sign"),
    [
        (0.0, "0.00", "0.00"),
        (0.01234, "0.0123", "+0.0123"),
        (-0.5, "−0.500", "−0.500"),
        (16.678, "16.7", "+16.7"),
        (1234.5, "1,234", "+1,234"),
        (3.21e-7, "3.21e−07", "+3.21e−07"),
        (float("nan"), "–", "–"),
    ],
)
def test_rates_have_three_digits_whatever_their_size(value, plain, sign):
    assert significant(value) == plain
    assert significant(value, sign=True) == sign
