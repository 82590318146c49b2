"""Captions of figures whose points have no bars."""

import pytest

pytest.importorskip("altair", reason="the report's packages are not installed")

from behemoth.report.charts.capacity import capacity
from behemoth.report.charts.damage import damage
from behemoth.report.charts.dose import dose
from behemoth.report.charts.flip import flip
from behemoth.report.charts.geometry import geometry
from behemoth.report.charts.mediation import mediation
from behemoth.report.charts.recall import recall
from behemoth.report.charts.retention import retention
from behemoth.report.charts.tradeoff import tradeoff
from behemoth.report.style import Figure
from behemoth.study.analysis.summary import summarise


def test_a_figure_of_one_cluster_speaks_of_no_bars(draw):
    """Every figure whose caption says that bars are intervals has them."""
    alone, several = (
        summarise(
            draw(labels=("one", "two"), worlds=worlds, edits=10, levels=(1, 4, 16), probes=1,
                 durability=True),
            resamples=2,
        )
        for worlds in (1, 2)
    )  # fmt: skip
    drawn = (capacity, damage, dose, flip, geometry, mediation, recall, retention, tradeoff)
    for draws in drawn:
        of_one, of_more = draws(alone), draws(several)
        if isinstance(of_more, Figure) and isinstance(of_one, Figure):
            assert "with one cluster there are no intervals" in of_one.caption, of_one.name
            assert "ars are 95%" not in of_one.caption
            assert "ars are 95%" in of_more.caption
    assert isinstance(flip(alone), Figure) and isinstance(recall(alone), Figure)
