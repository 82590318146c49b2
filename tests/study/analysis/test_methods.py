"""The methods side by side."""

import runpy
from pathlib import Path

import polars as pl
import pytest

from behemoth.study.analysis.collateral import damage, damage_of_edits
from behemoth.study.analysis.methods import METHODS, methods_of

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]


def table_of(frames, failed=None):
    edits = frames.edits.collect()
    of_edits = damage_of_edits(damage(frames.probes))
    spent = frames.edit_seconds, frames.edit_costs
    return methods_of(edits, frames.probes, of_edits, *spent, failed)


def test_each_method_has_a_row_with_what_its_edits_say():
    frames = draw(labels=("one", "two"), edits=10, worlds=3)
    table = table_of(frames)
    assert table.schema == METHODS
    assert table["label"].to_list() == ["one", "two"]
    assert table["edits"].to_list() == [150, 150] and table["clusters"].to_list() == [3, 3]
    edits = frames.edits.collect()
    for row in table.iter_rows(named=True):
        own = edits.filter(pl.col("label") == row["label"])
        assert row["success"] == pytest.approx(own["success"].mean())
        assert row["success_low"] <= row["success"] <= row["success_high"]
        assert row["norm"] == own["norm"].median()
        assert row["seconds"] == pytest.approx(30 / 50), "30 s a trial of 50 edits"
        assert (row["flops"], row["memory"]) == (2.5e9, 3 * 2**20)
    # The second is twice as fast.
    assert table["ed50"][1] < table["ed50"][0]


def test_held_out_wordings_count_by_what_the_method_is_for():
    flips, forgets = (table_of(draw(edits=40, kind=kind)) for kind in ("flip", "forget"))
    # Of the held-out wordings two thirds say the new object, and none of these the old one.
    for table in (flips, forgets):
        assert table["held_out"].item() == pytest.approx(2 / 3, abs=0.05)
    assert [table["forgets"].item() for table in (flips, forgets)] == [False, True]


def test_no_held_out_wording_shows_an_edit_that_broke_down():
    """Its rows are those of the unedited model, which may not say the old object either."""
    for kind in ("flip", "forget"):
        frames = draw(edits=10, worlds=2, kind=kind)
        frames.probes = frames.probes.with_columns(
            pl.when(pl.col("edit") % 2 == 0).then(pl.lit("loss nan")).alias("failure"),
            exact_match=pl.lit(True), old_match=pl.lit(False),
        )  # fmt: skip
        assert table_of(frames)["held_out"].item() == 0.5


def test_damage_is_the_mean_over_edits():
    frames = draw(edits=10, worlds=3)
    of_edits = damage_of_edits(damage(frames.probes))
    row = table_of(frames).row(0, named=True)
    for measure in ("kl", "lost"):
        mean = of_edits[measure].mean()
        assert row[measure] == pytest.approx(mean)
        assert row[f"{measure}_low"] < mean < row[f"{measure}_high"]
    assert row["unmeasured"] == 0
    # One edit of each trial leaves a model whose numbers are NaN, for all of its bystanders.
    frames.probes = frames.probes.with_columns(
        pl.when(edit=0).then(float("nan")).otherwise("kl").alias("kl")
    )
    row = table_of(frames).row(0, named=True)
    assert row["unmeasured"] == row["trials"] == 3
    assert row["kl"] == pytest.approx(of_edits.filter(pl.col("edit") > 0)["kl"].mean())


def test_what_was_not_asked_is_null():
    frames = draw(edits=10, worlds=1, probes=1)
    frames.probes = frames.probes.filter(pl.col("group") != "edited_held_out")
    frames.edit_seconds, frames.edit_costs = {}, {}
    row = table_of(frames).row(0, named=True)
    assert row["held_out"] is None and row["seconds"] is None
    assert row["flops"] is None and row["memory"] is None
    assert row["success"] is not None and row["success_low"] is None, "one cluster: no interval"


def test_costs_are_means_over_edits_and_the_most_memory():
    frames = draw(labels=("one",), edits=10, worlds=3)
    first, second, _ = sorted(frames.edit_seconds)
    # One trial is of before there were counts.
    frames.edit_costs = {first: (1e9, 100), second: (3e9, 50)}
    row = table_of(frames).row(0, named=True)
    assert (row["flops"], row["memory"]) == (2e9, 100)


def test_trials_that_failed_stand_beside_those_that_did_not():
    """A method with one trial of three whose edits all broke down is not one of two trials."""
    table = table_of(draw(labels=("one", "two"), edits=10, worlds=2), {"two": 1, "gone": 3})
    assert table.select("label", "trials", "failed", "edits", "clusters").rows() == [
        ("one", 2, 0, 100, 2), ("two", 2, 1, 100, 2), ("gone", 0, 3, 0, 0),
    ]  # fmt: skip
    assert table.schema == METHODS and table["success"].is_null().to_list() == [False, False, True]
