"""Results of suites: what is saved comes back, also from files of earlier versions."""

import json
import math
from dataclasses import replace

import polars as pl
import pytest

from behemoth import CorpusError
from behemoth.evaluate.suites import suite as module
from behemoth.evaluate.suites.suite import Found, SuiteResult, Taken
from behemoth.support.digests import SEAL, sealed
from behemoth.support.files import as_json


def test_values_that_json_does_not_have_are_null_and_come_back(tmp_path):
    def refuse(text):
        raise AssertionError(f"{text} is not JSON")

    measures = (
        Taken("relearning_steps", "", 1, Found(math.inf, low=3.0, high=math.inf), twin=2.0),
        Taken("truth_ratio", "", 1, Found(math.nan)),
        Taken("score", "", 1, Found(0.5)),
        Taken("kl_twin_forget", "", 1, missing="a twin"),
        Taken("log_ratio", "", 1, Found(0.5, low=-math.inf, high=math.inf)),
    )
    suite = SuiteResult(
        "unlearning", "edit", None, None, "after", None, measures, 1.0, {}, pl.DataFrame({"a": [1]})
    )
    assert suite.save(tmp_path) == tmp_path
    written = json.loads((tmp_path / "suite.json").read_text(), parse_constant=refuse)
    steps, ratio, score, divergence, log_ratio = written["measures"]
    assert (divergence["value"], divergence["missing"]) == (None, "a twin")
    assert (steps["value"], steps["low"], steps["high"], steps["twin"]) == (None, 3.0, None, 2.0)
    assert steps["infinite"] == ["value", "high"]
    assert (log_ratio["low"], log_ratio["infinite"]) == (None, ["high", "-low"])
    assert ratio["value"] is None and "infinite" not in ratio | score
    read = SuiteResult.load(tmp_path)
    assert read.measures[0] == measures[0] and read.measures[2:] == measures[2:]
    assert math.isnan(read["truth_ratio"])
    assert list(read) == ["relearning_steps", "truth_ratio", "score", "log_ratio"]
    assert len(read) == 4
    missing = replace(read, measures=measures[3:4])
    assert len(missing) == 0 and missing
    assert {name: read[name] for name in read}["score"] == 0.5 and "kl_twin_forget" not in read


def test_a_suite_of_an_earlier_version_is_read(tmp_path):
    measures = (Taken("forget_recall", "", 1, Found(0.5), twin=0.2, before=0.9),)
    SuiteResult(
        "unlearning", "edit", None, None, "after", None, measures, 1.0, {}, pl.DataFrame({"a": [1]})
    ).save(tmp_path)
    file = tmp_path / "suite.json"
    told = json.loads(file.read_text())
    assert told["measures"][0].pop("before") == 0.9
    file.write_bytes(as_json(sealed({key: told[key] for key in told if key != SEAL})))
    [taken] = SuiteResult.load(tmp_path).measures
    assert (taken.before, taken.twin) == (None, 0.2)


def test_where_the_disk_is_full_no_part_of_a_new_suite_is_left(tmp_path, monkeypatch):
    suite = SuiteResult(
        "editing", "edit", None, None, "after", None, (), 1.0, {}, pl.DataFrame({"a": [1]})
    )

    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    suite.save(tmp_path / "old")
    monkeypatch.setattr(module, "write_bytes", full)
    for place, left in (("new", []), ("old", ["frame.parquet", "suite.json"])):
        with pytest.raises(OSError, match="No space left"):
            replace(suite, frame=pl.DataFrame({"a": [2]})).save(tmp_path / place)
        assert sorted(path.name for path in (tmp_path / place).iterdir()) == left
    assert SuiteResult.load(tmp_path / "old").frame.equals(suite.frame)


@pytest.mark.parametrize(
    "change",
    [
        {"failed_edits": "x"},
        {"source": None},
        {"versions": []},
        {"name": [None]},
        {"version": "1"},
        {"value": "0.5"},
        {"count": 1.5},
        {"infinite": [None]},
    ],
    ids=str,
)
def test_values_of_another_type_are_a_damaged_record(tmp_path, change):
    measures = (Taken("forget_recall", "", 1, Found(0.5)), Taken("kl", "", 1, missing="a twin"))
    SuiteResult(
        "unlearning", "edit", None, None, "after", None, measures, 1.0, {}, pl.DataFrame({"a": [1]})
    ).save(tmp_path)
    file = tmp_path / "suite.json"
    told = json.loads(file.read_text())
    del told[SEAL]
    place = told if set(change) <= set(told) else told["measures"][0]
    place.update(change)
    file.write_bytes(as_json(sealed(told)))
    with pytest.raises(CorpusError, match=r"suite\.json is damaged: it is not a valid result"):
        SuiteResult.load(tmp_path)
