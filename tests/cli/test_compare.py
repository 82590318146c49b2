"""`behemoth compare`: what is printed of several suites."""

import polars as pl
import pytest

from behemoth.evaluate.suites.suite import Found, SuiteResult, Taken


@pytest.fixture
def suites(tmp_path, monkeypatch):
    def write(name, efficacy, *others, before=0.125):
        first = Taken("efficacy", "", 1, Found(efficacy, 0.25, 0.875), before=before)
        frame = pl.DataFrame({"a": [1]})
        result = SuiteResult(
            "editing", name, "p", None, "after", None, (first, *others), 1.0, {}, frame
        )
        result.save(tmp_path / name)

    monkeypatch.chdir(tmp_path)
    write("rome", 0.75, Taken("kl", "", 1, Found(0.5)), Taken("dose", "", 1, missing="traces"))
    write("lora", 0.625)
    write("other", 0.5, before=0.0625)


def rows_of(text):
    return [line.split() for line in text.splitlines() if line.strip()]


def test_values_with_intervals_stand_side_by_side(suites, run):
    between = ["(0.25", "to", "0.875)"]
    said = run("compare", "rome", "lora").out
    assert rows_of(said) == [
        ["measure", "before", "rome", "lora"],
        ["efficacy", "0.125", "0.75", *between, "0.625", *between],
        ["kl", "0.5", "-"],
        ["Taken", "by", "none:", "dose"],
    ]


def test_unedited_models_that_differ_have_columns_of_their_own(suites, run):
    head, row, *_ = rows_of(run("compare", "rome", "other", "--measures", "efficacy").out)
    assert head == ["measure", "before", "rome", "before", "other", "rome", "other"]
    assert row[:3] == ["efficacy", "0.125", "0.0625"]


def test_a_narrow_terminal_shows_no_intervals_and_says_where_they_are(suites, run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "45")
    said = run("compare", "rome", "lora", "--measures", "efficacy").out
    assert "0.75" in said and "0.875" not in said
    assert "with intervals in a terminal of 61 columns, or by --json" in said
    monkeypatch.setenv("COLUMNS", "61")
    assert "0.875" in run("compare", "rome", "lora", "--measures", "efficacy").out
