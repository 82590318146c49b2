"""The report in headless Chromium: it draws everything, asks for nothing and fits a phone."""

import runpy
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("altair", reason="the report's packages are not installed")

from behemoth.report.charts import CHARTS
from behemoth.report.leaderboard import render_leaderboard
from behemoth.report.page import document, figure_part

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


def opened(browser, file, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append((message.type, message.text)))
    page.on("pageerror", lambda error: page.said.append(("error", str(error))))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_function(
        "document.querySelectorAll('.chart').length"
        " === document.querySelectorAll('.chart[data-drawn=true]').length"
    )
    return page


@pytest.fixture(params=[1280, 390])
def page(request, browser, report):
    page = opened(browser, report, request.param)
    yield page
    page.close()


@pytest.fixture(scope="module", params=[1280, 390])
def seen_page(request, browser, report):
    """The page for tests that only look at it: to load and draw it takes seconds."""
    page = opened(browser, report, request.param)
    yield page
    page.close()


@pytest.fixture(scope="module")
def leaderboard(tmp_path_factory):
    """A page of methods that edit at a place, with as many numbers as a board has."""
    made = runpy.run_path(str(Path(__file__).parent / "test_leaderboard.py"))
    shown = ("efficacy", "paraphrase", "neighbourhood", "damage_unrelated", "exact_efficacy")
    [board] = made["boards"](made["drawn"](made["VALUES"], shown))
    place = "the prompt's last token, layer 2 of 3\npublished: the subject's last token, layer 17"
    page = replace(made["page_of"](board), places=dict.fromkeys(made["VALUES"], place))
    file = tmp_path_factory.mktemp("board") / "report.html"
    file.write_text(render_leaderboard(page), encoding="utf-8")
    return file


@pytest.fixture(params=[1280, 390])
def board_page(request, browser, leaderboard):
    page = opened(browser, leaderboard, request.param)
    yield page
    page.close()


def test_it_draws_everything_and_asks_for_nothing(seen_page, report):
    assert seen_page.said == []
    outside = [url for url in seen_page.asked if not url.startswith(("data:", "blob:"))]
    assert outside == [report.as_uri()]
    charts = seen_page.locator(".chart").count()
    assert charts >= 20
    assert seen_page.locator(".chart svg.marks").count() == charts
    assert seen_page.locator("figure").count() == len(CHARTS)
    empty = seen_page.evaluate(
        "[...document.querySelectorAll('.chart svg.marks')]"
        ".filter(svg => !svg.querySelector('.mark-symbol path, .mark-rect path')).length"
    )
    assert empty == 0


def test_nothing_scrolls_sideways(seen_page):
    width = seen_page.viewport_size["width"]
    assert seen_page.evaluate("document.documentElement.scrollWidth") <= width
    wide = seen_page.evaluate(
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


def test_the_columns_that_matter_are_in_sight(board_page):
    """Where methods edit stood below their names; on a phone this column was all that fitted."""
    whole = board_page.locator(".table.whole").first
    heads = [head.inner_text() for head in whole.locator("th").all()]
    assert heads[:3] == ["method", "place", "score"]
    frame = whole.bounding_box()
    for cell in whole.locator("tr > :nth-child(3)").all():
        box = cell.bounding_box()
        assert box["x"] + box["width"] <= frame["x"] + frame["width"]
    lines = whole.locator("tbody tr:first-child td:first-child").bounding_box()["height"]
    assert lines < 80  # the name is not broken into letters
    assert not board_page.get_by_text("layer 2 of 3").first.is_visible()
    board_page.get_by_text("Where methods edit").click()
    assert board_page.get_by_text("layer 2 of 3").first.is_visible()


def test_a_table_that_goes_on_fades_at_that_edge(page):
    tables = "[...document.querySelectorAll('.table')]"
    goes_on = "table => table.scrollWidth > table.clientWidth + 1"
    assert page.evaluate(f"{tables}.some({goes_on})")
    said = "table => table.classList.contains('right')"
    page.wait_for_function(f"{tables}.every(t => ({goes_on})(t) === ({said})(t))")
    page.evaluate(f"{tables}.forEach(table => table.scrollLeft = table.scrollWidth)")
    page.wait_for_function(f"!{tables}.some({said})")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_figure_of_many_panels_is_no_page_of_its_own(browser, tmp_path, width):
    """That of 25 methods was 4,400 pixels long in a window, and 11,800 on a phone."""
    figure = runpy.run_path(str(Path(__file__).parent / "test_page.py"))["figure_of"](25)
    figure = replace(figure, legend=tuple((f"method number {n}", "#000") for n in range(60)))
    file = tmp_path / "report.html"
    file.write_text(document("x", [figure_part(figure, 1)], [figure]), encoding="utf-8")
    page = opened(browser, file, width)
    height = "document.querySelector('figure').getBoundingClientRect().height"
    assert page.evaluate(height) < 1600
    page.wait_for_selector(".panels.below")
    panels = page.locator(".panels")
    panels.focus()
    page.keyboard.press("End")
    page.wait_for_function("!document.querySelector('.panels').classList.contains('below')")
    page.emulate_media(media="print")
    assert page.evaluate(height) > 25 / 3 * 280
    page.close()


def test_the_contents_lead_to_every_section_and_figure(seen_page):
    links = "[...document.querySelectorAll('nav a')]"
    targets = seen_page.evaluate(f"{links}.map(link => link.hash.slice(1))")
    there = seen_page.evaluate("[...document.querySelectorAll('h2, figure')].map(each => each.id)")
    assert sorted(targets) == sorted(there) and len(set(there)) == len(there)
    first = "document.querySelector('nav').getBoundingClientRect().top"
    assert seen_page.evaluate(f"{first} < document.querySelector('h2').getBoundingClientRect().top")


def test_a_link_to_a_method_opens_its_numbers(board_page):
    section = board_page.locator("section").nth(1)
    assert not section.locator("table").first.is_visible()
    board_page.locator(".table.whole tbody tr").nth(1).locator("a").click()
    section.locator("table").first.wait_for(state="visible")
    assert not board_page.locator("section").nth(2).locator("table").first.is_visible()


def test_titles_of_charts_are_beside_the_menu_and_charts_are_level(page):
    """A long title lay under the menu, and moved its chart below those beside it."""
    page.evaluate(
        "document.querySelectorAll('#dose h4')[0].textContent ="
        " 'LoRA of rank sixteen, attention and MLP together, learning_rate 0.00025, every fact'"
    )
    over = page.evaluate(
        """[...document.querySelectorAll('#dose .panel')].filter(panel => {
          const range = document.createRange();
          range.selectNodeContents(panel.querySelector('h4'));
          const menu = panel.querySelector('summary').getBoundingClientRect();
          return [...range.getClientRects()].some(
            line => line.right > menu.left && line.bottom > menu.top && line.top < menu.bottom);
        }).length"""
    )
    assert over == 0
    tops = page.evaluate(
        "[...document.querySelectorAll('#dose svg.marks')]"
        ".map(each => each.getBoundingClientRect().top)"
    )
    if page.viewport_size["width"] > 900:
        assert max(tops) - min(tops) <= SLACK
