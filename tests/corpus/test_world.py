import copy
import math
import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from behemoth import (
    ArgumentError,
    Composed,
    Corpus,
    Correlated,
    Independent,
    Inverse,
    OneToOne,
    World,
    Zipf,
)
from behemoth.train.run import world_id


def test_a_number_of_objects_beside_a_list_of_relations_is_refused():
    for make in (World, World.of_facts):
        with pytest.raises(
            ArgumentError, match="'objects': got a value beside a list of relations"
        ):
            make(20, [Independent(5)], objects=3)
        assert make(20, [Independent(5)]).relation_table[0]["objects"] == 5
        assert make(20, 2).relation_table[0]["objects"] == 400


def test_the_facts_of_a_relation_are_no_one_elses_to_change():
    rows = {"subject": [0, 1, 1, 2], "relation": [0, 0, 1, 1], "object": [0, 1, 0, 1]}
    world = World.from_table(pl.DataFrame(rows))
    facts = world.subject_facts_in(1)
    assert facts.tolist() == [2, 3]
    with pytest.raises(ValueError, match="read-only"):
        facts.sort()
    for relation, allowed in ((-1, "a whole number from 0"), (2, "a relation below 2")):
        with pytest.raises(ArgumentError, match=f"'relation': got {relation}, allowed: {allowed}"):
            world.subject_facts_in(relation)


def test_a_world_counts_its_parts(world):
    assert (world.num_subjects, world.num_relations, world.num_link_relations) == (60, 3, 0)
    assert world.num_facts == world.num_subject_facts == 180
    assert world.entropy == pytest.approx(180 * math.log2(12))


def test_objects_broadcast_like_numpy(world):
    grid = world.objects(np.arange(60)[:, None], np.arange(3))
    assert grid.shape == (60, 3)
    assert grid.dtype == np.uint32
    assert grid.max() < 12
    assert world.objects(5, 2) == grid[5, 2]
    assert world.objects(5, 2).shape == ()
    np.testing.assert_array_equal(world.objects([1, 2], [0, 1]), [grid[1, 0], grid[2, 1]])
    assert world.objects([], 0).shape == (0,)


def test_fact_ids_invert_facts(world):
    frame = world.facts()
    np.testing.assert_array_equal(
        world.fact_ids(frame["subject"], frame["relation"]), frame["fact"]
    )


def test_a_world_is_a_function_of_its_spec():
    first, again = World(50, 2, 9, seed=4), World(50, 2, 9, seed=4)
    assert first.facts().equals(again.facts())
    assert World.from_spec(first.spec).facts().equals(first.facts())
    assert not World(50, 2, 9, seed=5).facts().equals(first.facts())


def test_more_subjects_leave_the_others_as_they_are():
    small, large = World(50, 2, 9), World(500, 2, 9)
    subjects = np.arange(50)
    for relation in range(2):
        np.testing.assert_array_equal(
            small.objects(subjects, relation), large.objects(subjects, relation)
        )


@given(
    subjects=st.integers(1, 200),
    relations=st.integers(1, 5),
    objects=st.integers(1, 50),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=40)
def test_any_world_of_independent_relations_holds_together(subjects, relations, objects, seed):
    world = World(subjects, relations, objects, seed=seed)
    frame = world.facts()
    assert frame.height == subjects * relations
    assert frame["object"].max() < objects
    assert (frame["fact"] == frame["subject"] * relations + frame["relation"]).all()


def test_relations_of_every_kind():
    world = World(
        subjects=3000,
        relations=[
            Independent(20),
            Zipf(50, 1.5),
            Correlated(0, 0.6),
            OneToOne(),
            Inverse(3),
            Composed(0, 4),
            Composed(5, 2),
        ],
        seed=1,
    )
    subjects = np.arange(3000)
    column = [world.objects(subjects, relation) for relation in range(7)]
    assert (
        np.bincount(column[0], minlength=20).min() > 90
    )  # uniform: 150 each, 12 standard deviation
    counts = np.bincount(column[1], minlength=50)
    assert counts[0] > 2 * counts[1] > 2 * counts[3]
    same = column[2] == column[0]
    assert abs(same.sum() - 1800) < 5 * math.sqrt(3000 * 0.6 * 0.4)
    np.testing.assert_array_equal(np.sort(column[3]), subjects)
    np.testing.assert_array_equal(column[4][column[3]], subjects)
    links, deeper = world.links(5), world.links(6)
    np.testing.assert_array_equal(np.bincount(links), [5] * 4)
    np.testing.assert_array_equal(np.bincount(deeper), [2] * 2)
    np.testing.assert_array_equal(column[5], links[column[0]])
    np.testing.assert_array_equal(column[6], deeper[column[5]])


def test_what_does_not_match_in_a_correlated_relation_is_uniform():
    world = World(40_000, [Independent(8), Correlated(0, 0.5)], seed=2)
    first, second = (world.objects(np.arange(40_000), relation) for relation in range(2))
    other = (second.astype(int) - first)[second != first] % 8
    counts = np.bincount(other, minlength=8)
    assert counts[0] == 0
    expected = counts.sum() / 7
    assert ((counts[1:] - expected) ** 2 / expected).sum() < 30  # chi-square, 6 degrees: p < 1e-4


def test_links_are_facts_of_their_own():
    world = World(30, 2, 12, nested=4)
    assert (world.num_relations, world.num_link_relations) == (4, 2)
    assert world.num_subject_facts == 120
    assert world.num_facts == 120 + 24
    links = world.facts(120)
    assert links["link"].all()
    assert links["relation"].unique().to_list() == [4, 5]
    first = links.filter(pl.col("relation") == 4)
    np.testing.assert_array_equal(first["object"], world.links(2)[first["subject"].to_numpy()])
    assert [row["link"] for row in world.relation_table] == [False] * 4 + [True] * 2


def test_composed_facts_add_no_entropy_of_their_own():
    plain, nested = World(500, 2, 12), World(500, 2, 12, nested=4)
    # Only the two maps of 12 objects to 4 nested ones, 3 objects each, are free.
    maps = 2 * math.log2(math.factorial(12) / math.factorial(3) ** 4)
    assert nested.entropy == pytest.approx(plain.entropy + maps)


def test_correlated_shorthand_and_binarised():
    world = World(2000, 3, 10, correlated=0.9, binarised=True)
    assert set(world.objects(np.arange(2000), 0).tolist()) == {0, 1}
    assert [row["kind"] for row in world.relation_table] == [
        "independent",
        "correlated",
        "independent",
    ]


def test_minority_is_an_exact_share_and_a_different_object():
    frame = World(100, 4, 10, minority=0.35).facts()
    has = frame.filter(pl.col("minority_object").is_not_null())
    assert has.height == 140
    assert (has["minority_object"] != has["object"]).all()
    assert has["minority_object"].max() < 10


def test_objects_may_differ_by_relation():
    world = World(300, 2, [3, 200])
    assert world.objects(np.arange(300), 0).max() == 2
    assert world.objects(np.arange(300), 1).max() > 100


def test_override_changes_the_facts_given_and_no_other():
    world = World(30, 2, 12, nested=4)
    fact = int(world.fact_ids(3, 0))
    new = (int(world.objects(3, 0)) + 1) % 12
    stays, follows = world.override({fact: new}), world.override({fact: new}, follow=True)
    assert stays.objects(3, 0) == follows.objects(3, 0) == new
    assert stays.objects(3, 2) == world.objects(3, 2)
    assert follows.objects(3, 2) == world.links(2)[new]
    before, after = world.facts(), stays.facts()
    assert before.filter(before["object"] != after["object"])["fact"].to_list() == [fact]
    assert world.objects(3, 0) != new


def test_a_later_override_keeps_what_followed_an_earlier_one():
    world = World(30, 2, 12, nested=4)
    follows = world.override({0: 3}, follow=True)
    with pytest.raises(ArgumentError, match="'follow': got false, allowed: true, as in the earl"):
        follows.override({20: 1}, follow=False)
    with pytest.raises(ArgumentError, match="'follow': got true, allowed: false, as in the earl"):
        world.override({0: 3}).override({20: 1}, follow=True)
    both = follows.override({20: 1})
    assert both == follows.override({20: 1}, follow=True)
    assert both.objects(0, 2) == follows.objects(0, 2) == world.links(2)[3]
    assert world.override({0: 3}).override({20: 1}).objects(0, 2) == world.objects(0, 2)
    assert follows.override({}) == follows


@pytest.mark.parametrize(
    ("arguments", "name", "allowed"),
    [
        ({"subjects": 0}, "subjects", "at least 1"),
        ({"relations": 0}, "relations", "1 to 10000"),
        ({"objects": 0}, "objects", "at least 1"),
        ({"subjects": -3}, "subjects", "not negative"),
        ({"subjects": 1.5}, "subjects", "a whole number"),
        ({"subjects": 2**61, "relations": 6}, "", "a product up to"),
        ({"minority": 1.5}, "minority", "a fraction from 0 to 1"),
        ({"minority": -0.1}, "minority", "a fraction from 0 to 1"),
        ({"nested": 7}, "nested", "400"),
        ({"correlated": 0.002}, "correlated", "above chance (1/400"),
        ({"correlated": 1.5}, "correlated", "a fraction from 0 to 1"),
        ({"relations": 1, "correlated": 0.5}, "", "2"),
        ({"objects": [3, 4]}, "objects", "6"),
        ({"relations": [Inverse(1), OneToOne()]}, "", ""),
        ({"relations": [Independent(10), Composed(0, 3)]}, "", "10"),
        ({"relations": [OneToOne(5)]}, "", "100000"),
        ({"seed": -1}, "seed", "not negative"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_by_name(arguments, name, allowed):
    with pytest.raises(ArgumentError) as caught:
        World(**arguments)
    message = str(caught.value)
    assert message.startswith("argument '")
    assert "got " in message
    assert name in message
    assert allowed in message.partition("allowed: ")[2]


@pytest.mark.parametrize(
    ("subjects", "relations", "message"),
    [
        (60, 0, "60"),
        (0, 3, "3"),
        (-1, 0, "argument 'subjects': got -1, allowed: whole numbers 0 to 18446744073709551615"),
        (0, 2**32, "argument 'relations': got 4294967296, allowed: whole numbers 0 to 4294967295"),
        (0.5, 0, "argument 'subjects': got 0.5"),
        (True, 0, "argument 'subjects': got True"),
    ],
)
def test_ids_out_of_range_are_refused(world, subjects, relations, message):
    with pytest.raises(ArgumentError, match=message):
        world.objects(subjects, relations)


def test_the_subject_or_relation_of_a_fact_is_refused_by_its_own_name(world):
    said = "argument 'subject': got S1, allowed: a whole number from 0"
    with pytest.raises(ArgumentError, match=said):
        world.find_fact("S1", 1)
    said = "argument 'subject, relation': got subject 60, relation 0, allowed: a pair that has a f"
    with pytest.raises(ArgumentError, match=said):
        world.find_fact(60, 0)
    with pytest.raises(ArgumentError, match="argument 'relation': got 4294967296, "):
        world.find_fact(0, 2**32)


def test_a_world_says_what_it_is(world):
    assert repr(world).startswith("World(subjects=60, relations=3, facts=180")


def test_a_world_is_made_from_its_number_of_facts():
    world = World.of_facts(1e3, objects=7, seed=3)
    assert world.spec == World(200, 5, 7, seed=3).spec
    assert World.of_facts(21).spec == World(7, 3).spec
    kinds = [Independent(4), Independent(5)]
    assert World.of_facts(20, kinds, minority=0.5).spec == World(10, kinds, minority=0.5).spec
    message = "argument 'facts': got 7, allowed: a multiple of the 2 relations; nearest: 6 or 8"
    with pytest.raises(ArgumentError, match=message):
        World.of_facts(7, 2)
    for facts in (0, 1.5, True, "7"):
        with pytest.raises(ArgumentError, match=r"'facts': got .*, allowed: a whole number from 1"):
            World.of_facts(facts)


def test_positions_may_be_whole_floats(world):
    assert world.facts(1e0, 1e1).equals(world.facts(1, 10))
    with pytest.raises(ArgumentError, match=r"'start': got 0.5, allowed: a whole number from 0"):
        world.facts(0.5)


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 11), (3, 2), (0, 2**62), (2**62, 2**63 - 1), (11, 11)]
)
def test_a_range_beyond_the_facts_is_refused(start, stop):
    said = f"argument 'range': got {start}:{stop}, allowed: a range within 0:10"
    with pytest.raises(ArgumentError, match=said):
        World(subjects=5, relations=2, objects=3).facts(start, stop)


@pytest.mark.parametrize(
    ("name", "start", "stop"), [("stop", 0, 10**30), ("start", 10**30, 10**31)]
)
def test_a_number_beyond_64_bits_is_refused_by_its_argument(name, start, stop):
    with pytest.raises(ArgumentError, match=rf"^argument '{name}': got 10+, allowed: a whole num"):
        World(subjects=5, relations=2, objects=3).facts(start, stop)


def _worlds():
    """Worlds that differ from each other, each in one thing that determines its facts."""
    world = World(30, 2, 6, nested=3)
    facts = pl.DataFrame({"subject": [0, 1], "relation": [0, 0], "object": [2, 0]})
    names = pl.DataFrame({"subject": ["Ann", "Bob"], "relation": "likes", "object": ["tea", "rum"]})
    return [
        world,
        World(30, 2, 6, nested=3, seed=1),
        World.from_arrays(world.spec, None, format_version=1),
        world.override({0: 1}),
        world.override({0: 2}),
        world.override({0: 2}, follow=True),
        world.override({1: 2}),
        World.from_table(facts),
        World.from_table(facts.with_columns(object=pl.lit(2))),
        World.from_table(names),
        World.from_table(names.with_columns(subject=pl.Series(["Ann", "Eve"]))),
    ]


def test_worlds_are_equal_if_all_that_decides_their_facts_is():
    some, others = _worlds(), _worlds()
    for number, world in enumerate(some):
        assert [other == world for other in others] == [at == number for at in range(len(others))]
    assert len({*some, *others}) == len(some)
    assert some[0] != some[0].spec
    assert some[0].override({}) == some[0]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])  # as other processes get one
def test_a_copy_of_a_world_has_its_facts(copied):
    for world in _worlds():
        again = copied(world)
        assert again is not world and again == world and hash(again) == hash(world)
        assert again.named(again.facts()).equals(world.named(world.facts()))
        assert again.format_version == world.format_version


def test_the_hash_of_a_spec_names_a_world_whatever_its_corpora():
    world = World(30, 2, 5, seed=1)
    assert world.spec_hash == World.from_spec(world.spec).spec_hash
    assert world.spec_hash != World(30, 2, 5, seed=2).spec_hash
    ids = {world_id(Corpus(world, exposures=exposures)) for exposures in (1, 4)}
    assert ids == {world.spec_hash[:16]}


_TABLE = {"subject": [0, 2, 2], "relation": [0, 0, 1], "object": [4, 0, 1]}
_SPEC = {"subjects": 3, "table": {"relations": [{"objects": 5}, {"objects": 5}]}}


@pytest.mark.parametrize("dtype", [None, np.uint8, np.int64, np.uint64])
def test_a_table_has_whole_numbers_of_any_type(dtype):
    columns = {name: np.array(values, dtype) for name, values in _TABLE.items()}
    world = World.from_arrays(_SPEC, columns)
    assert world == World.from_arrays(_SPEC, world.table_columns)
    assert world.facts().select(*_TABLE).to_dict(as_series=False) == _TABLE
    minority = {**_TABLE, "minority": np.array([-1, 1, -1], np.int8)}
    found = World.from_arrays(_SPEC, minority).facts()
    assert found["minority_object"].to_list() == [None, 1, None]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"subject": [0, -1, 2]}, "argument 'table.subject': got -1 in row 1 (from 0), allowed: "),
        ({"object": [4, 0, 2**32]}, "'table.object': got 4294967296 in row 2 (from 0), allowed: "),
        ({"minority": [-2, 0, 0]}, "'table.minority': got -2 in row 0 (from 0), allowed: whole"),
        ({"relation": [0, 0.5, 1]}, "'table.relation': got 0.5 in row 1 (from 0), allowed: whole"),
        ({"relation": 3}, "'table.relation': got an array of shape (), allowed: an array of whole"),
        ({"relation": [[0], [0, 1]]}, "'table.relation': got lists within a list, allowed: whole"),
        ({"relation": [0, 0]}, "argument 'table': got columns of unequal length, allowed: "),
    ],
    ids=str,
)
def test_other_columns_are_no_table(changes, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        World.from_arrays(_SPEC, _TABLE | changes)


def test_a_spec_and_a_table_are_mappings():
    with pytest.raises(ArgumentError, match="argument 'spec': got 3, allowed: a mapping"):
        World.from_arrays(3, {})
    with pytest.raises(ArgumentError, match="argument 'table': got 3, allowed: a mapping"):
        World.from_arrays(_SPEC, 3)
