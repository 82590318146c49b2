"""Suites side by side: every value is where it belongs, and what cannot be compared is refused."""

from typing import Any

import polars as pl
import pytest

import behemoth as bh
from behemoth.evaluate.suites.suite import Found, SuiteResult, Taken

ROME = (
    Taken("efficacy", "", 1, Found(0.9, 0.8, 1.0, 8, "subjects"), before=0.1),
    Taken("kl", "", 2, Found(0.3)),
    Taken("dose", "", 1, missing="traces"),
)
LORA = (
    Taken("kl", "", 2, Found(0.2)),
    Taken("efficacy", "", 1, Found(0.7, 0.5, 0.9, 8, "subjects"), before=0.1),
    Taken("portability", "", 1, Found(0.4)),
)


def result(measures, suite="editing", source="edit"):
    frame = pl.DataFrame({"a": [1]})
    return SuiteResult(suite, source, "p", None, "after", None, measures, 1.0, {}, frame)


def values(found):
    return dict(zip(found.select("measure", "name").iter_rows(), found["value"], strict=True))


def test_each_measure_has_a_row_for_each_suite(tmp_path):
    result(ROME).save(tmp_path / "rome")
    found = bh.compare({"rome": tmp_path / "rome", "lora": result(LORA)})
    assert found["measure"].unique(maintain_order=True).to_list() == [
        "efficacy", "kl", "dose", "portability",
    ]  # fmt: skip
    assert found["name"].to_list() == ["rome", "lora"] * 4
    assert found.columns == [
        "measure", "name", "source", "plan_hash", *result(ROME).table().columns[1:],
    ]  # fmt: skip
    assert values(found) == {
        ("efficacy", "rome"): 0.9, ("efficacy", "lora"): 0.7, ("kl", "rome"): 0.3,
        ("kl", "lora"): 0.2, ("dose", "rome"): None, ("dose", "lora"): None,
        ("portability", "rome"): None, ("portability", "lora"): 0.4,
    }  # fmt: skip
    own = found.row(by_predicate=(pl.col("measure") == "efficacy") & (pl.col("name") == "lora"),
                    named=True)  # fmt: skip
    assert (own["low"], own["high"], own["count"], own["before"]) == (0.5, 0.9, 8, 0.1)
    assert found.filter(measure="dose")["missing"].to_list() == ["traces", None]


def test_names_are_those_given(tmp_path):
    for name in ("b", "a"):
        result(ROME).save(tmp_path / name)
    places = [str(tmp_path / "b"), tmp_path / "a"]
    assert bh.compare(places)["name"].to_list()[:2] == list(map(str, places))
    by_source = bh.compare([result(ROME, source="x"), result(ROME, source="y")])
    assert by_source["name"].to_list()[:2] == ["x", "y"]


def test_chosen_measures_are_in_their_order():
    pair = {"rome": result(ROME), "lora": result(LORA)}
    found = bh.compare(pair, measures=["portability", "efficacy"])
    assert found["measure"].to_list() == ["portability"] * 2 + ["efficacy"] * 2
    with pytest.raises(bh.ArgumentError, match=r"'measures': got eficacy \(did you mean efficacy"):
        bh.compare(pair, measures=["eficacy"])
    for none in ([], "kl", 3):
        with pytest.raises(bh.ArgumentError, match=r"argument 'measures': got .*a list of names"):
            bh.compare(pair, measures=none)
    with pytest.raises(bh.ArgumentError, match=r"argument 'measures': got .*each name once"):
        bh.compare(pair, measures=["kl", "efficacy", "kl"])


def test_versions_of_a_measure_are_not_compared():
    older = tuple(Taken(t.name, "", 1, t.found) if t.name == "kl" else t for t in LORA)
    pair = {"rome": result(ROME), "lora": result(older)}
    with pytest.raises(bh.ArgumentError, match=r"kl in version 2 \(rome\) and version 1 \(lora\)"):
        bh.compare(pair)
    assert bh.compare(pair, measures=["efficacy"]).height == 2
    never = tuple(Taken(t.name, "", 1, missing="x") if t.name == "kl" else t for t in LORA)
    assert bh.compare({"rome": result(ROME), "lora": result(never)})["value"].null_count() == 4


def test_what_is_not_two_suites_of_a_kind_is_refused(tmp_path):
    two = r"argument 'suites': got .*allowed: two or more suites"
    few: Any
    for few in ([], [result(ROME)], {"rome": result(ROME)}, "rome", tmp_path, result(ROME), None):
        with pytest.raises(bh.ArgumentError, match=two):
            bh.compare(few)
    other = {"rome": result(ROME), "npo": result(LORA, "unlearning")}
    with pytest.raises(bh.ArgumentError, match="suite editing and, in npo, unlearning"):
        bh.compare(other)
    with pytest.raises(bh.ArgumentError, match="got edit twice"):
        bh.compare([result(ROME), result(LORA)])
    wrong: Any
    for wrong in (tmp_path, tmp_path / "nowhere", 3):
        with pytest.raises(bh.ArgumentError, match=r"argument 'suites': got .*allowed: .*a suite"):
            bh.compare([result(ROME), wrong])
