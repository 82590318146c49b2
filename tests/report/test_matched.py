"""What the comparison at equal cost says in one sentence."""

import polars as pl

from behemoth.report.charts.matched import _finding


def pair(first, second, low, high, *, comparison="rank", cost="kl"):
    return {
        "comparison": comparison, "method": "ft", "optimiser": "adam", "retain_rows": 8,
        "first": first, "second": second, "cost": cost, "outcome": "flipped",
        "difference": 0.2 if low is None else (low + high) / 2, "low": low, "high": high,
    }  # fmt: skip


def test_one_pair_is_given_with_its_interval():
    frame = pl.DataFrame([pair("mlp, rank 1", "mlp, full rank", 0.01, 0.05)])
    assert _finding(frame) == (
        "mlp, rank 1 against mlp, full rank: at the same KL on bystanders 3.0 percentage points "
        "more flip (95% interval +1.0 to +5.0)."
    )


def test_of_many_pairs_those_are_counted_whose_interval_leaves_out_0():
    frame = pl.DataFrame(
        [
            pair("mlp, rank 1", "mlp, full rank", -0.05, -0.01),
            pair("mlp, rank 4", "mlp, full rank", -0.01, 0.02),
            pair("mlp, rank 1", "mlp, rank 4", 0.01, 0.02),
            pair("both, rank 1", "mlp, rank 1", 0.01, 0.02, comparison="part"),
            pair("both, rank 4", "mlp, rank 4", -0.01, 0.02, comparison="part"),
        ]
    )
    assert _finding(frame) == (
        "A lower rank flips more than full rank at the same KL on bystanders in 0 of 2 pairs and "
        "less in 1. The lower of two ranks flips more than the higher at the same KL on "
        "bystanders in 1 of 1 pairs and less in 0. Attention and MLP flip more than the MLP alone "
        "at the same KL on bystanders in 1 of 2 pairs and less in 0. The other intervals include "
        "0."
    )


def test_pairs_without_an_interval_are_counted_as_such():
    """With one cluster there is none, and none that holds 0."""
    frame = pl.DataFrame(
        [pair("mlp, rank 1", "mlp, full rank", None, None),
         pair("mlp, rank 4", "mlp, full rank", None, None)],
        schema_overrides={"low": pl.Float64, "high": pl.Float64},
    )  # fmt: skip
    begun = "A lower rank flips more than full rank at the same KL on bystanders in"
    assert _finding(frame) == f"{begun} 0 of 2 pairs and less in 0 (2 without an interval)."
    some = pl.DataFrame(
        [pair("mlp, rank 1", "mlp, full rank", 0.01, 0.03),
         pair("mlp, rank 4", "mlp, full rank", None, None)]
    )  # fmt: skip
    assert _finding(some) == f"{begun} 1 of 2 pairs and less in 0 (1 without an interval)."


def test_ranks_with_attention_are_not_taken_for_a_comparison_of_parts():
    frame = pl.DataFrame(
        [pair("both, rank 1", "both, rank 4", 0.01, 0.03),
         pair("both, rank 4", "both, rank 16", -0.01, 0.03)]
    )  # fmt: skip
    assert _finding(frame) == (
        "The lower of two ranks flips more than the higher at the same KL on bystanders in 1 of 2 "
        "pairs and less in 0. The other intervals include 0."
    )


def test_means_over_pairs_are_given_at_equal_damage():
    means = [
        pair("lower rank", "full rank", -0.02, 0.01, comparison="rank_mean"),
        pair("both, mean over ranks", "mlp", 0.01, 0.05, comparison="part_mean"),
        pair("both, mean over ranks", "mlp", 0.02, 0.06, comparison="part_mean")
        | {"outcome": "follows"},
        pair("both, mean over ranks", "mlp", 0.2, 0.3, comparison="part_mean", cost="norm"),
    ]
    frame = pl.DataFrame([pair("mlp, rank 1", "mlp, full rank", -0.05, -0.01), *means])
    assert _finding(frame) == (
        "A lower rank flips more than full rank at the same KL on bystanders in 0 of 1 pairs and "
        "less in 1. Averaged over pairs at the same KL, in "
        "percentage points: lower ranks less full rank: \u22120.5 (\u22122.0 to +1.0) of edits "
        "flip; attention and MLP less the MLP alone: +3.0 (+1.0 to +5.0) of edits flip and +4.0 "
        "(+2.0 to +6.0) of "
        "consequences follow."
    )
