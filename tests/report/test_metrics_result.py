"""The published result on metrics counts and summarises the metrics that its frames have."""

from pathlib import Path

import polars as pl

from behemoth.study.analysis.judged import JUDGED
from behemoth.study.analysis.meta_evaluation import judge

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/results/metrics"
ROUNDING = 1e-12


def distinct(rows: pl.DataFrame) -> list[str]:
    """Measures in the order of tables, without those that equal an earlier one on every model."""
    wide = rows.pivot(on="measure", index=["trial", "block", "label"], values="value")
    found: list[str] = []
    for name in (name for name in JUDGED if name in wide.columns):
        if not any((wide[name] - wide[other]).abs().max() <= ROUNDING for other in found):
            found.append(name)
    return found


def test_it_counts_distinct_metrics():
    text = " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())
    rows = pl.read_parquet(PAGE / "frames/metrics_readings.parquet")
    own = distinct(rows)
    names = [name for name in own if JUDGED[name].alone and JUDGED[name].about != "rest"]
    table = judge(rows).table.filter(pl.col("measure").is_in(names))
    complete = table.filter(pl.col("area") == 1).height
    assert f"{complete} of {len(names)} metrics that ask about the forgotten facts" in text
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"(four worlds): {complete} of {len(names)} separate the original" in readme
    medians = [f"{table[which].median():.2f}" for which in ("ranks", "ranks_twin")]
    assert f"the median of Kendall's tau is {medians[0]}, and {medians[1]} by" in text
    kept = rows.filter(~pl.col("method").is_in(["refusal", "dpo_refusal"]))
    others = judge(kept).table.filter(pl.col("measure").is_in(names))
    assert f"the median of the {len(names)} is {others['ranks'].median():.2f}," in text
    assert f"({len(own)} distinct ones" in text
    below = others.filter(pl.col("ranks_high") < 0)["measure"].to_list()
    assert below == ["leak_at_64", "truth_ratio", "linear_probe"]
    assert "three intervals lie below 0 (leaks at 64 samples, truth ratio, linear probe)" in text


def test_what_it_says_of_frequency_is_that_of_its_readings():
    """The truth ratio, of which more is better, falls: the sign is of the value."""
    text = " ".join((PAGE / "index.md").read_text(encoding="utf-8").split())
    table = judge(pl.read_parquet(PAGE / "frames/metrics_readings.parquet")).table
    for name in ("truth_ratio", "linear_probe"):
        row = table.row(by_predicate=pl.col("measure") == name, named=True)
        value, low, high = (f"{row[f'frequency{end}']:.2f}" for end in ("", "_low", "_high"))
        assert f"{value}{' gaps a doubling' * (name == 'truth_ratio')}, {low} to {high}" in text
    assert not ((table["frequency_low"] > 0) | (table["frequency_high"] < 0)).any()
    shipped = pl.read_parquet(PAGE / "frames/metrics_table.parquet")
    assert (shipped["frequency"] - table["frequency"]).abs().max() < ROUNDING
