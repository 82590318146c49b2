import re
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from behemoth.report.tables import mediation_table
from behemoth.study.analysis.contrasts import CONTRASTS, MEASURES
from behemoth.study.analysis.headline import _median_slope, _of_known, headline
from behemoth.study.analysis.summary import summarise

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]
PRIMARY = {"measure": "ed50", "method": "lora rank 1"}


def sum_up(primary=PRIMARY, **knobs):
    return summarise(draw(**knobs), primary, resamples=50)


def test_roles_in_their_order():
    table = sum_up(labels=("ft", "lora rank 1"), rotations=2, loads=(1, 4), edits=8).contrasts
    assert table.schema == CONTRASTS
    tested = table.filter(pl.col("role") != "descriptive")
    assert tested.height == 6
    assert (tested["label"] == "lora rank 1").all()
    assert tested.select("role", "contrast", "filter").rows() == [
        ("primary", "dose", "all"),
        ("primary", "dose", "known"),
        ("family", "dose_curvature", "all"),
        ("family", "dose_within_fact", "all"),
        ("family", "dose_margin", "all"),
        ("family", "dose_load", "all"),
    ]
    assert table[:6].equals(tested)
    whole = {"dose_whole", "dose_whole_weibull"}
    assert set(table["contrast"]) == set(MEASURES) - {"dose_held_out"} - whole
    some = sum_up(already=0.2, edits=30).contrasts
    assert whole <= set(some.filter(filter="all", role="descriptive")["contrast"])


def test_a_load_that_only_a_pooled_axis_changes_is_not_in_the_family():
    """Worlds with other correlations have other bits, as many facts, and no load to compare."""
    frames = draw(labels=("lora rank 1",), loads=(1, 4), edits=8)
    axis = "world.correlated.strength"
    frames.index = frames.edits.unique("trial")
    frames.grid = frames.index.select(
        "trial", pl.col("model").str.ends_with("-4").cast(pl.Float64).alias(axis)
    )
    plain = summarise(frames, PRIMARY, resamples=5).contrasts
    assert plain.filter(contrast="dose_load", role="family").height == 1
    frames.pooled = {axis: [0.0, 1.0]}
    assert summarise(frames, PRIMARY, resamples=5).contrasts.filter(contrast="dose_load").is_empty()
    frames.pooled = {"plan.repeats": [4, 8]}  # a plan changes no load
    assert summarise(frames, PRIMARY, resamples=5).contrasts.equals(plain)


def test_models_of_the_dose_have_a_likelihood():
    table = sum_up(edits=20).contrasts
    fitted = table.filter(pl.col("log_likelihood").is_not_null())
    assert {"dose", "dose_weibull", "dose_margin"} <= set(fitted["contrast"])
    assert not {"ed50", "success", "already", "kl"} & set(fitted["contrast"])


def test_what_describes_has_no_p():
    table = sum_up().contrasts
    rest = table.filter(pl.col("role") == "descriptive")
    assert rest.height > 20
    assert rest["p"].is_null().all() and rest["p_family"].is_null().all()
    assert rest["low"].drop_nulls().len() > 10
    tested = table.filter(pl.col("role") != "descriptive")
    assert (tested["p_family"] >= tested["p"]).all()
    # No twins and one load: the design has two contrasts less.
    assert tested["contrast"].to_list() == ["dose", "dose", "dose_curvature", "dose_margin"]


def test_without_a_stated_contrast_all_describes():
    assert (summarise(draw(edits=5), resamples=5).contrasts["role"] == "descriptive").all()


def words(primary=PRIMARY, **knobs):
    return headline(sum_up(primary, **knobs), primary)


def test_the_headline_says_that_the_dose_rises():
    said = words(worlds=5)
    assert said.verdict == "rises"
    assert "higher edit dose" in said.title
    assert "ED50 is " in said.details
    first, second = said.text.split(". ")[:2]
    assert "over all facts and by" in first and "over facts known before" in first
    assert second.startswith("Share of the effect that the margin before the edit mediates: ")
    assert "over facts known before" in second
    assert "5 clusters" in said.text and "4 degrees of freedom" in said.text
    assert "right-censored" in said.details
    assert "95% interval" in said.text


def test_or_falls():
    said = words(worlds=5, slope=0.15, base=0.02)
    assert said.verdict == "falls"
    assert "lower edit dose" in said.title


def test_or_that_nothing_is_clear():
    said = words(slope=0, seed=2)
    assert said.verdict == "no clear effect"
    assert "No clear effect" in said.title
    assert ", which includes 1) over all facts" in said.text
    assert "rises" not in said.text and "falls" not in said.text


def test_or_that_one_model_says_nothing_of_others():
    said = words(worlds=1)
    assert said.verdict == "one cluster"
    assert "no interval" in said.text


def test_or_that_there_is_nothing_yet():
    said = words({"measure": "ed50", "method": "other"})
    assert said.verdict == "no data"


def test_censored_levels_are_named_as_such():
    said = words(worlds=4, base=0.02, slope=-0.3, edits=100)
    assert "more than 60 steps (censored)" in said.details
    assert "did not reach their dose and are right-censored" in said.details


def test_unlearning_is_called_so():
    said = words(worlds=5, kind="forget")
    assert "unlearning dose" in said.title
    assert "multiplies the unlearning dose" in said.text


def test_what_needs_no_step_is_counted_apart():
    said = words(worlds=4, already=0.2, edits=100)
    assert "needed no step (dose 0); each doubling multiplies the odds of that by" in said.details
    assert "These ratios are over the edits that need a step (1," in said.text
    assert " of 2,000 over all facts); if edits that need none count as doses of at" in said.text
    assert "Over all edits, each doubling multiplies ED50 by 1." in said.details
    every = words(worlds=4)
    assert "Every edit needed at least one step." in every.details
    assert "need a step" not in every.text


def test_the_headline_counts_the_edits_that_the_ratios_are_over():
    """As the table of contrasts: models in which no edit reaches its dose are not in the fit."""
    for already in (0.2, 0.0):  # also where every edit needs a step
        frames = draw(worlds=4, already=already, edits=40)
        lost = (pl.col("world_seed") == 0) & (pl.col("dose") > 0)
        frames.edits = frames.edits.with_columns(reached=pl.col("reached") & ~lost)
        summary = summarise(frames, PRIMARY, resamples=5)
        said = headline(summary, PRIMARY)
        rows, known = summary.contrasts.filter(role="primary")["rows"]
        assert rows <= 600 and known < rows
        assert f"information on them ({rows} of 800 over all facts and {known} of" in said.text
        assert "jackknife over the 3 of 4 clusters that carry information on this ra" in said.text
        assert said.text.endswith("or are all of facts with the same exposures.")
        assert "information" not in words(worlds=4, already=already).text


def test_the_ratio_over_all_facts_states_its_edits():
    frames = draw(worlds=4, already=0.2, edits=40)
    at_once = pl.when(world_seed=0).then(0).otherwise("dose").alias("dose")
    frames.edits = frames.edits.with_columns(at_once)
    summary = summarise(frames, PRIMARY, resamples=5)
    [rows] = summary.contrasts.filter(contrast="dose_whole", filter="all")["rows"]
    said = headline(summary, PRIMARY).text
    assert rows == 600 and "the ratio over all facts (600 edits, in models that carry inf" in said


def test_one_informative_cluster_of_two_is_not_said_to_be_the_only_one():
    frames = draw(worlds=2)
    lost = pl.col("world_seed") == 1
    frames.edits = frames.edits.with_columns(
        reached=pl.col("reached") & ~lost,
        success=pl.when(lost).then(0.0).otherwise("success"),
        efficacy=pl.when(lost).then(0.0).otherwise("efficacy"),
    )
    for primary in (PRIMARY, {**PRIMARY, "measure": "success"}):
        said = headline(summarise(frames, primary, resamples=5), primary)
        assert said.verdict == "one cluster" and said.title.endswith(" in one of 2 clusters")
        assert "(no interval: one of 2 clusters carries information on it)" in said.text
        assert "because only one of 2 clusters of (world, initialisation) carries info" in said.text
        assert "there is one cluster" not in said.text
    assert words(worlds=1).title.endswith(", in one cluster")


def test_the_factor_on_ed50_is_a_power_of_two():
    """Of the contrasts that of ED50 alone is in doublings: one and a half of them is 2.83."""
    row = {"label": "ft", "contrast": "ed50", "filter": "all", "estimate": 1.5, "low": 1.0,
           "high": 2.0, "note": None}  # fmt: skip
    said = _median_slope(SimpleNamespace(contrasts=pl.DataFrame([row])), "ft")
    assert said == (
        "Over all edits, each doubling multiplies ED50 by 2.83 (95% interval 2.00 to 4.00)."
    )


def test_the_headline_says_what_the_factor_on_ed50_rests_on():
    half = "ED50 of 0 at 1 exposure counts as half a step"
    row = {"label": "ft", "contrast": "ed50", "filter": "all", "estimate": 1.0, "low": None,
           "high": None}  # fmt: skip
    for note, ending in (
        (half, f"by 2.00; {half}."),
        (f"one cluster: no interval; {half}", f"by 2.00; {half}."),
        ("one cluster: no interval", "by 2.00."),
    ):
        table = pl.DataFrame([{**row, "note": note}])
        assert _median_slope(SimpleNamespace(contrasts=table), "ft").endswith(ending)
    said = words(worlds=4, base=0.04, slope=-0.3, edits=100).details
    assert "multiplies ED50" not in said
    assert "not known (ED50 is censored at 64 and 256 exposures: the factor is at least" in said


def test_a_title_does_not_hide_what_known_facts_say():
    # Facts that were known are dealt other exposures, so that among them these mean nothing.
    frames = draw(worlds=6, edits=60)
    dealt = pl.col("exposures").shuffle(seed=1).over("model", "known")
    frames.edits = frames.edits.with_columns(
        pl.when("known").then(dealt).otherwise("exposures").alias("exposures")
    )
    said = headline(summarise(frames, PRIMARY, resamples=5), PRIMARY)
    assert said.verdict == "rises"
    assert said.title.endswith("for facts known before, there is no clear effect")
    assert ", which includes 1) over facts known before" in said.text


def test_the_family_is_told_of():
    said = words(worlds=5, rotations=2, edits=40)
    assert "Other contrasts of the family (family-wise level 5%): significant:" in said.details
    assert "ratio within the same fact, 1." in said.details
    assert "not tested, because one of the two primary" in words(slope=0, seed=2).details


def test_what_cannot_be_estimated_is_not_said_to_be_unfinished():
    said = words(worlds=3, edits=20, levels=(16,))
    assert said.verdict == "no data" and said.title == "The primary contrast cannot be estimated"
    assert "cannot be estimated from 60 edits: fewer than two levels" in said.text
    assert "finished" not in said.title + said.text and "yet" not in said.title


def partly_about_objects(**knobs):
    """A fifth of the edits are of facts about objects, which have no subject."""
    frames = draw(**knobs)
    frames.edits = frames.edits.with_columns(
        pl.when(pl.int_range(pl.len()) % 5 > 0).then("subject_exposures").alias("subject_exposures")
    )
    return summarise(frames, PRIMARY, resamples=5)


def test_the_headline_states_the_facts_that_the_ratio_leaves_out():
    said = headline(partly_about_objects(worlds=5, edits=40, already=0.2), PRIMARY)
    counts = r"there remain ([0-9]+) of ([0-9]+) edits .* need a step \(\1 of 800 over facts about"
    found = re.search(counts, said.text)
    assert found is not None and int(found[1]) / int(found[2]) == pytest.approx(0.8, abs=0.05)
    said = headline(partly_about_objects(worlds=5, edits=40), PRIMARY)
    assert "over facts about subjects and by " in said.text and "over all facts" not in said.text
    assert "have no subject, are left out: there remain 800 of 1,000 edits that need a" in said.text
    assert "left out" not in words(worlds=5, edits=40).text


def test_remarks_after_the_reason_are_no_part_of_it():
    summary = partly_about_objects(worlds=1, edits=40)
    row = summary.contrasts.row(0, named=True)
    assert row["note"].startswith("one cluster: no interval; without ")
    known = {**row, "p_family": 1.0}
    assert _of_known(known, 1).endswith(" over facts known before (no interval: one cluster)")
    notes = [cells[-1] for cells in mediation_table(summary).rows]
    assert notes[0] == (
        "one cluster: no interval; without 40 edits of facts about objects, which have no subject"
    )


def test_a_finished_study_without_a_dose_says_why_there_is_none():
    frames = draw(worlds=3, edits=20)
    edits = frames.edits
    at_once = [pl.lit(0, pl.UInt32).alias("dose"), pl.lit(True).alias("reached")]
    for reason, columns in (
        ("none needed a step (dose 0)", at_once),
        ("every edit broke down", [pl.lit("loss nan").alias("failure")]),
        ("none has a dose, as of edits in batches", [pl.lit(None, pl.UInt32).alias("dose")]),
        ("none is of a fact that is written", [pl.lit(0, pl.UInt64).alias("exposures")]),
    ):
        frames.edits = edits.with_columns(columns)
        said = headline(summarise(frames, PRIMARY, resamples=5), PRIMARY)
        assert said.title == "The primary contrast cannot be estimated", reason
        assert f"cannot be estimated from 300 edits: {reason}" in said.text
    assert words({"measure": "ed50", "method": "other"}).title.endswith("cannot be estimated yet")


def test_a_ratio_beyond_the_range_of_a_float_is_words():
    summary = sum_up(worlds=3, edits=20)
    primary = (pl.col("role") == "primary") & (pl.col("filter") == "all")
    wide = {"estimate": 900.0, "low": -900.0, "high": 2700.0}
    bent = summary.contrasts.with_columns(
        pl.when(primary).then(value).otherwise(name).alias(name) for name, value in wide.items()
    )
    said = headline(replace(summary, contrasts=bent), PRIMARY)
    assert "by more than 1,000,000 (95% interval 0.00 to more than 1,000, which" in said.text


def test_a_study_about_success():
    said = words({"measure": "success", "method": "lora rank 1"}, worlds=5, edits=150)
    assert said.verdict == "falls"
    assert "less success" in said.title
    assert "odds" in said.text


def test_a_gate_of_which_nothing_is_known_stays_closed():
    frames = draw(worlds=5, edits=60)
    frames.edits = frames.edits.with_columns(known=pl.lit(False))
    summary = summarise(frames, PRIMARY, resamples=5)
    tested = summary.contrasts.filter(pl.col("role") != "descriptive")
    assert tested["filter"].to_list()[:2] == ["all", "known"]
    assert tested["p_family"][0] < 0.05 and (tested["p_family"][1:] == 1).all()
    said = headline(summary, PRIMARY)
    assert said.verdict == "rises"
    assert said.title.endswith("for facts known before, there is no estimate")
    assert "; over facts known before, there is no estimate (no edits)." in said.text
    assert "not tested, because one of the two primary" in said.details


def test_facts_known_in_one_model_have_no_interval():
    frames = draw(worlds=4, edits=60)
    frames.edits = frames.edits.with_columns(known=pl.col("known") & (pl.col("world_seed") == 0))
    said = headline(summarise(frames, PRIMARY, resamples=5), PRIMARY)
    assert said.title.endswith("for facts known before, there is no interval")
    assert "over facts known before (no interval: one cluster)" in said.text


def test_several_clusters_without_an_interval_are_no_test():
    summary = sum_up()
    one = pl.col("role") == "primary"
    none = summary.contrasts.with_columns(
        *(pl.when(~one).then(name).alias(name) for name in ("low", "high", "p")),
        p_family=pl.lit(1.0),
        note=pl.when(one).then(pl.lit("none without one of the clusters: no interval")),
    )
    said = headline(replace(summary, contrasts=none), PRIMARY)
    assert said.verdict == "no interval"
    assert said.title == "The edit dose against exposures, without an interval"
    assert "There is no interval over 3 clusters (none without one of the clusters)." in said.text


def test_what_is_behind_a_closed_gate_is_not_tested():
    summary = sum_up(slope=0, seed=2)
    known = (pl.col("role") == "primary") & (pl.col("filter") == "known")
    clear = {"estimate": 0.05, "low": 0.02, "high": 0.08, "p": 0.01}
    bent = summary.contrasts.with_columns(
        pl.when(known).then(value).otherwise(name).alias(name) for name, value in clear.items()
    )
    said = headline(replace(summary, contrasts=bent), PRIMARY)
    assert said.verdict == "no clear effect" and "rises" not in said.title
    assert "1.02 to 1.08) over facts known before (not tested, because the contrast" in said.text


def test_a_level_without_a_measurement_is_not_in_the_headline():
    outcomes = {"exposures": [1, 4, 16], "success": [None, 1.0, 0.0]}
    edits = pl.DataFrame(
        {"label": ["one"] * 3, "known": [True] * 3, "world": ["w"] * 3, "seed": [0] * 3, **outcomes}
    )
    row = {"filter": "all", "role": "primary", "estimate": -0.1, "low": None, "high": None,
           "p_family": 1.0, "clusters": 1, "note": "one cluster: no interval"}  # fmt: skip
    summary = SimpleNamespace(edits=edits, contrasts=pl.DataFrame([row]))
    said = headline(summary, {"measure": "success", "method": "one"}).text
    assert said.endswith("success is 100.0% at 4 exposures and 0.0% at 16.")
