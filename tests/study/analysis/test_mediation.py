import runpy
from pathlib import Path

import pytest

from behemoth.study.analysis.mediation import margin_bins, mediation

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]


def parts_of(**knobs):
    # Rates of log-normal doses: what lowers them raises the log dose by as much.
    known = {"probes": 0, "worlds": 4, "edits": 250, "noise": "lognormal", "limit": 400}
    return mediation(draw(**{**known, **knobs}).edits.collect())


def test_half_of_the_effect_goes_through_the_margin():
    parts = parts_of(slope=-0.1, through_margin=-0.1)
    assert parts.direct.value == pytest.approx(0.1, abs=0.02)
    assert parts.total.value == pytest.approx(0.2, abs=0.02)
    assert parts.margin.value == pytest.approx(1.0, abs=0.03)
    assert parts.share.low < 0.5 < parts.share.high
    assert parts.share.value == pytest.approx(0.5, abs=0.12)
    assert parts.total.value == pytest.approx(parts.direct.value + parts.indirect.value)


def test_all_of_it_does():
    parts = parts_of(slope=0, through_margin=-0.2)
    assert parts.share.value == pytest.approx(1.0, abs=0.15)
    assert not parts.direct.clear
    # Bins are not points: a little of the effect is left within them.
    assert abs(parts.within.value) < abs(parts.total.value) / 3


def test_none_of_it_does():
    parts = parts_of(slope=-0.2, through_margin=0)
    assert parts.share.low < 0 < parts.share.high
    assert abs(parts.share.value) < 0.15
    assert parts.within.value == pytest.approx(0.2, abs=0.03)
    assert parts.total.rows == 5000


def test_no_share_is_given_of_no_effect():
    parts = parts_of(slope=0, through_margin=0, seed=3)
    assert not parts.total.clear
    assert parts.share.value is None
    assert parts.share.note == "no clear total effect"


def test_too_little_is_not_taken_apart():
    assert mediation(draw(probes=0, worlds=1, edits=3).edits.collect()) is None
    assert mediation(draw(probes=0, levels=(4,)).edits.collect()) is None


def test_bins_hold_about_equally_many():
    binned = margin_bins(draw(probes=0).edits.collect())
    counts = binned.group_by("bin").len()["len"]
    assert counts.len() == 5
    assert counts.max() - counts.min() <= 2
    assert margin_bins(binned.clear()).height == 0
