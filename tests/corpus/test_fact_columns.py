import copy
import gc
import tracemalloc

import numpy as np
import polars as pl
import pytest

from behemoth import ArgumentError, World


def test_facts_are_a_frame_of_exact_types(world):
    frame = world.facts(10, 20)
    assert frame.schema == {
        "fact": pl.UInt64,
        "link": pl.Boolean,
        "subject": pl.UInt64,
        "relation": pl.UInt32,
        "object": pl.UInt32,
        "minority_object": pl.UInt32,
    }
    assert frame["fact"].to_list() == list(range(10, 20))
    assert not frame["link"].any()
    assert frame["minority_object"].null_count() == 10
    np.testing.assert_array_equal(
        frame["object"], world.objects(frame["subject"], frame["relation"])
    )
    assert world.facts().height == 180
    assert world.facts_of([19, 10]).equals(frame[[9, 0]])


def test_arrays_of_facts_are_the_columns_of_their_frame(rich_corpus):
    world = rich_corpus.world
    for facts in ([7, 3], range(5, 9), 4, range(world.num_facts)):
        arrays = world.arrays_of(facts)
        frame = world.facts_of(np.asarray(facts))
        assert [column.dtype for column in arrays] == [np.uint64, np.uint32, np.uint32, np.int64]
        for name in ("subject", "relation", "object"):
            assert getattr(arrays, name).tolist() == frame[name].to_list()
        assert arrays.minority.tolist() == frame["minority_object"].fill_null(-1).to_list()
    for facts in (range(-1, 2), range(0, 4, 2), range(3, 2), range(10**20)):
        with pytest.raises(ArgumentError, match=rf"'facts': got range.*within 0:{world.num_facts}"):
            world.arrays_of(facts)


def test_a_range_out_of_the_facts_is_refused(world):
    with pytest.raises(ArgumentError, match="180"):
        world.facts(0, 181)
    with pytest.raises(ArgumentError):
        world.facts_of([180])


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 0, 2, 1]])
@pytest.mark.parametrize("leave_out", [(), ("nested",), ("minority", "nested")])
def test_the_columns_of_a_table_are_those_that_were_given(order, leave_out):
    rows = {
        "subject": [0, 0, 1, 2],
        "relation": [0, 1, 0, 1],
        "object": [2, 1, 1, 0],
        "minority": [1, None, 3, None],
        "nested": [4, None, 0, None],
    }
    frame = pl.DataFrame(rows).with_columns(pl.lit(None).alias(name) for name in leave_out)[order]
    world = World.from_table(frame)
    assert {name: column.dtype for name, column in world.table_columns.items()} == {
        "subject": np.uint64,
        "relation": np.uint32,
        "object": np.uint32,
        "minority": np.int64,
        "nested": np.int64,
    }
    twin = world.override({0: 1, 1: 0}, follow=True)
    for of in (world, twin, copy.deepcopy(twin)):
        for name, column in of.table_columns.items():
            assert column.tolist() == frame[name].fill_null(-1).to_list()


@pytest.mark.parametrize(("order", "most"), [("ascending", 0.5), ("drawn", 4.5)])
def test_a_table_is_not_kept_beside_the_engine(order, most):
    """The engine has it already; the rows' order is all that it has not."""
    facts = np.arange(100_000)
    if order == "drawn":
        facts = np.random.default_rng(0).permutation(facts)
    frame = pl.DataFrame({"subject": facts // 4, "relation": facts % 4, "object": facts % 7})
    World.from_table(frame[:4])  # what is loaded at the first one is not measured
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        world = World.from_table(frame)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / world.num_facts < most
