"""Single edits with what was asked of them."""

import math
import runpy
from pathlib import Path

import polars as pl
import pytest

from behemoth.study.analysis.cases import MOST, _facts, cases_of
from behemoth.study.results import Results

draw = runpy.run_path(str(Path(__file__).parents[1] / "synthetic.py"))["draw"]


@pytest.fixture(scope="module")
def results(finished):
    return Results.open(finished[0])


@pytest.fixture(scope="module")
def cases(results):
    return cases_of(results)


def test_every_fact_is_there_by_every_method_of_one_model(results, cases):
    labels = results.edits.collect()["label"].unique(maintain_order=True).to_list()
    assert len({case.model for case in cases}) == 1
    assert list(dict.fromkeys(case.label for case in cases)) == labels
    facts = [case.fact for case in cases if case.label == labels[0]]
    assert all([c.fact for c in cases if c.label == label] == facts for label in labels)
    levels = [case.exposures for case in cases if case.label == labels[0]]
    assert levels == sorted(levels) and set(levels) == {1, 8}
    assert len(cases) <= MOST


def test_a_case_says_what_the_frames_do(results, cases):
    probes = results.probes.collect()
    edits = results.edits.collect()
    for case in cases:
        edit = edits.filter(
            (pl.col("model") == case.model)
            & (pl.col("label") == case.label)
            & (pl.col("fact") == case.fact)
        ).row(0, named=True)
        assert (case.exposures, case.subject) == (edit["exposures"], edit["subject"])
        assert case.batch == (4 if case.label == "batch" else 1)
        own = probes.filter(trial=edit["trial"], edit=edit["edit"], stage="after")
        assert [asked.group for asked in case.asked] == own["group"].to_list()
        for asked, row in zip(case.asked, own.iter_rows(named=True), strict=True):
            assert asked.after.words == row["generated"].strip()
            assert asked.after.probability == pytest.approx(math.exp(row["log_probability_true"]))
            if asked.group == "edited":
                assert asked.after.new == pytest.approx(math.exp(row["log_probability_new"]))
                assert asked.outcome == ("followed" if row["exact_match"] else "not followed")


def test_objects_have_the_names_that_the_model_says(results, cases):
    named = [asked for case in cases for asked in case.asked if asked.outcome == "kept"]
    assert named
    assert all(asked.object == asked.before.words for asked in named)
    unknown = {asked.object for case in cases for asked in case.asked} - {
        asked.before.words for case in cases for asked in case.asked
    }
    assert all(name.startswith(("object ", "O", "N")) for name in unknown)


@pytest.mark.parametrize(
    ("known", "change", "right", "outcome"),
    [(True, False, True, "kept"), (True, False, False, "lost"), (False, False, True, "found"),
     (False, False, False, "unknown"), (True, True, True, "followed"),
     (False, True, False, "not followed")],
)  # fmt: skip
def test_what_becomes_of_a_fact(known, change, right, outcome):
    frames = draw(worlds=1, edits=1, probes=1, levels=(1, 4))
    frames.probes = frames.probes.with_columns(
        pl.lit(known).alias("known"), pl.lit(change).alias("must_change"),
        pl.lit(right).alias("exact_match"),
    )  # fmt: skip
    assert {a.outcome for case in cases_of(frames) for a in case.asked} == {outcome}


def test_without_a_new_object_the_old_one_is_to_go():
    frames = draw(worlds=1, edits=1, probes=1, levels=(1, 4))
    frames.edits = frames.edits.with_columns(pl.lit(None, pl.UInt32).alias("new_object"))
    frames.probes = frames.probes.with_columns(
        pl.lit(True).alias("must_change"), pl.lit(False).alias("exact_match"),
        pl.lit(False).alias("old_match"),
    )  # fmt: skip
    [first, *_] = cases_of(frames)
    assert first.new == "" and {asked.outcome for asked in first.asked} == {"followed"}


def test_there_are_not_too_many():
    labels = tuple(f"method {number}" for number in range(12))
    cases = cases_of(draw(worlds=2, edits=3, probes=1, labels=labels))
    assert len(cases) == 24 and len({case.label for case in cases}) == 8
    # Of five levels three: the lowest, one between, and the highest.
    assert [case.exposures for case in cases[:3]] == [1, 16, 256]


def test_frames_without_words_have_none():
    frames = draw(worlds=1, edits=2, probes=1)
    frames.probes = frames.probes.drop("generated")
    assert cases_of(frames) == ()
    frames = draw(worlds=1, edits=2, probes=1)
    frames.edits = frames.edits.clear()
    assert cases_of(frames) == ()


def test_a_new_object_is_named_by_an_edit_that_is_followed():
    frames = draw(worlds=1, edits=1, probes=1, levels=(1, 4))
    frames.edits = frames.edits.with_columns(relation=pl.lit(0, pl.UInt32))
    own = pl.col("group").str.starts_with("edited")
    after = own & (pl.col("stage") == "after")
    for followed, name in ((True, "Selkirk"), (False, "object ")):
        frames.probes = frames.probes.with_columns(
            pl.when(after).then(pl.lit(" Selkirk ")).otherwise("generated").alias("generated"),
            pl.when(after).then(followed).otherwise("exact_match").alias("exact_match"),
        )
        cases = cases_of(frames)
        assert cases and all(case.new.startswith(name) for case in cases)
        asked = [each for case in cases for each in case.asked if each.group.startswith("edited")]
        assert asked and {each.after.words for each in asked} == {"Selkirk"}


@pytest.mark.parametrize("most", [4, 6, 7])
@pytest.mark.parametrize("levels", [[1, 4, 16], [1, 4, 16, 64], [1, 2, 4, 8, 16, 32, 64, 128]])
def test_edits_of_all_levels_are_shown_if_they_fit(levels, most):
    rows = [
        {"label": "ft", "fact": 100 * level + number, "exposures": level, "known": True}
        for level in levels
        for number in range(5)
    ]
    facts = _facts(pl.DataFrame(rows), most)
    shown = [fact // 100 for fact in facts]
    assert len(facts) == len(set(facts)) == most and shown == sorted(shown)
    assert {levels[0], levels[-1]} <= set(shown)
    if len(levels) <= most:
        counts = [shown.count(level) for level in levels]
        assert max(counts) - min(counts) <= 1
