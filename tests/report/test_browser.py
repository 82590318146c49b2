"""The report in headless Chromium: it draws everything, asks for nothing and fits a phone."""

import shutil

import pytest

from behemoth.report.charts import CHARTS

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install playwright"
)

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on the PATH: apt-get install chromium"
)
# Milliseconds, for machines that do other work.
PATIENCE = 120_000
# Text at the very edge of a box may stick out by a rounding.
SLACK = 1


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE
        )
        yield browser
        browser.close()


@pytest.fixture(params=[1280, 390])
def page(request, browser, report):
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append((message.type, message.text)))
    page.on("pageerror", lambda error: page.said.append(("error", str(error))))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_function(
        "document.querySelectorAll('.chart').length"
        " === document.querySelectorAll('.chart[data-drawn=true]').length"
    )
    yield page
    page.close()


def test_it_draws_everything_and_asks_for_nothing(page, report):
    assert page.said == []
    outside = [url for url in page.asked if not url.startswith(("data:", "blob:"))]
    assert outside == [report.as_uri()]
    charts = page.locator(".chart").count()
    assert charts >= 20
    assert page.locator(".chart svg.marks").count() == charts
    assert page.locator("figure").count() == len(CHARTS)
    empty = page.evaluate(
        "[...document.querySelectorAll('.chart svg.marks')]"
        ".filter(svg => !svg.querySelector('.mark-symbol path, .mark-rect path')).length"
    )
    assert empty == 0


def test_nothing_scrolls_sideways(page):
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        f"[...document.querySelectorAll('.chart svg, figure, h1, p, .table')]"
        f".filter(each => each.getBoundingClientRect().right > {width} + {SLACK}).length"
    )
    assert wide == 0


def test_one_single_edit_is_shown_at_a_time(page):
    shown = page.locator(".case:visible")
    assert shown.count() == 1
    first = shown.locator("h3").inner_text()
    page.locator("select[name=method]").select_option(index=1)
    page.locator("select[name=fact]").select_option(index=2)
    assert shown.count() == 1 and shown.locator("h3").inner_text() != first
    assert shown.locator("h3").inner_text().startswith("lora, rank 16, mlp: subject ")
    width = page.viewport_size["width"]
    wide = f"each => each.getBoundingClientRect().right > {width} + {SLACK}"
    every = "[...document.querySelectorAll('.case:not([hidden]) *, .choose *')]"
    assert page.evaluate(f"{every}.filter({wide}).length") == 0
    page.emulate_media(media="print")
    assert shown.count() == 1 and not page.locator("form.choose").is_visible()


def test_the_legend_picks_an_entry(page):
    entry = page.locator("#dose .legend button").first
    faint = "document.querySelectorAll('#dose svg [opacity=\"0.12\"]').length"
    assert page.evaluate(faint) == 0
    entry.click()
    page.wait_for_function(f"{faint} > 0")
    assert entry.get_attribute("aria-pressed") == "true"
    entry.click()
    page.wait_for_function(f"{faint} === 0")


def test_on_paper_charts_stay_in_their_panels(page):
    """Charts have the width of the window; on a narrower page they covered each other."""
    page.emulate_media(media="print")
    page.evaluate("document.body.style.width = '600px'")  # no resize, as in print
    wide = page.evaluate(
        "[...document.querySelectorAll('.panel')].filter(panel =>"
        " panel.querySelector('svg.marks').getBoundingClientRect().right"
        f" > panel.getBoundingClientRect().right + {SLACK}).length"
    )
    assert wide == 0
    colour = "getComputedStyle(document.querySelector('.legend i')).printColorAdjust"
    assert page.evaluate(colour) == "exact"
