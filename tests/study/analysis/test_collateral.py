import runpy
from pathlib import Path

import polars as pl
import pytest

from behemoth.study.analysis.collateral import (
    damage,
    damage_by,
    damage_by_exposures,
    damage_of_edits,
)
from behemoth.study.analysis.slope import linear_slope

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]


def test_damage_grows_with_the_edited_facts_exposures_alone():
    rows = damage(draw(worlds=4, damage=0.02).probes)
    found = linear_slope(damage_of_edits(rows), "kl", exposures="edit_exposures")
    assert found.value == pytest.approx(0.02, abs=0.001)
    assert found.clear
    own = linear_slope(rows, "kl")
    assert abs(own.value) < 0.002


def test_what_was_not_known_cannot_be_lost():
    rows = damage(draw().probes)
    assert rows["lost"].null_count() > 0
    probes = draw().probes.with_columns(
        pl.lit(False).alias("known"), pl.lit(False).alias("exact_match")
    )
    assert damage(probes)["lost"].null_count() == damage(probes).height
    every = draw().probes.with_columns(
        pl.lit(True).alias("known"), pl.lit(False).alias("exact_match")
    )
    assert damage(every)["lost"].mean() == 1


def test_only_what_must_not_change_counts_and_only_afterwards():
    probes = draw().probes
    assert damage(probes.with_columns(pl.lit("before").alias("stage"))).height == 0
    assert damage(probes.with_columns(pl.lit(True).alias("must_change"))).height == 0
    assert damage(probes.with_columns(pl.lit("loss nan").alias("failure"))).height == 0


@pytest.mark.parametrize("known", [True, False])
def test_it_is_the_edited_fact_that_was_known_before(known):
    """By it the damage of known facts is told apart, whatever was known of the bystanders."""
    probes = draw(worlds=1, edits=2).probes.with_columns(
        pl.lit(known).alias("edit_known"), pl.lit(not known).alias("known")
    )
    rows = damage(probes)
    assert rows["known"].unique().to_list() == [known]
    assert damage_of_edits(rows)["known"].unique().to_list() == [known]


def test_an_edit_whose_model_returns_nan_is_counted():
    """Its KL is in no mean; all that it knew is lost, and the number of these edits is stated."""
    nan = (pl.col("edit") == 0) & (pl.col("stage") == "after")
    probes = draw(edits=10, worlds=2).probes.with_columns(
        pl.when(nan).then(float("nan")).otherwise("kl").alias("kl"),
        pl.when(nan).then(False).otherwise("exact_match").alias("exact_match"),
    )
    table = damage_of_edits(damage(probes))
    broken, sound = table.filter(edit=0), table.filter(pl.col("edit") > 0)
    assert broken.height and broken["kl"].null_count() == broken.height
    assert (broken["unmeasured"] == broken["bystanders"]).all()
    assert set(broken["lost"].drop_nulls()) == {1.0}
    assert (sound["unmeasured"] == 0).all() and sound["kl"].null_count() == 0


def test_groups_are_averaged_over_edits():
    table = damage_by(damage(draw(edits=20).probes))
    assert set(table["measure"]) == {"kl", "lost"}
    kl = table.filter(pl.col("measure") == "kl").sort("mean", descending=True)
    assert kl["group"].to_list()[:2] == ["same_object", "same_relation"]
    assert (kl["rows"] == 300).all()
    assert (kl["low"] <= kl["mean"]).all() and (kl["mean"] <= kl["high"]).all()


def test_edited_and_bystander_exposures_are_crossed():
    table = damage_by_exposures(damage(draw().probes)).filter(pl.col("measure") == "kl")
    assert table.height == 25
    rises = table.group_by("edit_exposures").agg(pl.col("mean").mean()).sort("edit_exposures")
    assert rises["mean"].is_sorted()
