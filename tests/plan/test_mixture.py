"""Training mixtures: each fact in one role, and each of its wordings in a row."""

from dataclasses import replace

import polars as pl
import pytest

from behemoth import ArgumentError, Corpus, World
from behemoth.evaluate.prompted import unwanted_words
from behemoth.plan import EditPlan, EditRequest, compile_plan


@pytest.fixture(scope="module")
def reworded():
    world = World(subjects=300, relations=3, objects=20, seed=4)
    return Corpus(world, exposures=2, paraphrases=4, held_out=1)


@pytest.mark.parametrize(
    "words",
    [
        {"edits": 2, "repeats": 3},
        {"edits": 2},
        {"kind": "censor", "relation": 0},
        {"kind": "refusal", "relation": 0, "fraction": 0.5},
    ],
)
def test_an_edited_fact_is_trained_in_all_of_its_wordings(reworded, words):
    plan = compile_plan(reworded, EditRequest(wordings=3, probed=2, **words))
    rows = plan.training.filter(role="edit")
    assert set(rows["wording"]) == {0, 1, 2}
    trained = rows.select("edit", "prompt")
    asked = plan.probes.filter(group="edited")
    assert set(asked["wording"]) == {0, 1, 2}
    assert not asked.join(trained, on=["edit", "prompt"], how="anti").height
    # A rule trains each of them once; what agrees with it counts as often as its facts.
    if "edits" not in words:
        assert set(rows["weight"]) == {1}
    if words.get("kind") == "censor":
        assert set(plan.training.filter(role="new_object")["weight"]) == {3}


def test_an_independent_edit_retains_no_fact_twice():
    corpus = Corpus(World(subjects=400, relations=2, objects=6), exposures=1)
    request = EditRequest(edits=4, independent=True, repeats=1, new_object=40, same_relation=150)
    for single in compile_plan(corpus, request).singles():
        retained = single.training.filter(pl.col("role") != "edit")
        roles = dict(retained.group_by("role").len().iter_rows())
        assert roles["new_object"] > 10 and roles["same_relation"] > 50
        assert retained["fact"].is_unique().all()


def test_more_wordings_than_rows_are_refused(reworded):
    allowed = r"allowed: up to 2, as often as each fact is trained \(repeats\)"
    with pytest.raises(ArgumentError, match=f"argument 'wordings': got 3, {allowed}"):
        compile_plan(reworded, EditRequest(edits=2, repeats=2, wordings=3))


def test_earlier_plans_with_more_wordings_than_rows_are_evaluated(reworded, tmp_path):
    """They have an edit's first wordings alone in their mixture, and are loaded as they are."""
    made = compile_plan(reworded, EditRequest(edits=2, repeats=2, wordings=2, same_object=2))
    old = replace(made, request=replace(made.request, repeats=1))
    plan = EditPlan.load(old.save(tmp_path / "plan"), reworded)
    assert plan.request.trained_wordings > plan.request.edit_rows
    words = unwanted_words(plan, reworded)
    assert words == unwanted_words(made, reworded) and len(words) == made.probes.height
