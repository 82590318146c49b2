"""`behemoth compare`: what is printed of several suites."""

import re

import polars as pl
import pytest

from behemoth.evaluate.suites.suite import Found, SuiteResult, Taken


@pytest.fixture
def suites(tmp_path, monkeypatch):
    def write(name, efficacy, *others, before=0.125, plan="p"):
        first = Taken("efficacy", "", 1, Found(efficacy, 0.25, 0.875), before=before)
        frame = pl.DataFrame({"a": [1]})
        result = SuiteResult(
            "editing", name, plan, None, "after", None, (first, *others), 1.0, {}, frame
        )
        result.save(tmp_path / name)

    monkeypatch.chdir(tmp_path)
    for name in ("measure", "before", "twin"):
        write(name, 0.375, plan="another")
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
    assert head == ["measure", "before", "rome", "rome", "before", "other", "other"]
    assert (row[1], row[6]) == ("0.125", "0.0625")


def test_a_narrow_terminal_shows_no_intervals_and_says_where_they_are(suites, run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "45")
    said = run("compare", "rome", "lora", "--measures", "efficacy").out
    assert "0.75" in said and "0.875" not in said
    assert "with intervals in a terminal of 61 columns, or by --json" in said
    monkeypatch.setenv("COLUMNS", "61")
    assert "0.875" in run("compare", "rome", "lora", "--measures", "efficacy").out


def test_suites_have_their_values_whatever_their_names(suites, run):
    said = run("compare", "measure", "before", "twin", "--measures", "efficacy").out
    head, row, *_ = rows_of(said)
    assert head == ["measure", "before", "measure", "before", "twin"]
    assert row == ["efficacy", "0.125", *["0.375", "(0.25", "to", "0.875)"] * 3]


def test_more_suites_than_have_room_are_below_each_other(suites, run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    names = ["rome", "lora", "other", "measure", "twin"]
    said = re.sub(r"\x1b\[\d+m", "", run("compare", *names, "--measures", "efficacy").out)
    lines = said.partition("with intervals")[0].splitlines()
    assert max(map(len, lines)) <= 40
    numbers = [word for line in lines for word in line.split() if word.startswith("0.")]
    assert {"0.75", "0.625", "0.5", "0.375"} <= set(numbers)


def test_suites_of_different_plans_are_said_to_be(suites, run):
    said = run("compare", "rome", "twin", "--measures", "efficacy").out
    assert "different plans, and so of different facts: rome by p, twin by another" in said
    assert "different plans" not in run("compare", "rome", "lora").out
