"""Parts of a page: figures of many panels are bounded."""

import re

import polars as pl
import pytest

pytest.importorskip("altair", reason="the report's packages are not installed")

import altair as alt

from behemoth.report.page import document, figure_part
from behemoth.report.style import Figure, Panel, rows


def figure_of(count, height=280):
    chart = alt.Chart(rows(pl.DataFrame({"x": [1.0, 2.0]}))).mark_point().encode(x="x:Q", y="x:Q")
    panels = tuple(Panel(f"panel {place}", chart, height) for place in range(count))
    return Figure("grid", "A grid & more", "caption", panels, pl.DataFrame())


@pytest.mark.parametrize(("count", "height"), [(25, 280), (5, 1396), (1, 2700)])
def test_a_figure_of_many_or_long_panels_scrolls_and_can_be_reached_by_key(count, height):
    html = figure_part(figure_of(count, height), 1)
    [attributes] = re.findall(r'<div class="panels( one)? many"([^>]*)>', html)
    assert 'tabindex="0" role="region" aria-label="A grid &amp; more"' in attributes[1]


@pytest.mark.parametrize("count", [1, 4, 6])
def test_a_figure_of_few_panels_is_shown_whole(count):
    html = figure_part(figure_of(count), 1)
    assert "many" not in html and "tabindex" not in html


def test_what_scrolls_on_a_screen_is_whole_on_paper():
    html = document("x", [figure_part(figure_of(25), 1)], [])
    screen, paper = html.split("@media print {")
    assert re.search(r"\.panels\.many \{ max-height: \d+px; overflow-y: auto;", screen)
    assert re.search(r"\.panels\.many.*\{ max-height: none; overflow: visible;", paper)
