import runpy
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from behemoth.study.analysis.collateral import damage, damage_of_edits
from behemoth.study.analysis.consequences import consequences
from behemoth.study.analysis.matched import (
    MATCHED,
    flips_at_matched_cost,
    matched_table,
    outcomes_at_matched_cost,
)
from behemoth.study.results import INDEX
from behemoth.study.schemas import EDITS

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]


def whole(frame):
    """Add the columns of a study's edits that the frame lacks, as null."""
    return frame.with_columns(
        pl.lit(None, dtype).alias(name)
        for name, dtype in {**EDITS, **INDEX}.items()
        if name not in frame.columns
    )


def edits(median, *, worlds=4, each=300, reached=0.9, seed=0, **columns):
    """Edits whose KL at the flip is log-normal around a median."""
    random = np.random.default_rng(seed)
    parts = []
    for world in range(worlds):
        flipped = random.random(each) < reached
        cost = median * np.exp(random.normal(0, 0.5, each) + random.normal(0, 0.05))
        parts.append(
            pl.DataFrame(
                {"world": f"w{world}", "world_seed": world, "seed": 0, "reached": flipped,
                 "kl_at_flip": np.where(flipped, cost, np.nan), **columns}
            )
        )  # fmt: skip
    return pl.concat(parts).with_columns(
        pl.col("kl_at_flip").fill_nan(None), pl.lit(None, pl.String).alias("failure")
    )


def test_what_costs_less_flips_more_within_a_budget():
    found, (low, high) = flips_at_matched_cost(edits(0.1), edits(0.2, seed=1))
    assert found.value > 0.2 and found.clear
    assert (found.clusters, found.rows) == (4, 2400)
    assert 0.03 < low < 0.1 and 0.2 < high < 0.6
    back, _ = flips_at_matched_cost(edits(0.2, seed=1), edits(0.1))
    assert back.value == pytest.approx(-found.value)


def test_what_costs_the_same_does_not():
    found, _ = flips_at_matched_cost(edits(0.1), edits(0.1, seed=1))
    assert found.low < 0 < found.high
    assert abs(found.value) < 0.03


def test_what_never_flips_did_not_within_any_budget():
    some, _ = flips_at_matched_cost(edits(0.1), edits(0.1, seed=1, reached=0.45))
    # Half as many flip at each budget; over the budgets about half of all that flip have.
    assert some.value == pytest.approx(0.45 * 0.5, abs=0.06)


def test_a_method_without_a_flip_has_a_share_of_0():
    first, never = edits(0.1), edits(0.1, seed=1, reached=0.0)
    found, reach = flips_at_matched_cost(first, never)
    rare, same = flips_at_matched_cost(first, edits(0.1, seed=1, reached=0.01))
    assert found.value == pytest.approx(rare.value, abs=0.02) and found.clear
    assert reach == pytest.approx(same, rel=0.05)
    assert (found.clusters, found.rows) == (4, 2400)
    assert flips_at_matched_cost(never, first)[0].value == pytest.approx(-found.value)
    neither, _ = flips_at_matched_cost(never, never)
    assert neither.value is None and neither.note == "neither has an edit with a cost above 0"


def test_a_mean_over_pairs_has_those_of_an_arm_without_a_flip():
    def arm(rank, seed, reached):
        return edits(0.1, seed=seed, reached=reached, rank=rank, part="both", method="ft",
                     label=f"{rank}")  # fmt: skip

    arms = [arm(None, 0, 0.9), arm(4, 1, 0.9), arm(1, 2, 0.0)]
    frame = pl.concat(
        own.with_columns(pl.col("rank").cast(pl.Int64), trial=pl.col("label"),
                         edit=pl.int_range(pl.len()), success=pl.lit(0.5), norm=pl.lit(1.0))
        for own in arms
    )  # fmt: skip
    kl = frame.select("trial", "edit", kl=pl.lit(0.1))
    follows = frame.select("trial", "edit", follows=pl.lit(1.0)).clear()
    table = matched_table(whole(frame), kl, follows).filter(outcome="flipped", cost="kl")
    mean = table.filter(comparison="rank_mean").row(0, named=True)
    pairs = table.filter(comparison="rank", second="both, full rank")["difference"]
    assert mean["difference"] == pytest.approx(pairs.mean()) and pairs.min() < -0.3


def test_an_edit_that_broke_down_did_not_flip_whatever_its_trace_says():
    sound = edits(0.1)
    broken = sound.with_columns(
        pl.when(pl.int_range(pl.len()) % 4 > 0).then(pl.lit("loss nan")).alias("failure")
    )
    found, _ = flips_at_matched_cost(broken, sound)
    quarter, _ = flips_at_matched_cost(edits(0.1, reached=0.9 / 4), sound)
    assert found.value < 0 and found.value == pytest.approx(quarter.value, abs=0.05)


def test_an_edit_that_needs_no_step_flips_within_every_budget():
    def with_free(frame, share):
        free = pl.int_range(pl.len()) % 10 < 10 * share
        return frame.with_columns(
            (pl.col("reached") | free).alias("reached"),
            pl.when(free).then(0.0).otherwise("kl_at_flip").alias("kl_at_flip"),
        )

    first, second = edits(0.1, reached=1.0), edits(0.2, seed=1, reached=1.0)
    every, reach = flips_at_matched_cost(first, second)
    half, same = flips_at_matched_cost(with_free(first, 0.5), with_free(second, 0.5))
    # What both have for nothing does not tell them apart, nor does it move the budgets.
    assert half.value == pytest.approx(every.value / 2, abs=0.02) and every.value > 0.2
    assert same == pytest.approx(reach, rel=0.1)
    found, _ = flips_at_matched_cost(with_free(first, 1.0), second)  # one has nothing else
    assert found.value > 0.4
    nothing, _ = flips_at_matched_cost(with_free(first, 1.0), with_free(second, 1.0))
    assert nothing.note == "neither has an edit with a cost above 0"


def test_what_follows_is_compared_over_edits_with_dependent_facts_also_where_they_broke_down():
    first = sweep(0.0).rename({"success": "follows"}).with_columns(
        # One edit in ten has a dependent fact; the rate of breaking down does not depend on that.
        pl.when(pl.int_range(pl.len()) % 10 == 0).then(1.0).alias("follows"),
        pl.lit(None, pl.String).alias("failure"),
    )  # fmt: skip
    broken = first.with_columns(
        pl.when(pl.int_range(pl.len()) % 7 == 0).then(pl.lit("loss nan")).alias("failure")
    )
    found, _ = outcomes_at_matched_cost(broken, first, "follows")
    assert found.value == pytest.approx(-1 / 7, abs=0.03)


def test_success_at_matched_cost_counts_what_broke_down_as_none():
    def sweep(success, broken):
        random = np.random.default_rng(3)
        parts = []
        for world in range(4):
            for label, kl in (("slow", 0.1), ("fast", 1.0)):
                failed = random.random(50) < broken
                won = np.where(failed, 0.0, (random.random(50) < success).astype(float))
                parts.append(
                    pl.DataFrame(
                        {"world_seed": world, "seed": 0, "label": label, "success": won,
                         "kl": np.where(failed, np.nan, kl * np.exp(random.normal(0, 0.1, 50))),
                         "failure": np.where(failed, "loss nan", "")}
                    )
                )  # fmt: skip
        return pl.concat(parts).with_columns(
            pl.col("kl").fill_nan(None), pl.col("failure").replace("", None)
        )

    found, _ = outcomes_at_matched_cost(sweep(1.0, 0.9), sweep(0.9, 0.0), "success")
    assert found.value == pytest.approx(-0.8, abs=0.05) and found.clear


def test_costs_that_are_not_there():
    one = edits(0.1)
    none = one.with_columns(pl.lit(None, pl.Float64).alias("kl_at_flip"))
    for other in (none, one.clear()):
        found, reach = flips_at_matched_cost(one, other)
        assert (found.value, reach) == (None, None)
        assert found.note == "one of them has no edit with a cost"
    # A flip of unknown cost is one that flipped all the same.
    half = one.with_columns(pl.when(pl.int_range(pl.len()) % 2 == 0).then("kl_at_flip"))
    found, _ = flips_at_matched_cost(half, edits(0.1, seed=1))
    assert abs(found.value) < 0.05


def sweep(lift, rates=(1, 2, 4, 8), *, seed=0, worlds=4, each=50):
    """Success grows with the logarithm of KL, and a method's lift comes on top."""
    random = np.random.default_rng(seed)
    parts = []
    for world in range(worlds):
        for rate in rates:
            kl = 0.01 * rate * np.exp(random.normal(0, 0.2, each))
            success = 0.3 + 0.1 * np.log(rate) + lift + random.normal(0, 0.05, each)
            parts.append(
                pl.DataFrame(
                    {"world": f"w{world}", "world_seed": world, "seed": 0, "label": f"rate {rate}",
                     "kl": kl, "success": success}
                )
            )  # fmt: skip
    return pl.concat(parts).with_columns(pl.lit(None, pl.String).alias("failure"))


def test_curves_are_read_off_at_equal_cost():
    # The second was run at rates twice as high: at its own settings it looks better.
    first, second = sweep(0.05), sweep(0.0, (2, 4, 8, 16), seed=1)
    assert second["success"].mean() > first["success"].mean()
    found, (low, high) = outcomes_at_matched_cost(first, second, "success")
    assert found.value == pytest.approx(0.05, abs=0.02)
    assert found.clear
    assert (low, high) == pytest.approx((0.02, 0.08), rel=0.1)


def test_curves_that_do_not_meet_are_not_compared():
    found, reach = outcomes_at_matched_cost(sweep(0), sweep(0, (64, 128)), "success")
    assert (found.value, found.note, reach) == (None, "no cost that both have", None)
    found, _ = outcomes_at_matched_cost(sweep(0), sweep(0, (2,)), "success")
    assert found.note == "a sweep of one setting is no curve"
    found, _ = outcomes_at_matched_cost(sweep(0), sweep(0).clear(), "success")
    assert found.value is None


def test_the_table_of_ranks_and_parts():
    settings = {
        f"{part} {rank} at {rate}": {"rank": rank, "part": part}
        for part in ("mlp", "both")
        for rank in (1, None)
        for rate in (1, 2)
    }
    frames = draw(labels=tuple(settings), settings=settings, edits=4, worlds=2)
    every = frames.edits.collect()
    rows = damage(frames.probes)
    table = matched_table(every, damage_of_edits(rows), consequences(frames.probes))
    assert table.schema == MATCHED
    pairs = table.select("comparison", "first", "second").unique(maintain_order=True).rows()
    assert pairs == [
        ("rank", "both, rank 1", "both, full rank"),
        ("rank", "mlp, rank 1", "mlp, full rank"),
        ("part", "both, rank 1", "mlp, rank 1"),
        ("part", "both, full rank", "mlp, full rank"),
        ("rank_mean", "lower rank", "full rank"),
        ("part_mean", "both, mean over ranks", "mlp"),
    ]
    assert table.height == (4 + 2) * 2 * 3
    compared = table.filter(
        (pl.col("outcome") == "flipped") & (pl.col("cost") == "kl"),
        pl.col("comparison").str.starts_with("part"),
    )
    *each, mean = compared.iter_rows(named=True)
    assert mean["difference"] == pytest.approx(np.mean([row["difference"] for row in each]))
    assert mean["edits"] == sum(row["edits"] for row in each)  # no arm is in two of these pairs
    ranks = table.filter(pl.col("comparison") == "rank_mean", pl.col("outcome") == "flipped")
    assert (ranks["edits"] == mean["edits"]).all()
    # A cluster is left out of all pairs together: the error is not that of independent pairs.
    assert mean["low"] < mean["difference"] < mean["high"]
    assert mean["clusters"] == each[0]["clusters"] == 2
    # Frames from before there were costs at the flip.
    before = every.with_columns(norm_at_flip=None, kl_at_flip=None)
    old = matched_table(before, damage_of_edits(rows), consequences(frames.probes))
    old = old.filter(pl.col("outcome") == "flipped")
    assert old["difference"].is_null().all() and old["note"].is_not_null().all()
    swept = table.filter((pl.col("outcome") == "success") & (pl.col("cost") == "norm"))
    assert swept["difference"].drop_nulls().len() + swept["note"].drop_nulls().len() >= 4
    assert (
        matched_table(every.clear(), damage_of_edits(rows), consequences(frames.probes)).height == 0
    )


def test_arms_are_compared_on_the_models_that_both_have():
    """The second world of one arm is harder: over all edits two equal arms differ by 0.17."""
    random = np.random.default_rng(1)
    rows = [
        {"trial": f"{seed}-{rank}-{world}", "edit": edit, "fact": edit, "label": f"rank {rank}",
         "method": "lora" if rank else "ft", "rank": rank, "part": "mlp", "world_seed": seed,
         "seed": seed, "world": world, "model": f"{seed}{world}", "reached": True,
         "failure": None, "success": 1.0, "norm": 1.0,
         "kl_at_flip": float(random.lognormal(-3 + (world == "b"), 0.6))}
        for seed in range(8) for rank, worlds in ((1, "ab"), (None, "a"))
        for world in worlds for edit in range(60)
    ]  # fmt: skip
    frame = whole(pl.DataFrame(rows, schema_overrides={"failure": pl.String, "rank": pl.Int64}))
    kl = frame.select("trial", "edit", kl=pl.lit(0.1))
    follows = frame.select("trial", "edit", follows=pl.lit(1.0)).clear()
    [row] = matched_table(frame, kl, follows).filter(outcome="flipped", cost="kl").to_dicts()
    assert abs(row["difference"]) < 0.05 and row["low"] < 0 < row["high"]
    assert row["note"] == "only facts that both edited, in 8 models" and row["edits"] == 2 * 8 * 60
    one = frame.filter(seed=0)
    [row] = matched_table(one, kl, follows).filter(outcome="flipped", cost="kl").to_dicts()
    assert row["note"] == "one cluster: no interval; only facts that both edited, in 1 model"
    apart = frame.filter(pl.col("rank").is_null() | (pl.col("world") == "b"))
    [row] = matched_table(apart, kl, follows).filter(outcome="flipped", cost="kl").to_dicts()
    assert row["difference"] is None and row["note"] == "no fact of a model that both edited"


def test_points_of_a_sweep_are_of_the_same_facts():
    """Rank 16 is the same arm as rank 1, but two of its rates were run in the easy models alone."""
    random = np.random.default_rng(2)
    rows = [
        {"trial": f"{rank}-{rate}-{seed}", "edit": edit, "fact": edit, "label": f"{rank} at {rate}",
         "method": "lora", "rank": rank, "part": "mlp", "world_seed": seed, "seed": seed,
         "world": f"w{seed}", "model": f"m{seed}", "reached": True, "failure": None, "norm": 1.0,
         "success": float(random.random() < (0.8 if seed < 4 else 0.3) + 0.1 * (rate - 1)),
         "kl": rate * float(random.lognormal(-3, 0.1)), "kl_at_flip": 1.0}
        for rank in (1, 16) for rate in (1, 2, 3) for seed in range(8) for edit in range(60)
        if rank == 1 or rate == 2 or seed < 4
    ]  # fmt: skip
    frame = whole(pl.DataFrame(rows, schema_overrides={"failure": pl.String}))
    kl = frame.select("trial", "edit", "kl")
    follows = frame.select("trial", "edit", follows=pl.lit(1.0)).clear()
    table = matched_table(frame.drop("kl"), kl, follows).filter(cost="kl")
    [row] = table.filter(outcome="success").to_dicts()
    assert abs(row["difference"]) < 0.05 and row["low"] < 0 < row["high"]
    assert row["note"] == "only facts that both edited at every setting, in 4 models"
    assert row["edits"] == 2 * 3 * 4 * 60 and row["clusters"] == 4
    # Flips are counted over the steps of each edit, not over the sweep.
    assert table.filter(outcome="flipped")["edits"].to_list() == [(3 * 8 + 8 + 2 * 4) * 60]
    apart = frame.drop("kl").filter(~((pl.col("label") == "16 at 2") & (pl.col("seed") < 4)))
    [row] = matched_table(apart, kl, follows).filter(cost="kl", outcome="success").to_dicts()
    assert row["note"] == "no fact of a model that both edited at every setting"


def test_only_what_differs_in_one_thing_is_compared():
    settings = {
        "lora": {"rank": 1, "part": "mlp"},
        "ft": {"rank": None, "part": "mlp"},
        "ascent": {"rank": None, "part": "mlp", "method": "grad_ascent"},
    }
    frames = draw(labels=tuple(settings), settings=settings, edits=4, worlds=2)
    every = frames.edits.collect()
    of_edits, follows = damage_of_edits(damage(frames.probes)), consequences(frames.probes)
    table = matched_table(every, of_edits, follows)
    assert set(table["method"]) == {"ft"}
    assert (table.filter(pl.col("outcome") == "flipped")["edits"] == 2 * 2 * 5 * 4).all()
    # Without and with a retain term they differ in two things.
    retain = pl.when(pl.col("label") == "ft").then(8).otherwise(0).alias("retain_rows")
    assert matched_table(every.with_columns(retain), of_edits, follows).height == 0
