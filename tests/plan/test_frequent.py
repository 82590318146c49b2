"""The facts with the most exposures, or the fewest."""

import numpy as np
import pytest

import behemoth as bh
from behemoth import ArgumentError, Corpus, Groups, World, ZipfExposures
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


def test_edits_of_one_model_stay_apart(zipf):
    plan = bh.plan(zipf, most_frequent=20, **SMALL)
    assert plan.edits["subject"].n_unique() == 20
    free = bh.plan(zipf, most_frequent=20, independent=True, **SMALL)
    assert plan.edits["exposures"].sum() <= free.edits["exposures"].sum()


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
