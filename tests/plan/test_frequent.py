"""The facts with the most exposures, the fewest, or those of a level."""

import warnings

import numpy as np
import pytest

import behemoth as bh
from behemoth import ArgumentError, Corpus, Groups, World, ZipfExposures
from behemoth.plan import PlanWarning
from behemoth.plan.compile import compile_plan
from behemoth.plan.request import EditRequest

SMALL = {"repeats": 1, "same_object": 0, "same_relation": 0, "regular": 0, "probes": 0}


@pytest.fixture(scope="module")
def zipf():
    world = World(subjects=300, relations=2, objects=400, seed=4)
    return Corpus(world, exposures=ZipfExposures(alpha=1.0, minimum=1, maximum=200))


@pytest.mark.parametrize(("name", "sign"), [("most_frequent", -1), ("least_frequent", 1)])
def test_they_are_those_with_the_most_or_the_fewest(zipf, name, sign):
    plan = bh.plan(zipf, independent=True, **{name: 40}, **SMALL)
    there = np.array(zipf.exposures(np.arange(zipf.world.num_facts)))
    wanted = np.sort(sign * there[there > 0].astype(np.int64))[:40]
    assert (sign * plan.edits["exposures"].cast(int).to_numpy() == wanted).all()
    assert plan.edits["fact"].n_unique() == 40


def written(corpus):
    """Return the facts that a corpus writes: fact, subject, relation, object, exposures."""
    facts = corpus.world.facts().select("fact", "subject", "relation", "object")
    facts = facts.with_columns(exposures=corpus.exposures(facts["fact"].to_numpy()))
    return facts.filter(facts["exposures"] > 0).rows()


@pytest.mark.parametrize(("name", "sign"), [("most_frequent", 1), ("least_frequent", -1)])
@pytest.mark.parametrize("distinct", [True, False])
def test_edits_of_one_model_stay_apart_and_pass_over_no_other_fact(zipf, name, sign, distinct):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        plan = bh.plan(zipf, distinct=distinct, **{name: 80}, **SMALL)
    assert plan.edits["subject"].n_unique() == 80
    chosen = set(plan.edits["fact"])
    taken = [row for row in written(zipf) if row[0] in chosen]
    last = min(sign * row[4] for row in taken)
    passed = [row for row in written(zipf) if row[0] not in chosen and sign * row[4] > last]
    for _, subject, relation, object_, exposures in passed:
        before = [row for row in taken if sign * row[4] >= sign * exposures]
        pairs = {(row[2], row[3]) for row in before} if distinct else set()
        assert subject in {row[1] for row in before} or (relation, object_) in pairs
    words = "more" if sign == 1 else "fewer"
    others = "subjects and objects" if distinct else "subjects"
    said = [f"{len(passed)} facts with {words} exposures are passed over: edits of one model have "
            f"distinct {others}, independent edits need not"] if passed else []  # fmt: skip
    assert [str(own.message) for own in told] == said
    assert passed or sign == -1


def test_facts_passed_over_are_counted_among_those_that_may_be_edited():
    corpus = Corpus(World(subjects=9, relations=1, objects=20), exposures=list(range(1, 10)))
    assert corpus.world.facts()["object"].to_list() == [10, 4, 17, 1, 7, 7, 1, 3, 9]
    assert bh.plan(corpus, most_frequent=4, **SMALL).edits["fact"].to_list() == [8, 7, 6, 5]
    with pytest.warns(PlanWarning, match="^2 facts with more exposures are passed over: "):
        assert bh.plan(corpus, most_frequent=5, **SMALL).edits["fact"].to_list()[4:] == [2]
    with pytest.warns(PlanWarning, match="^1 fact with more exposures is passed over: "):
        bh.plan(corpus, most_frequent=5, known=[8, 7, 6, 5, 4, 2], **SMALL)
    bh.plan(corpus, most_frequent=5, known=[8, 7, 6, 5, 2], **SMALL)


def test_equally_frequent_ones_are_drawn_by_the_seed():
    corpus = Corpus(World(subjects=200, relations=2, objects=300), exposures=Groups([0, 1, 4]))
    drawn = [bh.plan(corpus, most_frequent=9, seed=seed, **SMALL).edits for seed in (0, 0, 1)]
    assert drawn[0].equals(drawn[1]) and not drawn[0].equals(drawn[2])
    assert all(set(edits["exposures"]) == {4} for edits in drawn)
    few = bh.plan(corpus, least_frequent=9, **SMALL).edits
    assert set(few["exposures"]) == {1}  # what was never written cannot be edited


def test_a_level_that_is_too_small_is_made_up_from_the_next():
    exposures = np.ones(200, np.uint32)
    exposures[[3, 50, 121]] = 9, 7, 8
    corpus = Corpus(World(subjects=100, relations=2, objects=300), exposures=exposures)
    edits = bh.plan(corpus, most_frequent=30, independent=True, **SMALL).edits
    assert edits["fact"].head(3).to_list() == [3, 121, 50]
    assert set(edits["exposures"].tail(27)) == {1}
    with pytest.raises(ArgumentError, match="'most_frequent': got 500, allowed: up to 200, the"):
        bh.plan(corpus, most_frequent=500, independent=True, **SMALL)


def test_the_request_says_so(tmp_path):
    corpus = Corpus(World(subjects=100, relations=2, objects=300))
    plan = bh.plan(corpus, least_frequent=3, out=tmp_path / "plan", **SMALL)
    assert bh.load(tmp_path / "plan").request == plan.request
    assert "least_frequent = 3\n" in (tmp_path / "plan" / "plan.toml").read_text()
    assert EditRequest(edits=3).to_dict().keys() & {"most_frequent", "facts"} == set()


def test_the_levels_of_a_twin_are_its_own():
    parent = Corpus(World(100, 2, 5), exposures="groups:1,9")
    often = np.flatnonzero(parent.exposures() == 9)
    twin = parent.without(often)
    plan = compile_plan(twin, EditRequest(edits=4, exposures=(0,)))
    assert set(plan.edits["exposures"]) == {0} and set(plan.edits["fact"]) <= set(often.tolist())
    with pytest.raises(ArgumentError, match=r"got 9, allowed: levels of the corpus: 0, 1$"):
        compile_plan(twin, EditRequest(edits=4, exposures=(9,)))
