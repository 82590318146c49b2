"""Captions say what was measured of the methods that are drawn, and what was left out."""

import polars as pl
import pytest

from behemoth.report.charts.retention import retention
from behemoth.report.charts.tradeoff import tradeoff
from behemoth.study.analysis.summary import summarise


@pytest.fixture(scope="module")
def flips(draw):
    frames = draw(labels=("one", "two"), worlds=2, edits=10, levels=(1, 4, 16), probes=1,
                  durability=True)  # fmt: skip
    frames.edits = frames.edits.with_columns(success=(pl.col("edit") % 2).cast(pl.Float64))
    return frames


def summary_of(flips, forgets=(), **changed):
    """The summary of a study in which some methods unlearn."""
    kind = pl.when(pl.col("label").is_in(forgets)).then(pl.lit("forget")).otherwise("dose_kind")
    edits = changed.get("edits", flips.edits).with_columns(dose_kind=kind)
    return summarise(type(flips)(**{**vars(flips), **changed, "edits": edits}), resamples=2)


@pytest.mark.parametrize(
    ("forgets", "held", "success"),
    [
        ((), "with p(new) > p(old), of", "Success: exact match of free generation after"),
        (("one", "two"), "with some other token likelier than the old object's, of",
         "Success: the old object no longer generated after"),
        (("two",), "with p(new) > p(old) (of methods that unlearn, some other token likelier",
         "Success: exact match of free generation (of methods that unlearn, the old object no"),
    ],
)  # fmt: skip
def test_what_counts_is_said_by_what_the_methods_are_for(flips, forgets, held, success):
    summary = summary_of(flips, forgets)
    assert held in retention(summary).caption
    assert success in tradeoff(summary).caption
    assert "Left out" not in tradeoff(summary).caption


def test_what_the_tradeoff_does_not_draw_is_counted(flips):
    """At 1 exposure every edit of method one breaks down; at 4 method two changes no bystander."""
    edits = flips.edits.with_columns(
        failure=pl.when((pl.col("label") == "one") & (pl.col("exposures") == 1))
        .then(pl.lit("the loss is not finite"))
        .otherwise("failure")
    )
    broken = edits.filter(pl.col("failure").is_not_null()).select("trial", "edit").collect()
    assert broken.height == 2 * 10
    there = flips.probes.collect().join(broken.with_columns(gone=True), on=["trial", "edit"],
                                        how="left", maintain_order="left")  # fmt: skip
    still = (pl.col("label") == "two") & (pl.col("edit_exposures") == 4)
    probes = there.with_columns(
        failure=pl.when("gone").then(pl.lit("the loss is not finite")).otherwise("failure"),
        kl=pl.when(still).then(0.0).otherwise("kl"),
    ).drop("gone")
    summary = summary_of(flips, edits=edits, probes=probes.lazy())
    figure = tradeoff(summary)
    assert figure.frame.height == 2 * 3 - 2
    assert figure.caption.endswith(
        "Left out: 1 point that changed no bystander, and has no logarithm; 1 point in which "
        "every edit broke down."
    )
    # Half of the others had success, and of these ten edits none, whatever was asked of them.
    one = summary.methods.filter(label="one")["success"].item()
    assert one == pytest.approx(0.5 * 2 / 3)
