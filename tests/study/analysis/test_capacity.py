import math
import runpy
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from behemoth.recall.bits import saved_bits
from behemoth.study.analysis.capacity import (
    capacity_by_exposures,
    capacity_by_model,
    recall_by_exposures,
    stored_bits,
)

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]


def test_bits_of_a_fact():
    frame = pl.DataFrame(
        {"objects": [64, 64, 64, 64], "log_probability": [0.0, -math.log(64), -9.0, math.nan]}
    )
    bits = frame.select(saved=saved_bits())["saved"].to_list()
    assert bits == pytest.approx([6, 0, 6 - 9 / math.log(2), 0])


def test_luck_is_no_knowledge():
    """Of facts that are guessed, some well and some ill, nothing is stored."""
    generator = np.random.default_rng(0)
    chances = generator.dirichlet(np.full(64, 0.3), 4000)
    guessed = pl.DataFrame({"objects": 64, "log_probability": np.log(chances[:, 0] + 1e-12)})
    assert guessed.select(bits=stored_bits())["bits"].item() == 0.0
    each = guessed.select(bits=saved_bits().clip(0))["bits"].mean()
    assert each > 0.3, "cut at each fact it would be more"
    known = pl.DataFrame({"objects": [64, 64], "log_probability": [0.0, -2 * math.log(2)]})
    assert known.select(bits=stored_bits())["bits"].item() == pytest.approx(5)


def test_bits_of_a_model():
    recall = draw().recall.collect()
    table = capacity_by_model(recall)
    assert table.height == 3
    assert table["facts"].to_list() == [400] * 3
    offered = 400 * math.log2(50) / 2300
    assert table["offered_per_parameter"].to_list() == pytest.approx([offered] * 3)
    assert (table["bits_per_parameter"] < table["offered_per_parameter"]).all()


def test_the_bits_of_a_model_are_those_of_all_its_facts():
    """Ten facts are known, and six others the less likely for their exposures: these have 0."""
    about = {"model": "m", "size": "nano", "world": "w", "seed": 0, "rotation": 0,
             "parameters": 100, "objects": 16}  # fmt: skip
    facts = [(8, 0.0, True)] * 10 + [(2, -9.0, False)] * 6
    rows = [{**about, "exposures": exposures, "log_probability": value, "exact_match": right}
            for exposures, value, right in facts]  # fmt: skip
    row = capacity_by_model(pl.DataFrame(rows)).row(0, named=True)
    assert (row["facts"], row["bits"], row["offered"], row["recall"]) == (16, 40, 64, 10 / 16)
    assert row["bits_per_parameter"] == pytest.approx(0.4)
    assert row["facts_per_parameter"] == pytest.approx(0.16)


def test_bits_and_recall_rise_with_exposures():
    recall = draw(sizes=("nano", "micro")).recall.collect()
    for table in (capacity_by_exposures(recall), recall_by_exposures(recall)):
        for (_,), part in table.group_by("size"):
            assert part.sort("exposures")["mean"].is_sorted()
            assert (part["clusters"] == 3).all()
    assert recall_by_exposures(recall)["high"].max() <= 1


def test_no_level_stores_more_than_the_world_has():
    """Half of the facts have 2 objects and are never written; the others have 64 and are known."""
    recall = draw().recall.collect()
    written = pl.col("fact") % 2 == 0
    recall = recall.with_columns(
        objects=pl.when(written).then(64).otherwise(2),
        exposures=pl.when(written).then(8).otherwise(0),
        log_probability=pl.when(written).then(0.0).otherwise(-math.log(2)),
    )
    offered = capacity_by_model(recall)["offered_per_parameter"].max()
    found = dict(capacity_by_exposures(recall).select("exposures", "mean").iter_rows())
    assert found == {0: pytest.approx(0, abs=1e-9), 8: pytest.approx(offered)}
