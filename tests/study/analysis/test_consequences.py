import runpy
from pathlib import Path

import polars as pl
import pytest

from behemoth.study.analysis.consequences import consequences, consequences_by

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]


def test_shares_of_what_follows_and_of_what_stays():
    rows = consequences(draw(worlds=6, edits=300).probes)
    table = consequences_by(rows)
    assert table["group"].unique().to_list() == ["subject_nested"]
    shares = dict(table.select("measure", "mean").iter_rows())
    assert shares == {
        "follows": pytest.approx(1 / 3, abs=0.03), "stays": pytest.approx(1 / 3, abs=0.03),
    }  # fmt: skip
    assert (table["low"] <= table["mean"]).all() and (table["clusters"] == 6).all()


@pytest.mark.parametrize(("exact", "old"), [(True, False), (False, True)])
def test_what_is_right_follows_and_what_was_right_stays(exact, old):
    probes = draw(worlds=1, edits=2).probes
    answered = probes.with_columns(exact_match=pl.lit(exact), old_match=pl.lit(old))
    rows = consequences(answered).select("follows", "stays").unique().rows()
    assert rows == [(float(exact), float(old))]


@pytest.mark.parametrize(
    "change",
    [
        {"known": pl.lit(False)},  # what was not known cannot follow
        {"must_change": pl.lit(False)},  # the new object happens to lead to the same
        {"stage": pl.lit("before")},
        {"group": pl.lit("unrelated")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_does_not_count(change):
    assert consequences(draw().probes.with_columns(**change)).height == 0


def test_nothing_follows_an_edit_that_broke_down():
    """Its rows are those of the unedited model, which says what it said."""
    probes = draw().probes
    every = consequences(probes)
    broken = consequences(probes.with_columns(failure=pl.lit("diverged")))
    assert every.height == broken.height and every["follows"].sum() > 0 < every["stays"].sum()
    assert broken["follows"].sum() == broken["stays"].sum() == 0


def test_a_study_without_dependent_facts_has_an_empty_table():
    probes = draw().probes.filter(~pl.col("must_change"))
    table = consequences_by(consequences(probes))
    assert table.height == 0 and {"label", "group", "measure", "mean"} <= set(table.columns)
