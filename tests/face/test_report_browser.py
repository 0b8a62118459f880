"""The pages in a browser: sorted, unfolded, downloaded, narrow, dark, without script, on paper."""

from __future__ import annotations

import base64
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import synthetic_report
import synthetic_study

from rankmill.report import content
from rankmill.report.page.run import page
from rankmill.report.study.page import html

webdriver = pytest.importorskip(
    "selenium.webdriver", reason="a browser drives the pages: pip install 'rankmill[test]'"
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PAGES = ("run", "study")
PHONE, DESK = 400, 1280


def of_the_demo() -> content.Report:
    """As much as the demo shows: six statistics, every table on both sets."""
    report = synthetic_report.report()
    other = report.domains[1]
    return replace(
        report,
        statistics=[*report.statistics, *report.statistics],
        pairs=[*report.pairs, *(replace(one, domain=other) for one in report.pairs)],
        gains=[*report.gains, *(replace(one, domain=other) for one in report.gains)],
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both pages on disk."""
    folder = tmp_path_factory.mktemp("pages")
    made = {"run": page(of_the_demo()), "study": html(synthetic_study.report())}
    for name, text in made.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    """One browser without a window for all tests; skips where there is none."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    by = shutil.which("chromedriver")
    if browser is None or by is None:
        pytest.skip("no Chromium with its chromedriver: apt-get install chromium-driver, say")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(by))
    yield made
    made.quit()


def show(driver: Any, place: Path, width: int = DESK, scheme: str = "light") -> None:
    """Open a page at a width, light or dark, and forget what the console said before."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get_log("browser")
    driver.get(place.as_uri())


def all_of(driver: Any, css: str) -> list[Any]:
    elements: list[Any] = driver.find_elements("css selector", css)
    return elements


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_the_screen_and_the_console_is_silent(
    driver: Any, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    show(driver, pages[name], width, scheme)
    wide = "return document.documentElement.scrollWidth"
    assert driver.execute_script(wide) == width
    driver.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert driver.execute_script(wide) == width
    assert driver.get_log("browser") == []
    paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 31)"}[scheme]


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_loaded_and_a_strange_script_does_not_run(
    driver: Any, pages: dict[str, Path], name: str
) -> None:
    show(driver, pages[name])
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0
    driver.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.ran = true';"
        "document.body.append(s);"
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = true\">')"
    )
    time.sleep(0.2)
    assert driver.execute_script("return window.ran") is None
    assert len(driver.get_log("browser")) >= 2  # which says that it was refused


def test_a_click_on_a_heading_sorts_and_another_turns_the_order(
    driver: Any, pages: dict[str, Path]
) -> None:
    show(driver, pages["run"])
    table = next(t for t in all_of(driver, "#gains table"))
    button = next(b for b in table.find_elements("css selector", "th button") if b.text == "total")
    place = [b.text for b in table.find_elements("css selector", "th button")].index("total")
    column = f"tbody tr > :nth-child({place + 1})"
    orders = []
    for _ in range(2):
        button.click()
        cells = table.find_elements("css selector", column)
        orders.append([float(cell.get_attribute("data-v")) for cell in cells])
    assert orders[0] == sorted(orders[0])
    assert orders[1] == sorted(orders[0], reverse=True)
    assert len(set(orders[0])) == 4
    heads = table.find_elements("css selector", "th[aria-sort]")
    assert [head.get_attribute("aria-sort") for head in heads] == ["descending"]


def test_what_is_folded_opens_by_a_click_and_all_by_a_button(
    driver: Any, pages: dict[str, Path]
) -> None:
    show(driver, pages["run"], PHONE)
    hidden = all_of(driver, "#cost table")[0]
    assert not hidden.is_displayed()
    all_of(driver, "#cost summary")[0].click()
    assert hidden.is_displayed()
    (button,) = all_of(driver, "nav button")
    button.click()
    assert all(table.is_displayed() for table in all_of(driver, "table"))
    assert button.text == "Fold all"
    button.click()
    assert not hidden.is_displayed()


def test_a_wide_table_says_that_it_scrolls_on_a_phone(driver: Any, pages: dict[str, Path]) -> None:
    cue = "return getComputedStyle(document.querySelector('#samplers .table'), '::after').content"
    show(driver, pages["run"], PHONE)
    assert "Scroll sideways" in driver.execute_script(cue)
    scrolled = driver.execute_script(
        "const w = document.querySelector('#samplers .wide'); w.scrollLeft = 1e4;"
        "const head = w.querySelector('tbody th').getBoundingClientRect();"
        "return [w.scrollLeft, head.left];"
    )
    assert scrolled[0] > 0
    assert scrolled[1] >= 0  # the first column stays
    show(driver, pages["run"], DESK)
    assert driver.execute_script(cue) == "none"


def test_a_table_is_downloaded_as_csv(driver: Any, pages: dict[str, Path], tmp_path: Path) -> None:
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    show(driver, pages["run"])
    all_of(driver, "#samplers .csv a")[0].click()
    place = tmp_path / "difference-between-two-students-python-docs.csv"
    for _ in range(100):
        if place.exists():
            break
        time.sleep(0.1)
    text = place.read_text(encoding="utf-8")
    assert text.startswith("trained on,difference,")
    assert len(text.splitlines()) == 7


@pytest.mark.parametrize("name", PAGES)
def test_without_script_everything_can_be_read(
    driver: Any, pages: dict[str, Path], name: str
) -> None:
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(driver, pages[name])
        assert all_of(driver, "thead button, nav button") == []
        assert all(cell.is_displayed() for cell in all_of(driver, "section > .table td")[:40])
        for fold in all_of(driver, "section > details > summary"):
            fold.click()
        assert all(table.is_displayed() for table in all_of(driver, "table"))
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("name", PAGES)
def test_it_prints_on_few_sheets_dark_or_not(
    driver: Any, pages: dict[str, Path], name: str
) -> None:
    show(driver, pages[name], DESK, "dark")
    made = driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    sheets = re.findall(rb"/Type\s*/Page\b(?!s)", base64.b64decode(made["data"]))
    assert 1 <= len(sheets) <= 8
