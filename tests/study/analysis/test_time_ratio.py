import math
import runpy
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from behemoth.study.analysis.slope import linear_slope, outcome_slope
from behemoth.study.analysis.time_ratio import (
    already_slope,
    curvature,
    direct_ratio,
    held_out_ratio,
    included,
    load_interaction,
    prepared,
    time_ratio,
    whole_ratio,
    within_fact_ratio,
)

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]


def edits_of(**knobs):
    # Log-normal doses with a rate that falls by exp(-0.15) a doubling: a log time ratio of 0.15.
    return draw(probes=0, **{"noise": "lognormal", "limit": 80, **knobs}).edits.collect()


def test_the_time_ratio_is_recovered():
    found = time_ratio(edits_of(worlds=5, edits=200))
    assert found.value == pytest.approx(0.15, abs=0.01)
    assert found.low < 0.15 < found.high
    assert found.clear and found.p < 0.001
    assert (found.clusters, found.rows) == (5, 5000)


def test_whole_steps_do_not_bend_it():
    # Most doses are 1 or 2 steps: as numbers they would be rounded up, as intervals they are not.
    edits = edits_of(worlds=4, edits=300, base=0.7, limit=30)
    assert (edits["dose"] <= 2).mean() > 0.35
    assert time_ratio(edits).value == pytest.approx(0.15, abs=0.01)


def test_censoring_does_not_hide_it():
    edits = edits_of(worlds=4, edits=300, limit=20)
    assert edits["reached"].mean() < 0.6
    assert time_ratio(edits).value == pytest.approx(0.15, abs=0.015)


def test_looks_between_which_steps_were_made():
    # The trace is looked at every fourth step: doses are later ones, dose_low says since when.
    edits = edits_of(worlds=4, edits=300)
    seen = (pl.col("dose") + 3) // 4 * 4
    coarse = edits.with_columns(
        pl.when("reached").then(seen).otherwise("dose").cast(pl.UInt32).alias("dose"),
        pl.when("reached").then(seen - 4).otherwise("dose").cast(pl.UInt32).alias("dose_low"),
    )
    assert time_ratio(coarse).value == pytest.approx(time_ratio(edits).value, abs=0.005)
    wrong = time_ratio(coarse.with_columns(dose_low=None)).value
    assert abs(wrong - 0.15) > abs(time_ratio(coarse).value - 0.15)


@pytest.mark.parametrize("low", [False, True])
def test_edits_that_need_no_step_are_kept_as_doses_of_at_most_one(low):
    """A third are done within one step, rare facts more often: that is a part of the effect."""
    edits = edits_of(worlds=5, edits=200, base=1.4)
    if low:
        before = pl.when("reached").then(pl.col("dose") - 1).otherwise("dose")
        edits = edits.with_columns(before.alias("dose_low"))
    quick = pl.col("reached") & (pl.col("dose") == 1)
    none = edits.with_columns(pl.when(quick).then(0).otherwise("dose").alias("dose"))
    if low:
        none = none.with_columns(pl.when(quick).then(None).otherwise("dose_low").alias("dose_low"))
    assert 0.25 < (none["dose"] == 0).mean() < 0.45
    found = whole_ratio(none)
    assert found.value == pytest.approx(0.15, abs=0.015) and found.low < 0.15 < found.high
    assert found.rows == edits.height
    assert found.value == pytest.approx(time_ratio(edits).value, abs=1e-9), "the same intervals"
    selected = time_ratio(none)
    assert selected.rows < 0.75 * edits.height
    assert selected.high < 0.13, "what is left out depends on exposures, and takes effect with it"


def test_without_such_edits_there_is_no_second_ratio():
    edits = edits_of(worlds=3, edits=20)
    assert (edits["dose"] > 0).all() and whole_ratio(edits) is None


@pytest.mark.parametrize(("noise", "better"), [("lognormal", 0), ("exponential", 1)])
def test_the_likelihood_says_which_distribution_fits(noise, better):
    edits = edits_of(worlds=4, edits=200, noise=noise)
    found = [time_ratio(edits, distribution=name) for name in ("lognormal", "weibull")]
    assert found[0].rows == found[1].rows
    assert found[better].log_likelihood > found[1 - better].log_likelihood + 20


def test_models_that_differ_as_a_whole_do_not_move_it():
    edits = edits_of(worlds=4, edits=200, scatter=2.0, limit=2000, base=0.02)
    assert time_ratio(edits).value == pytest.approx(0.15, abs=0.015)


def test_a_model_of_which_nothing_is_reached_says_nothing():
    edits = edits_of(worlds=3)
    stubborn = edits.with_columns(
        pl.when(pl.col("world_seed") == 0).then(False).otherwise("reached").alias("reached")
    )
    rest = edits.filter(pl.col("world_seed") != 0)
    # Nor is it a cluster: leaving it out moves nothing, which would be taken for certainty.
    found, wanted = time_ratio(stubborn), time_ratio(rest)
    assert (found.clusters, found.rows) == (2, wanted.rows)
    for name in ("value", "low", "high"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), abs=0.002)


def test_a_model_of_one_level_says_nothing_of_a_slope():
    edits = edits_of(worlds=3)
    levels = edits["exposures"].unique().sort()
    rest = pl.col("world_seed") != 0
    one = rest | (pl.col("exposures") == levels[-1])
    found, wanted = time_ratio(edits.filter(one)), time_ratio(edits.filter(rest))
    assert (found.clusters, found.rows) == (2, wanted.rows)
    for name in ("value", "low", "high"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), abs=1e-9)
    for slope in (outcome_slope, linear_slope):
        drawn = edits.with_columns((pl.col("dose") > 12).cast(pl.Float64).alias("outcome"))
        found = slope(drawn.filter(one), "outcome")
        wanted = slope(drawn.filter(rest), "outcome")
        assert found.clusters == wanted.clusters == 2
        assert (found.low, found.high) == (wanted.low, wanted.high)


def test_nor_does_one_of_which_no_edit_has_dose_0():
    edits = edits_of(worlds=3, already=0.2, edits=60)
    without = edits.filter((pl.col("world_seed") != 0) | (pl.col("dose") > 0))
    found, wanted = already_slope(without), already_slope(edits.filter(pl.col("world_seed") != 0))
    assert (found.clusters, found.rows) == (2, wanted.rows)
    assert found.low == pytest.approx(wanted.low) and found.high == pytest.approx(wanted.high)


def test_weibull_doses_have_their_own_likelihood():
    edits = edits_of(worlds=5, edits=200, noise="exponential")
    found = time_ratio(edits, distribution="weibull")
    assert found.value == pytest.approx(0.15, abs=0.02)


def test_it_is_a_ratio_of_geometric_means_whatever_the_shape():
    # Rare facts are unknown more often, and what is unknown takes a third of the steps: the
    # logarithms are skewed, and more so where exposures are few. Weibull's likelihood follows the
    # slow edits, the log-normal one the mean of the logarithms, as least squares do.
    edits = edits_of(worlds=4, edits=300, slope=0, base=0.02, limit=10_000)
    edits = edits.with_columns(subject_exposures=None)
    quick = edits.with_columns(
        pl.when("known").then("dose").otherwise((pl.col("dose") / 3).ceil()).alias("dose")
    )
    log_dose = quick.select(pl.col("dose").log()).to_series().to_numpy()
    doublings = quick.select(pl.col("exposures").log(2)).to_series().to_numpy()
    mean = np.polyfit(doublings, log_dose, 1)[0]
    assert mean > 0.1
    assert time_ratio(quick).value == pytest.approx(mean, abs=0.01)
    assert time_ratio(quick, distribution="weibull").value < mean - 0.02


@pytest.mark.parametrize("fit", [time_ratio, direct_ratio, curvature])
def test_one_level_has_no_slope(fit):
    found = fit(edits_of(levels=(4,)))
    assert found.value is None
    fewer = "three" if fit is curvature else "two"
    assert found.note == f"fewer than {fewer} levels of exposures"


@pytest.mark.parametrize("fit", [time_ratio, direct_ratio, curvature, already_slope])
def test_no_edits_have_no_slope(fit):
    assert fit(edits_of().clear()).value is None
    assert within_fact_ratio(edits_of().clear()) is None


def test_one_cluster_has_no_interval():
    found = time_ratio(edits_of(worlds=1, edits=200))
    assert found.value == pytest.approx(0.15, abs=0.03)
    assert (found.low, found.high, found.p, found.clusters) == (None, None, None, 1)
    assert found.note == "one cluster: no interval"


def test_nothing_reached_has_no_slope():
    found = time_ratio(edits_of(base=1e-9))
    assert (found.value, found.note) == (None, "cannot be estimated")


def test_sizes_loads_and_rotations_of_a_seed_are_one_cluster():
    found = time_ratio(edits_of(worlds=2, inits=2, loads=(1, 4), rotations=2, edits=10))
    assert found.clusters == 4


def test_facts_that_were_never_written_and_edits_of_no_step_are_left_out():
    edits = edits_of(worlds=3)
    never = edits.with_columns(pl.lit(0, pl.UInt64).alias("exposures"))
    at_once = edits.with_columns(pl.lit(0, pl.UInt32).alias("dose"), pl.lit(True).alias("reached"))
    found = time_ratio(pl.concat([edits, never, at_once]))
    assert (found.value, found.rows) == (time_ratio(edits).value, edits.height)


def test_the_total_of_the_subject_is_held_fixed_where_it_can_be():
    edits = edits_of(worlds=3)
    assert prepared(edits)[1] == ["subject_doublings"]
    same = edits.with_columns(pl.col("exposures").alias("subject_exposures"))
    assert prepared(same)[1] == [], "it is the fact's own exposures"
    constant = edits.with_columns(pl.lit(85, pl.UInt64).alias("subject_exposures"))
    assert prepared(constant)[1] == [], "a Latin square balances it"
    assert time_ratio(constant).value == time_ratio(same).value
    # Subjects of many exposures are ten times as stubborn, and have the frequent facts.
    rich = pl.col("exposures") * pl.when(pl.col("subject") % 2 == 0).then(8).otherwise(1)
    swayed = edits.with_columns(
        rich.alias("exposures"),
        pl.when(pl.col("subject") % 2 == 0).then(1000).otherwise(100).alias("subject_exposures"),
        pl.when(pl.col("subject") % 2 == 0)
        .then(pl.col("dose") * 10)
        .otherwise("dose")
        .cast(pl.UInt32)
        .alias("dose"),
    )
    assert time_ratio(swayed).value == pytest.approx(0.15, abs=0.03)
    assert time_ratio(swayed.with_columns(subject_exposures=None)).value > 0.2


def test_edits_without_a_subject_are_left_out_and_counted():
    edits = edits_of(worlds=3)
    assert time_ratio(edits).note is None
    some = pl.int_range(pl.len()) < 2
    partly = edits.with_columns(pl.when(~some).then("subject_exposures"))
    rows, held = prepared(partly)
    lost = prepared(edits)[0].height - rows.height
    assert held == ["subject_doublings"] and 0 < lost <= 2
    assert included(partly) == (rows.height, rows.height + lost)
    found, without = time_ratio(partly), time_ratio(edits.filter(~some))
    assert (found.value, found.low, found.rows) == (without.value, without.low, without.rows)
    counted = f"without {lost} edit{'s' if lost > 1 else ''}"
    said = f"{counted} of facts about objects, which have no subject"
    assert found.note == said == curvature(partly).note
    none = edits.with_columns(subject_exposures=pl.lit(None, pl.UInt64))
    assert prepared(none)[1] == [] and time_ratio(none).note is None


def test_the_margin_takes_its_part():
    edits = edits_of(worlds=4, edits=200, slope=0, through_margin=-0.2, limit=400)
    assert time_ratio(edits).value == pytest.approx(0.2, abs=0.02)
    assert abs(direct_ratio(edits).value) < 0.02


def test_held_out_wordings_have_a_dose_of_their_own():
    edits = edits_of(worlds=3)
    assert held_out_ratio(edits) is None
    doublings = pl.col("exposures").cast(pl.Float64).log(2)
    away = (pl.col("dose") * (0.1 * doublings).exp() * 3).ceil().cast(pl.UInt32)
    both = edits.with_columns(
        away.alias("dose_held_out"),
        (away - 1).alias("dose_held_out_low"),
        pl.col("reached").alias("reached_held_out"),
    )
    found = held_out_ratio(both.filter("reached"))
    assert found.value - time_ratio(edits.filter("reached")).value == pytest.approx(0.1, abs=0.01)
    none = both.with_columns(pl.lit(None, pl.Boolean).alias("reached_held_out"))
    assert held_out_ratio(none) is None


def test_an_effect_that_wears_off_is_bent():
    straight = curvature(edits_of(worlds=6, edits=100, seed=1))
    assert straight.low < 0 < straight.high
    # The log rate's slope grows by 0.03 a doubling, that of the log dose falls by as much.
    bent = curvature(edits_of(worlds=6, edits=100, bend=0.03, limit=400))
    assert bent.value == pytest.approx(-0.03, abs=0.01)
    assert bent.clear
    assert curvature(edits_of(levels=(1, 16))).note == "fewer than three levels of exposures"


def test_the_load_changes_it():
    frames = draw(
        probes=0, noise="lognormal", worlds=5, edits=60, loads=(1, 4), by_load=-0.05, limit=400
    )
    found = load_interaction(frames.edits.collect(), frames.models.collect())
    assert found.value == pytest.approx(0.05, abs=0.02)
    assert found.clear
    # If the load differs with something else alone, its effect is not told from that one's.
    models = frames.models.collect()
    apart = models.with_columns(pl.col("load").round(3).cast(pl.String).alias("apart"))
    assert load_interaction(frames.edits.collect(), apart) is None
    both = models.with_columns(pl.col("world_seed").cast(pl.String).alias("apart"))
    assert load_interaction(frames.edits.collect(), both).value == pytest.approx(found.value)
    one = draw(probes=0)
    assert load_interaction(one.edits.collect(), one.models.collect()) is None


def test_the_load_is_compared_within_a_size():
    """The load changes nothing; the larger models, all of the lower load, have another slope."""
    knobs = {"probes": 0, "noise": "lognormal", "worlds": 5, "edits": 30, "limit": 400}
    small = draw(sizes=("nano",), loads=(1, 4), slope=-0.15, **knobs)
    large = draw(sizes=("micro",), slope=0.0, seed=1, **knobs)
    models = small.models.collect()
    least = large.models.collect().with_columns(load=pl.lit(models["load"].min()))
    both, all_models = (
        pl.concat([small.edits.collect(), large.edits.collect()]), pl.concat([models, least])
    )  # fmt: skip
    found, own = load_interaction(both, all_models), load_interaction(small.edits.collect(), models)
    assert abs(own.value) < 0.02 and own.low < 0 < own.high
    assert (found.value, found.low, found.high) == pytest.approx((own.value, own.low, own.high))
    assert found.note == "clusters and sizes with several loads alone"
    # Where each size has a load of its own, it is of both.
    apart = all_models.with_columns(load=pl.when(size="nano").then(4.0).otherwise(1.0))
    alone = load_interaction(both, apart)
    assert alone.value > 0.05 and alone.note == "loads differ with the size alone"
    sized = draw(sizes=("nano", "micro"), **knobs)
    some = sized.edits.collect().filter((pl.col("size") == "nano") | (pl.col("world_seed") < 3))
    told = load_interaction(some, sized.models.collect())
    assert told.clusters == 3
    assert told.note == "loads differ with the size alone; clusters with several loads alone"


def test_clusters_of_one_load_do_not_count_for_the_change_with_the_load():
    frames = draw(probes=0, noise="lognormal", worlds=5, edits=60, loads=(1, 4), limit=400)
    edits, models = frames.edits.collect(), frames.models.collect()
    more = models.filter(pl.col("load") > pl.col("load").min().over("world_seed"))["model"]
    first = edits.filter((pl.col("world_seed") < 2) | ~pl.col("model").is_in(more.to_list()))
    found = load_interaction(first, models)
    assert (found.clusters, found.note) == (2, "clusters with several loads alone")
    same = load_interaction(first.filter(pl.col("world_seed") < 2), models)
    assert (found.value, found.low) == pytest.approx((same.value, same.low), rel=1e-6)
    # Where no cluster has several, clusters of one load are all there is.
    of_seed = pl.col("model").is_in(more.to_list()) == (pl.col("world_seed") % 2 == 0)
    assert load_interaction(edits.filter(of_seed), models).clusters == 5


def test_the_design_decides_what_is_tested_and_not_the_doses():
    frames = draw(probes=0, noise="lognormal", worlds=2, edits=20, loads=(1, 4), rotations=2)
    edits, models = frames.edits.collect(), frames.models.collect()
    at_once = {"dose": pl.lit(0, pl.UInt32), "reached": pl.lit(value=True)}
    more = models.filter(pl.col("load") > pl.col("load").min().over("world_seed"))["model"]

    def without_steps(chosen):
        return edits.with_columns(
            pl.when(chosen).then(each).otherwise(name).alias(name) for name, each in at_once.items()
        )

    found = load_interaction(without_steps(pl.col("model").is_in(more.to_list())), models)
    assert (found.value, found.note) == (None, "one load among the edits that need a step")
    found = within_fact_ratio(without_steps(pl.col("rotation") == 1))
    assert (found.value, found.note) == (None, "no fact needs steps at several exposures")


def test_twins_of_a_fact_are_compared_with_each_other():
    edits = edits_of(worlds=3, edits=40, rotations=3)
    found = within_fact_ratio(edits)
    assert found.value == pytest.approx(0.15, abs=0.02)
    assert found.clear
    assert (found.rows, found.note) == (edits.height, "600 facts")
    assert within_fact_ratio(edits_of()) is None


def test_facts_of_their_own_difficulty_do_not_move_their_twins():
    # Every fifth fact is ten times as stubborn in both worlds, and is rare in one of them.
    edits = edits_of(worlds=3, edits=100, rotations=2, limit=4000)
    stubborn = pl.when(pl.col("fact") % 5 == 0).then(10).otherwise(1)
    edits = edits.with_columns((pl.col("dose") * stubborn).cast(pl.UInt32))
    assert within_fact_ratio(edits).value == pytest.approx(0.15, abs=0.02)
    assert abs(time_ratio(edits).value - 0.15) > 0.05


def test_totals_that_change_with_the_rotation_are_held_fixed_within_a_fact():
    edits = edits_of(worlds=3, edits=80, rotations=2, by_total=-1.0, limit=400)
    found = within_fact_ratio(edits)
    assert found.value == pytest.approx(0.15, abs=0.02)
    without = within_fact_ratio(edits.with_columns(subject_exposures=None))
    assert abs(without.value - 0.15) > 0.04


def test_a_total_that_moves_with_the_fact_alone_cannot_be_held_fixed_within_it():
    edits = edits_of(worlds=3, edits=10, rotations=2)
    times = pl.col("exposures") * (1 + pl.col("fact") // 4 % 7)
    found = within_fact_ratio(edits.with_columns(times.alias("subject_exposures")))
    assert found.value is None
    assert found.note == "the exposures of a fact and the total of its subject change together"


def test_swapped_pairs_are_enough():
    # Two corpora alike but for pairs of facts that have changed places: only the pairs count.
    edits = edits_of(worlds=4, edits=40, rotations=2)
    swapped = pl.col("fact") % 5 < 2
    first = edits.filter(pl.col("rotation") == 0)
    other = pl.when(pl.col("fact") % 5 == 0).then(4).when(pl.col("fact") % 5 == 1).then(1)
    second = first.with_columns(
        pl.lit(1, pl.Int32).alias("rotation"),
        (pl.col("model") + "-twin").alias("model"),
        other.otherwise("exposures").cast(pl.UInt64).alias("exposures"),
        (pl.col("dose") * pl.when(pl.col("fact") % 5 == 0).then(1.35)
         .when(pl.col("fact") % 5 == 1).then(1 / 1.35).otherwise(1)).ceil().cast(pl.UInt32)
        .alias("dose"),
    )  # fmt: skip
    found = within_fact_ratio(pl.concat([first, second]))
    assert found.rows == 2 * first.filter(swapped).height
    # A factor of 1.35 over the two doublings between 1 and 4 exposures.
    assert found.value == pytest.approx(math.log(1.35) / 2, abs=0.03)


def test_the_same_number_in_another_world_is_another_fact():
    edits = edits_of(worlds=2, loads=(1, 2))
    moved = pl.when(pl.col("world").str.ends_with("-2")).then(pl.col("exposures") * 2)
    assert within_fact_ratio(edits.with_columns(moved.otherwise("exposures"))) is None


def test_edits_of_no_step_have_a_slope_of_their_own():
    edits = edits_of(worlds=4, edits=200, already=0.1)
    found = already_slope(edits)
    assert found.low < 0 < found.high
    assert found.rows == edits.height
    none = already_slope(edits_of())
    assert (none.value, none.note) == (None, "no edit has dose 0")


def test_edits_that_broke_down_have_no_dose():
    edits = edits_of(worlds=3)
    broken = pl.when(pl.col("edit") % 5 == 0).then(pl.lit("loss nan at step 9")).alias("failure")
    found = time_ratio(edits.with_columns(broken))
    assert found == time_ratio(edits.filter(pl.col("edit") % 5 > 0))
    assert found.rows < edits.height
