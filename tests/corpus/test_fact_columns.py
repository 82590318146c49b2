import numpy as np
import polars as pl
import pytest

from behemoth import ArgumentError


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
