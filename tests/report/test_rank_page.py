"""The table of the shipped page on rank is that of the shipped frame, and so is its correction."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

PAGE = Path(__file__).parents[2] / "docs/results/rank"
PAIRS = {
    "rank_mean": (pl.col("comparison") == "rank") & pl.col("second").str.ends_with("full rank"),
    "part_mean": pl.col("comparison") == "part",
}


@pytest.fixture(scope="module")
def matched():
    return pl.read_parquet(PAGE / "frames/matched.parquet")


@pytest.mark.parametrize("cost", ["kl", "norm"])
@pytest.mark.parametrize("comparison", ["rank_mean", "part_mean"])
def test_means_and_their_budgets_are_those_of_the_frame(cost, comparison, matched, page_rows):
    rows = page_rows(PAGE / "index.md", "mean difference")
    assert len(rows) == 4
    begin = {"kl": "at equal KL: ", "norm": "at equal norm: "}[cost]
    begin += {"rank_mean": "a lower rank", "part_mean": "attention and MLP"}[comparison]
    [cells] = [cells for name, cells in rows.items() if name.startswith(begin)]
    for outcome, value, budgets in (("flipped", *cells[:2]), ("follows", *cells[2:])):
        [mean] = matched.filter(comparison=comparison, cost=cost, outcome=outcome).to_dicts()
        points = [f"{100 * mean[name]:.1f}" for name in ("difference", "low", "high")]
        assert value.replace("\N{MINUS SIGN}", "-") == "{} ({} to {})".format(*points)
        pairs = matched.filter(PAIRS[comparison], cost=cost, outcome=outcome)
        low, high = budgets.removesuffix(" nats").split(" to ")
        assert low == f"{pairs['cost_low'].min():.{len(low) - 2}f}"
        assert high == f"{pairs['cost_high'].max():.{len(high) - 2}f}"


def test_no_mean_at_equal_kl_survives_correction(matched):
    """Holm's method: the lowest of four, four times."""
    from scipy import stats

    means = matched.filter(
        pl.col("comparison").is_in(list(PAIRS)), pl.col("outcome") != "success", cost="kl"
    )
    assert means.height == 4
    lowest = 1.0
    for row in means.iter_rows(named=True):
        freedom = row["clusters"] - 1
        error = (row["high"] - row["low"]) / 2 / stats.t.ppf(0.975, freedom)
        lowest = min(lowest, 2 * stats.t.sf(abs(row["difference"]) / error, freedom))
    text = (PAGE / "index.md").read_text(encoding="utf-8")
    assert f"the lowest p is {4 * lowest:.3f}." in text and 4 * lowest > 0.05


def test_the_success_of_lower_ranks_is_that_of_the_frame(matched):
    [row] = matched.filter(comparison="rank_mean", cost="kl", outcome="success").to_dicts()
    points = "{:.1f} points ({:.1f} to {:.1f})".format(
        *(100 * row[name] for name in ("difference", "low", "high"))
    )
    text = (PAGE / "index.md").read_text(encoding="utf-8")
    assert points in text.replace("\N{MINUS SIGN}", "-")
