import runpy
from pathlib import Path

import polars as pl
import pytest

from behemoth.study.analysis.contrasts import CONTRASTS, MEASURES
from behemoth.study.analysis.headline import headline
from behemoth.study.analysis.summary import summarise

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]
PRIMARY = {"measure": "ed50", "method": "lora rank 1"}


def sum_up(primary=PRIMARY, **knobs):
    return summarise(draw(**knobs), primary, resamples=50)


def test_the_stated_contrast_comes_first_and_is_not_corrected():
    table = sum_up(labels=("ft", "lora rank 1")).contrasts
    assert table.schema == CONTRASTS
    first = table.row(0, named=True)
    assert (first["label"], first["contrast"], first["filter"]) == ("lora rank 1", "dose", "all")
    assert first["role"] == "primary"
    assert first["p_holm"] is None
    rest = table[1:]
    assert (rest["role"] == "secondary").all()
    assert set(table["contrast"]) == set(MEASURES) - {"dose_within_fact"}


def test_holm_over_all_that_were_tested():
    rest = sum_up().contrasts.filter(pl.col("role") == "secondary").drop_nulls("p").sort("p")
    assert rest.height > 10
    assert (rest["p_holm"] >= rest["p"]).all()
    assert rest["p_holm"].is_sorted()
    assert rest["p_holm"][0] == pytest.approx(min(1, rest["p"][0] * rest.height))


def test_nothing_is_found_where_nothing_is():
    # Of many contrasts over several studies none should survive the correction.
    found = 0
    for seed in range(4):
        table = sum_up(slope=0, damage=0, seed=seed, edits=30).contrasts
        found += table.filter(pl.col("p_holm") < 0.05).height
    assert found == 0


def test_twins_add_a_contrast_within_facts():
    table = sum_up(rotations=2, edits=20).contrasts
    assert "dose_within_fact" in table["contrast"].to_list()


def words(primary=PRIMARY, **knobs):
    return headline(sum_up(primary, **knobs), primary)


def test_the_headline_says_that_the_dose_rises():
    said = words(worlds=5)
    assert said.verdict == "rises"
    assert "higher edit dose" in said.title
    assert "ED50 rises from" in said.text
    assert "5 clusters" in said.text and "4 degrees of freedom" in said.text
    assert "right-censored" in said.text
    assert "95 % interval" in said.text


def test_or_falls():
    said = words(worlds=5, slope=0.15, base=0.02)
    assert said.verdict == "falls"
    assert "lower edit dose" in said.title


def test_or_that_nothing_is_clear():
    said = words(slope=0, seed=2)
    assert said.verdict == "no clear effect"
    assert "No clear effect" in said.title
    assert "holds 1" in said.text
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
    assert "more than 60 steps (censored)" in said.text
    assert "count as right-censored" in said.text


def test_unlearning_is_called_so():
    said = words(worlds=5, kind="forget")
    assert "unlearn dose" in said.title
    assert "being forgotten" in said.text


def test_a_study_about_success():
    said = words({"measure": "success", "method": "lora rank 1"}, worlds=5, edits=150)
    assert said.verdict == "falls"
    assert "less success" in said.title
    assert "odds" in said.text
