"""Orders, and walks along them, by which facts are drawn without a list of all."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from behemoth import Corpus, Groups, World
from behemoth.plan.sampling import Order, Pool, among, distinct, rank_within, relation_pool


@pytest.fixture(scope="module")
def corpus():
    world = World(subjects=3_000, relations=5, objects=60, seed=4)
    return Corpus(world, exposures=Groups([1, 4, 16]))


@pytest.mark.parametrize("count", [1, 2, 3, 10, 99, 1000, 1025, 65_537])
def test_an_order_is_a_bijection_that_depends_on_its_key(count):
    order = Order(count, 3, "x")(np.arange(count))
    assert np.array_equal(np.sort(order), np.arange(count))
    if count > 90:
        assert not np.array_equal(order, np.arange(count))
        assert not np.array_equal(order, Order(count, 3, "y")(np.arange(count)))
        assert not np.array_equal(order, Order(count, 4, "x")(np.arange(count)))


def test_an_order_treats_all_places_alike():
    first = np.array([Order(40, seed, "x")(np.arange(3)) for seed in range(4000)])
    expected = np.full(40, 100)
    for column in first.T:
        seen = np.bincount(column.astype(np.int64), minlength=40)
        assert ((seen - expected) ** 2 / expected).sum() < 75  # 39 degrees: p about 0.0005


def test_a_walk_meets_every_fact_once(corpora):
    for corpus in corpora.values():
        facts = corpus.world.facts()
        for relation in range(corpus.world.num_relations + corpus.world.num_link_relations):
            pool = relation_pool(corpus, relation)
            met = [fact for batch in pool.walk(corpus, 1, "x") for fact in batch.fact.tolist()]
            assert sorted(met) == facts.filter(pl.col("relation") == relation)["fact"].to_list()
        both = Pool.joined([relation_pool(corpus, 0), relation_pool(corpus, 1)])
        met = [fact for batch in both.walk(corpus, 1, "x") for fact in batch.fact.tolist()]
        assert sorted(met) == facts.filter(pl.col("relation") < 2)["fact"].to_list()


@given(st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9)))
def test_helpers_on_arrays(values, others):
    array = np.array(values, np.uint64)
    assert distinct(array).tolist() == sorted(set(values))
    found = among(array, distinct(np.array(others, np.uint64)))
    assert found.tolist() == [value in others for value in values]
    ranks = rank_within(array).tolist()
    assert ranks == [values[:place].count(value) for place, value in enumerate(values)]
