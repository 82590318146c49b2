"""Suite recall: bits and levels of exposures."""

import math
from types import SimpleNamespace

import polars as pl
import pytest

from behemoth.evaluate import SUITES
from behemoth.study.analysis.capacity import stored_bits


def measures(measured):
    return {measure.name: measure for measure in SUITES["recall"].measures(measured)}


def measured_of(rows, *, objects=16):
    """A measured of rows (exposures, log-probability), one subject each, in a written wording."""
    frame = pl.DataFrame(
        [
            {"fact": fact, "link": False, "subject": fact, "relation": 0, "exposures": exposures,
             "log_probability": value, "held_out": False, "seen": None, "exact_match": True,
             "valid_object": True}
            for fact, (exposures, value) in enumerate(rows)
        ],
        schema_overrides={"log_probability": pl.Float64, "seen": pl.Boolean},
    )  # fmt: skip
    world = SimpleNamespace(relation_table=[{"relation": 0, "objects": objects}])
    run = SimpleNamespace(corpus=SimpleNamespace(world=world), parameters_without_embedding=100)
    return SimpleNamespace(recall=frame, run=run, written_facts=float(frame.height))


ROWS = {
    "a level that is known and one that is worse than chance": [
        *[(64, 0.0)] * 10,
        *[(1, -9.0)] * 10,
    ],
    "facts that are not finite": [(8, 0.0), (8, math.nan), (8, -math.inf), (8, -1.0)],
    "levels of unequal size": [(2, -0.5), (2, -4.0), (2, -1.0), (4, 0.0)],
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_bits_are_clipped_by_level_as_in_the_analysis_of_capacity(rows):
    measured = measured_of(rows)
    found = measures(measured)["bits_per_fact"].find(measured)
    levels = (
        measured.recall.with_columns(objects=pl.lit(16))
        .group_by("exposures")
        .agg(stored_bits().alias("bits"), pl.len().alias("facts"))
    )
    wanted = (levels["bits"] * levels["facts"]).sum() / len(rows)
    assert found.value == pytest.approx(wanted, abs=1e-12)
    assert found.low <= found.value <= found.high and found.count == len(rows)
    per_parameter = measures(measured)["bits_per_parameter"].find(measured)
    assert per_parameter.value == pytest.approx(wanted * len(rows) / 100)


def test_an_object_that_links_are_of_is_no_subject_of_its_number():
    measured = measured_of(ROWS["levels of unequal size"])
    rows = pl.concat([measured.recall, measured.recall.with_columns(pl.col("fact") + 4, link=True)])
    linked = SimpleNamespace(recall=rows, run=measured.run, written_facts=8.0)
    assert measures(linked)["bits_per_fact"].find(linked).count == 8


def test_a_level_below_chance_takes_no_bits_from_another():
    rows = ROWS["a level that is known and one that is worse than chance"]
    measured = measured_of(rows)
    assert measures(measured)["bits_per_fact"].find(measured).value == pytest.approx(2.0)


def test_levels_beyond_sixteen_are_ranges():
    rows = [(exposures, 0.0) for exposures in (*range(17), 40)]
    measured = measured_of(rows)
    names = [name for name in measures(measured) if name.startswith("recall_exposures_")]
    ranges = ("0", "1", "2_to_3", "4_to_7", "8_to_15", "16_to_31", "32_to_63")
    assert names == [f"recall_exposures_{level}" for level in ranges]
    few = measured_of([(exposures, 0.0) for exposures in range(16)])
    names = [name for name in measures(few) if name.startswith("recall_exposures_")]
    assert names == [f"recall_exposures_{level}" for level in range(16)]


def test_a_range_of_levels_contains_its_ends():
    measured = measured_of([(exposures, 0.0) for exposures in range(32)])
    measured.recall = measured.recall.with_columns(exact_match=pl.col("exposures").is_in([4, 7]))
    measured.mean = lambda rows, value, _: rows.select(value.mean()).item()
    found = {name: measure.find(measured) for name, measure in measures(measured).items()
             if name.startswith("recall_exposures_")}  # fmt: skip
    assert found["recall_exposures_4_to_7"] == 0.5
    assert found["recall_exposures_2_to_3"] == found["recall_exposures_8_to_15"] == 0.0


def test_bits_of_each_level():
    measured = measured_of(
        [*[(0, 0.0)] * 5, *[(1, -9.0)] * 10, *[(4, -math.log(2))] * 3, *[(64, 0.0)] * 7]
    )
    found = {name: measure.find(measured).value for name, measure in measures(measured).items()
             if name.startswith("bits_exposures_")}  # fmt: skip
    assert found == pytest.approx(
        {"bits_exposures_1": 0.0, "bits_exposures_4": 3.0, "bits_exposures_64": 4.0}
    )
    # The mean over all written facts is theirs, weighted by their numbers of facts.
    assert measures(measured)["bits_per_fact"].find(measured).value == pytest.approx((9 + 28) / 20)


def test_recall_of_written_facts_excludes_those_that_are_never_written():
    measured = measured_of([(0, 0.0), (0, 0.0), (4, 0.0), (16, 0.0)])
    measured.recall = measured.recall.with_columns(exact_match=pl.col("exposures") > 0)
    measured.mean = lambda rows, value, _: rows.select(value.mean()).item()
    found = measures(measured)
    assert found["recall"].find(measured) == 0.5 and found["recall_written"].find(measured) == 1.0
    assert "never written" in found["recall"].meaning


def test_questions_that_the_corpus_does_not_ask_are_no_written_wordings():
    measured = measured_of([(4, 0.0), (4, 0.0)])
    measured.mean = lambda rows, value, _: rows.select(value.mean()).item()
    wrong = {"exact_match": pl.lit(False), "valid_object": pl.lit(False),
             "log_probability": pl.lit(-9.0)}  # fmt: skip
    unasked = measured.recall.with_columns(seen=pl.lit(False), **wrong)
    also = unasked.with_columns(held_out=pl.lit(True))
    asked = measured.recall.with_columns(seen=pl.lit(True))
    bits = measures(measured)["bits_per_fact"].find(measured).value
    measured.recall = pl.concat([measured.recall, asked, unasked, also])
    found = measures(measured)
    for name in ("recall", "recall_written", "recall_exposures_4", "valid_object"):
        assert found[name].find(measured) == 1.0, name
    assert found["bits_per_fact"].find(measured).value == pytest.approx(bits)
    assert found["recall_unasked"].find(measured) == 0.0
    assert found["recall_held_out"].find(measured) is None
    measured.recall = measured.recall.vstack(asked.with_columns(held_out=pl.lit(True)))
    assert found["recall_held_out"].find(measured) == 1.0
