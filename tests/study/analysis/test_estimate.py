import math
import runpy
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from behemoth import ArgumentError
from behemoth.study.analysis.estimate import cluster_of, jackknife, means
from behemoth.study.analysis.retention import half_lives, retention_curves

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]


def test_the_jackknife_of_a_mean_is_the_textbooks_t_interval():
    random = np.random.default_rng(0)
    values = random.normal(1, 1, 6)
    found = jackknife(lambda rows: [values[rows].mean()], np.arange(6))[0]
    known = stats.ttest_1samp(values, 0)
    interval = known.confidence_interval(0.95)
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(known.pvalue)


def test_means_agree_with_the_jackknife():
    random = np.random.default_rng(1)
    frame = pl.DataFrame(
        {"world": ["a", "a", "b", "b", "c"], "seed": [0, 1, 0, 0, 0], "by": 1,
         "value": random.random(5)}
    )  # fmt: skip
    row = means(frame, "value", ["by"]).row(0, named=True)
    value = frame["value"].to_numpy()
    found = jackknife(lambda rows: [value[rows].mean()], cluster_of(frame))[0]
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(
        (found.value, found.low, found.high)
    )
    assert (row["rows"], row["clusters"]) == (5, 4)


def test_means_of_units_and_bounds():
    frame = pl.DataFrame(
        {"world": ["a", "a", "a", "b"], "seed": 0, "edit": [0, 0, 1, 0], "by": 1,
         "value": [1.0, 0.0, 1.0, None]}
    )  # fmt: skip
    row = means(frame, "value", ["by"], units=["edit"], within=(0, 1)).row(0, named=True)
    assert (row["mean"], row["rows"], row["clusters"]) == (0.75, 2, 1)
    assert row["low"] is None and row["high"] is None
    more = frame.with_columns(pl.col("value").fill_null(0.0))
    row = means(more, "value", ["by"], within=(0, 1)).row(0, named=True)
    assert (row["low"], row["high"]) == (0, 1)
    assert means(frame.clear(), "value", ["by"]).height == 0


def test_one_cluster_that_decides_leaves_no_interval():
    found = jackknife(lambda rows: [1.0 if rows.all() else math.nan], np.arange(3))[0]
    assert found.value == 1
    assert found.low is None
    assert "without one of the clusters" in found.note


def test_clusters_that_agree_by_chance_give_no_certainty():
    found = jackknife(lambda rows: [0.25, 0.0], np.arange(3))
    assert found[0].low is None and not found[0].clear
    assert {each.note for each in found} == {"unchanged without any one cluster: no interval"}
    assert (found[1].value, found[1].low, found[1].p) == (0, None, None)


def test_rounding_of_single_precision_is_no_difference():
    """A model that is its own twin has a score of 1 up to float32: not 1.00000 to 1.00000."""
    value = 1 + np.array([0.0, 6e-8, -6e-8])
    frame = pl.DataFrame({"world": list("abc"), "seed": 0, "by": 1, "value": value})
    assert means(frame, "value", ["by"])["low"].item() is None
    assert jackknife(lambda rows: [value[rows].mean()], np.arange(3))[0].low is None


@pytest.mark.parametrize("values", [(1.0, 1.0), (0.0, 0.0), (0.1, 0.1), (0.3, -0.3)])
def test_means_that_agree_by_chance_give_no_certainty_either(values):
    """Also where they are the same but for rounding: of 0.1 thrice, and of what cancels."""
    frame = pl.DataFrame(
        [{"world_seed": world, "seed": 0, "by": 1, "value": value}
         for world in range(3) for value in values]
    )  # fmt: skip
    row = means(frame, "value", ["by"], within=(-1, 1)).row(0, named=True)
    assert row["mean"] == pytest.approx(sum(values) / 2) and row["clusters"] == 3
    assert row["low"] is None and row["high"] is None


def test_a_mean_of_values_that_cancel_is_0_and_not_their_rounding():
    values = [0.1, 0.2, -0.3]
    assert sum(values) != 0
    frame = pl.DataFrame({"world_seed": [0, 1, 2], "seed": 0, "by": 1, "value": values})
    row = means(frame, "value", ["by"], within=(-1, 1)).row(0, named=True)
    assert row["mean"] == 0 and row["low"] == -row["high"] < 0
    small = frame.with_columns(pl.col("value") * 1e-12 + 1e-25)
    assert means(small, "value", ["by"])["mean"].item() == pytest.approx(1e-25, rel=0.01)


def test_a_mean_with_an_infinite_value_is_infinite_and_not_rounding():
    """Trials that never relearn take infinitely many steps."""
    frame = pl.DataFrame({"world_seed": [0, 1, 2], "seed": 0, "by": 1,
                          "value": [1.0, math.inf, 2.0]})  # fmt: skip
    row = means(frame, "value", ["by"], within=(0, math.inf)).row(0, named=True)
    assert row["mean"] == math.inf and row["low"] is None and row["high"] is None


def test_bounds_leave_no_point_of_an_interval():
    """Bits that were saved may be below 0 in every cluster, and stored bits are not."""
    frame = pl.DataFrame({"world_seed": [0, 1, 2], "seed": 0, "by": 1,
                          "value": [-3.0, -3.1, -3.2]})  # fmt: skip
    row = means(frame, "value", ["by"], within=(0, math.inf)).row(0, named=True)
    assert row["mean"] == pytest.approx(-3.1) and row["low"] is None and row["high"] is None


def test_what_has_no_clusters_is_refused():
    with pytest.raises(ArgumentError, match="no column 'world'"):
        cluster_of(pl.DataFrame({"a": [1]}))


def test_edits_that_revert():
    curves = retention_curves(draw(durability=True, worlds=3, edits=200).retention.collect())
    start = curves.filter(pl.col("step") == 0)
    assert (start["mean"] == 1).all()
    table = half_lives(curves).sort("exposures")
    # The rate is 0.02 + 0.01 log2 exposures.
    for row in table.iter_rows(named=True):
        known = math.log(2) / (0.02 + 0.01 * math.log2(row["exposures"]))
        assert row["half_life"] == pytest.approx(known, rel=0.25)
    assert half_lives(curves.filter(pl.col("step") < 2))["half_life"].is_null().all()


def test_only_edits_that_held_at_first_can_be_kept():
    rows = draw(durability=True, worlds=2, edits=20).retention.collect()
    succeeded = pl.col("edit") % 2 == 0
    found = retention_curves(rows.with_columns(pl.col("kept") & succeeded))
    assert found.equals(retention_curves(rows.filter(succeeded)))
