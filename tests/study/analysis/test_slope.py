import runpy
from pathlib import Path

import polars as pl
import pytest

from behemoth.study.analysis.slope import (
    hazard_slope,
    linear_slope,
    log_dose_slope,
    outcome_slope,
    within_fact_slope,
)

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]


def edits_of(**knobs):
    return draw(probes=0, **knobs).edits.collect()


def test_the_slope_of_the_dose_is_recovered():
    found = hazard_slope(edits_of(worlds=5, edits=200, slope=-0.15))
    assert found.value == pytest.approx(-0.15, abs=0.03)
    assert found.low < -0.15 < found.high
    assert found.clear and found.p < 0.001
    assert (found.clusters, found.rows) == (5, 5000)


def test_grouping_the_steps_does_not_change_the_slope():
    # A tenth of the rate is ten times the steps: other intervals, the same slope.
    quick = hazard_slope(edits_of(edits=300, base=0.3, limit=20))
    slow = hazard_slope(edits_of(edits=300, base=0.003, limit=2000))
    assert quick.value == pytest.approx(slow.value, abs=0.03)


def test_censoring_does_not_hide_the_slope():
    edits = edits_of(worlds=4, edits=300, limit=8)
    assert edits["reached"].mean() < 0.5
    assert hazard_slope(edits).value == pytest.approx(-0.15, abs=0.04)


def test_clusters_that_differ_as_a_whole_do_not_move_the_slope():
    edits = edits_of(worlds=4, edits=200, scatter=2.0, limit=500)
    assert hazard_slope(edits).value == pytest.approx(-0.15, abs=0.04)


def test_false_alarms_are_as_rare_as_the_level_says():
    # At a level of 5 %: 5.0 % of 300 runs of two clusters, 4.3 % of 400 of three, 5.2 % of 400 of
    # five; the intervals held a true slope in 95 %, 95.5 % and 95 % of them.
    alarms = sum(hazard_slope(edits_of(slope=0, seed=seed, edits=30)).clear for seed in range(40))
    assert alarms <= 6  # P(more than 6 of 40 at 5 %) = 0.004


@pytest.mark.slow
@pytest.mark.parametrize("worlds", [2, 5])
def test_false_alarms_over_many_runs(worlds):
    runs = 300
    alarms = sum(
        hazard_slope(edits_of(slope=0, seed=seed, edits=30, worlds=worlds)).clear
        for seed in range(runs)
    )
    assert alarms / runs < 0.09


def test_one_cluster_has_no_interval():
    found = hazard_slope(edits_of(worlds=1, edits=200))
    assert found.value == pytest.approx(-0.15, abs=0.05)
    assert (found.low, found.high, found.p, found.clusters) == (None, None, None, 1)
    assert found.note == "one cluster: no interval"
    assert not found.clear


@pytest.mark.parametrize("fit", [hazard_slope, log_dose_slope])
def test_one_level_has_no_slope(fit):
    found = fit(edits_of(levels=(4,)))
    assert found.value is None
    assert found.note is not None


def test_nothing_reached_has_no_slope():
    found = hazard_slope(edits_of(base=1e-9))
    assert found.value is None
    assert found.note == "cannot be estimated"


def test_no_edits_have_no_slope():
    empty = edits_of().clear()
    assert hazard_slope(empty).value is None
    assert log_dose_slope(empty).value is None
    assert within_fact_slope(empty).value is None
    assert outcome_slope(empty, "success").value is None
    assert linear_slope(empty, "norm").value is None


def test_facts_that_were_never_written_are_left_out():
    edits = edits_of(worlds=3)
    more = edits.with_columns(pl.lit(0, pl.UInt64).alias("exposures"))
    assert hazard_slope(pl.concat([edits, more])).value == hazard_slope(edits).value


def test_a_covariate_takes_its_part():
    # All of the effect goes through the margin, and recency says nothing.
    edits = edits_of(worlds=4, edits=200, slope=0, through_margin=-0.2)
    assert hazard_slope(edits).value == pytest.approx(-0.19, abs=0.04)
    rounded = edits.with_columns(pl.col("margin").round(1), pl.col("recency").round(1))
    assert abs(hazard_slope(rounded, ["margin"]).value) < 0.04
    assert hazard_slope(rounded, ["recency"]).value < -0.1


def test_the_elasticity_of_ed50():
    # The rate falls by exp(-0.3) a doubling, so the dose grows by 2 ^ (0.3 / ln 2).
    edits = edits_of(worlds=4, edits=300, slope=-0.3, base=0.05, limit=5000)
    found = log_dose_slope(edits)
    assert found.value == pytest.approx(0.3 / 0.693, abs=0.06)
    assert found.clear


def test_twins_of_a_fact_are_compared_with_each_other():
    edits = edits_of(worlds=3, edits=40, rotations=3)
    found = within_fact_slope(edits)
    assert found.value == pytest.approx(-0.15, abs=0.04)
    assert found.clear
    # A fact that was reached in none of its worlds says nothing.
    assert 0.98 * edits.height < found.rows <= edits.height
    assert found.note.endswith(" facts")
    assert within_fact_slope(edits_of()).note == "no fact stands at several exposures"


def test_facts_of_their_own_difficulty_do_not_move_their_twins():
    # Facts that are rare here are also ten times as stubborn, in both worlds.
    edits = edits_of(worlds=3, edits=100, rotations=2, limit=2000, slope=-0.15)
    stubborn = pl.when(pl.col("fact") % 5 == 0).then(10).otherwise(1)
    edits = edits.with_columns((pl.col("dose") * stubborn).cast(pl.UInt32))
    assert within_fact_slope(edits).value == pytest.approx(-0.15, abs=0.05)
    assert abs(hazard_slope(edits).value + 0.15) > 0.03


def test_the_odds_of_success():
    edits = edits_of(worlds=4, edits=400, base=0.02, slope=-0.2)
    found = outcome_slope(edits, "success")
    assert found.value < 0 and found.clear
    same = edits.with_columns(pl.lit(1.0).alias("success"))
    assert outcome_slope(same, "success").value is None
    assert outcome_slope(same, "success").note is not None


def test_a_straight_line():
    found = linear_slope(edits_of(worlds=4, edits=200), "norm")
    assert found.value == pytest.approx(0.05, abs=0.003)
    assert found.low < 0.05 < found.high


def test_what_is_separated_has_no_slope():
    edits = edits_of(worlds=3)
    apart = edits.with_columns((pl.col("exposures") > 4).cast(pl.Float64).alias("success"))
    assert outcome_slope(apart, "success").value is None
