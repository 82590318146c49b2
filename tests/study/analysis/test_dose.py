import math
import runpy
from pathlib import Path

import polars as pl
import pytest

from behemoth.study.analysis.dose import dose_table, dosed

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]


def test_ed50_of_known_rates():
    edits = draw(worlds=4, edits=800, scatter=0, base=0.01, limit=1000, probes=0).edits.collect()
    table = dose_table(edits, resamples=100)
    assert set(table["filter"]) == {"all", "known"}
    for row in table.filter(pl.col("filter") == "all").iter_rows(named=True):
        median = math.log(2) / (0.01 * math.exp(-0.15 * math.log2(row["exposures"])))
        assert row["ed50"] == pytest.approx(median, rel=0.1)
        assert row["low"] <= row["ed50"] <= row["high"]
        assert row["clusters"] == 4


def test_what_is_not_reached_is_censored():
    edits = draw(base=0.001, probes=0).edits.collect()
    table = dose_table(edits, by=("label", "exposures"), resamples=50)
    assert table["censored"].all()
    assert table["ed50"].is_null().all()
    assert (table["beyond"] == 60).all()


def test_known_facts_are_a_part_of_all():
    edits = draw(probes=0).edits.collect()
    table = dose_table(edits, resamples=10)
    sizes = table.pivot(on="filter", index="exposures", values="edits")
    assert (sizes["known"] < sizes["all"]).any()
    assert sizes["known"].sum() == edits["known"].sum()


def test_edits_without_a_dose_are_left_out():
    edits = draw(probes=0).edits.collect()
    none = edits.with_columns(pl.lit(None, pl.UInt32).alias("dose"))
    assert dosed(none).height == 0
    assert dose_table(none).height == 0
