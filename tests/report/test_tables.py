"""The tables of a report."""

from dataclasses import replace

import polars as pl

from behemoth.report.charts.damage import damage
from behemoth.report.page import _methods
from behemoth.report.style import number
from behemoth.report.tables import (
    _interval,
    _share,
    dose_table,
    failure_table,
    mediation_table,
    method_table,
)
from behemoth.study.analysis.estimate import Estimate
from behemoth.study.analysis.summary import summarise
from behemoth.study.results import Failure
from behemoth.support.text import interval_text


def test_the_row_of_a_method_says_how_many_of_its_trials_failed(draw):
    frames = draw(worlds=2, edits=4, probes=1, labels=("one", "two"), levels=(1, 16))
    reason = "every edit broke down: the loss is not finite"
    frames.failures = [Failure("t", "two", "m", reason), Failure("u", "gone", "m", reason)]
    table = method_table(summarise(frames, resamples=2))
    assert [row[0] for row in table.rows] == [
        "one", "two\n1 of 3 trials failed", "gone\n1 of 1 trials failed",
    ]  # fmt: skip
    assert len({len(row) for row in table.rows}) == 1 and "%" not in "".join(table.rows[2])


def test_rows_of_methods_on_other_models_say_so(draw):
    frames = draw(worlds=2, edits=4, probes=1, labels=("one", "two"), levels=(1, 16))
    same = method_table(summarise(frames, resamples=2))
    assert "#models" not in same.columns and not same.proviso
    frames.edits = frames.edits.filter((pl.col("label") == "one") | (pl.col("world_seed") == 0))
    table = method_table(summarise(frames, resamples=2))
    assert table.columns[-1] == "#models" and [row[-1] for row in table.rows] == ["2", "1"]
    assert "may be that of what they were run on" in table.proviso
    [told] = [part for part in _methods(table, {}) if "were not all run" in str(part)]
    assert told == f"<p>{table.proviso}</p>"


def test_a_method_that_loses_more_bystanders_than_the_bound_is_marked(draw):
    frames = draw(worlds=2, edits=40, probes=3, labels=("one", "two"), levels=(1, 16), damage=0.0)
    gentle = summarise(frames, resamples=2)
    mild = method_table(gentle)
    place = mild.columns.index("#known bystanders lost")
    assert all("bound" not in row[place] for row in mild.rows)
    share = pl.when(label="two").then(0.2).otherwise(pl.col("lost")).alias("lost")
    harsh = replace(gentle, methods=gentle.methods.with_columns(share))
    one, two = (row[place] for row in method_table(harsh).rows)
    assert "above" not in one and two.endswith("\nabove 10%")


def test_edits_without_a_kl_are_counted(draw):
    frames = draw(worlds=2, edits=4, probes=1, labels=("one", "two"), levels=(1, 16))
    nan = (pl.col("label") == "two") & (pl.col("edit") == 0)
    frames.probes = frames.probes.with_columns(kl=pl.when(nan).then(float("nan")).otherwise("kl"))
    summary = summarise(frames, resamples=2)
    table = method_table(summary)
    place = table.columns.index("#KL on bystanders, nats")
    one, two = (row[place] for row in table.rows)
    assert "NaN" not in one and two.endswith("\nwithout NaN of 2 edits")
    assert "The KL of 2 edits is NaN on some bystanders" in damage(summary).caption


def test_parts_of_trials_that_failed_are_listed(draw):
    frames = draw(worlds=2, edits=4, probes=1, levels=(1, 16))
    reason = "durability: the batch broke down: the loss is not finite"
    lost = [Failure(name, "one", "m", reason) for name in "ab"]
    table = failure_table(summarise(frames, resamples=2), [], lost)
    assert table.rows == [["part of a trial", "one", "2", reason]]


def test_the_ends_of_an_interval_are_never_written_alike():
    """0.99991 to 1, rounded to two digits, would be 1.0 to 1.0: no width, as if it were certain."""
    assert interval_text(0.91, 0.96, number, 2) == "0.91 to 0.96"
    assert interval_text(0.99991, 1.0, number, 2) == "0.9999 to 1.000"
    row = {"success": 0.9999, "success_low": 0.9996, "success_high": 1.0}
    assert _share(row, "success") == "100.0%\n99.96% to 100.00%"
    plain = {"scale": "plain", "low": 0.1001, "high": 0.1002}
    assert _interval(plain) == "0.1001 to 0.1002"


def test_doses_of_known_facts_have_their_own_clusters(draw):
    """Two of three clusters know facts that the third does not."""
    frames = draw(worlds=3, edits=20, probes=1, labels=("one",), levels=(1, 16))
    known = pl.col("known") & (pl.col("world_seed") < 2)
    frames.edits = frames.edits.with_columns(known=known)
    table = dose_table(summarise(frames, resamples=20))
    assert table.columns.count("#clusters") == 2
    [_, last] = table.rows
    assert (last[6], last[10]) == ("3", "2")


def test_a_negative_share_has_a_minus(draw):
    """A hyphen stood before the share, beside the minus of its interval."""
    summary = summarise(draw(worlds=3, edits=8, probes=1, labels=("one",)), resamples=2)
    below = Estimate(value=-0.03, low=-0.6, high=0.54)
    parts = {key: replace(each, share=below) for key, each in summary.mediations.items()}
    table = mediation_table(replace(summary, mediations=parts))
    place = table.columns.index("#share through the margin")
    assert {row[place] for row in table.rows} == {"\u22123%\n\u221260% to 54%"}
