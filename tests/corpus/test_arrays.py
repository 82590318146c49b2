import re

import numpy as np
import pandas as pd
import polars as pl
import pytest

from behemoth import ArgumentError, Corpus, World
from behemoth.corpus.arrays import whole


@pytest.mark.parametrize(
    "values", [5, [1, 2], np.arange(3, dtype=np.int8), (), np.uint64(2**64 - 1)]
)
def test_whole_numbers_become_the_type(values):
    array = whole(values, "x", np.uint64)
    assert array.dtype == np.uint64
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, values)


def test_strided_arrays_become_contiguous():
    array = whole(np.arange(10)[::2], "x", np.uint32)
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(array, [0, 2, 4, 6, 8])


def test_an_array_of_the_type_is_not_copied():
    array = np.arange(10, dtype=np.uint64)
    assert whole(array, "x", np.uint64) is array


@pytest.mark.parametrize(
    ("values", "got"),
    [
        (-1, "-1"),
        ([3, -2], "-2"),
        (2**32, "4294967296"),
        ([1, 2**70], f"{2**70} in row 1"),
        ([[1], [2, 3]], "lists within a list"),
        (pl.Series([None], dtype=pl.Null), "no number in row 0"),
        (pl.Series([[1]]), "a list in row 0"),
        ([1, 2.5], "2.5 in row 1"),
        ([1, None], "no number in row 1"),
        ([3, float("nan"), None], "no number in row 1"),
        (pl.Series([4, 5, None]), "no number in row 2"),
        (np.array(["1", "nan"]), "no number in row 1"),
        (["1", "one"], "'one' in row 1"),
        ([[1, 2], [3, None]], "no number in row 1"),
        ([1.0, 2.0], "an array of float64"),
        (1.0, "1.0"),
        ("7", "'7'"),
        (["1", "2"], "numbers in text"),
        (np.array([1, 2], object), "an array of Python objects"),
        (np.array(["1970-01-02"], "M8[D]"), "1970-01-02 in row 0"),
        ([True], "truth values"),
    ],
)
def test_nothing_wraps_or_rounds(values, got):
    with pytest.raises(
        ArgumentError, match=f"argument 'x': got .*{got}.*, allowed: whole numbers 0 to 4294967295"
    ):
        whole(values, "x", np.uint32)


def test_ids_are_below_their_number():
    assert whole([4], "x", np.uint64, 5).tolist() == [4]
    for value in (5, -1, None):
        with pytest.raises(ArgumentError, match=r"allowed: whole numbers 0 to 4$"):
            whole([value], "x", np.uint64, 5)


@pytest.mark.parametrize("of", [lambda corpus: corpus, lambda corpus: corpus.world])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([(0, 1)], "got [(0, 1)], allowed: a mapping of fact to object"),
        ({-1: 3}, "got fact -1, allowed: a fact below 30"),
        ({30: 3}, "got fact 30, allowed: a fact below 30"),
        ({"one": 3}, "got fact 'one', allowed: a fact below 30"),
        ({1: 3, 2: -3}, "got object -3 for fact 2, allowed: an object below 7, those of relation "),
        ({1: 3.5}, "got object 3.5 for fact 1, allowed: an object below 7, those of relation "),
        ({1: 7}, "got object 7 for fact 1, allowed: an object below 7, those of relation "),
    ],
)
def test_overrides_are_refused_by_one_name_with_the_range_of_the_world(of, changes, said):
    made = of(Corpus(World(subjects=10, relations=3, objects=7)))
    with pytest.raises(ArgumentError, match=re.escape(f"argument 'objects': {said}")):
        made.override(changes)


_TAKING = {
    "facts_of": lambda corpus, facts: corpus.world.facts_of(facts),
    "arrays_of": lambda corpus, facts: corpus.world.arrays_of(facts).object,
    "exposures": lambda corpus, facts: corpus.exposures(facts),
    "ledger": lambda corpus, facts: corpus.ledger(facts),
    "questions": lambda corpus, facts: corpus.questions(facts),
    "probes": lambda corpus, facts: corpus.probes(facts),
    "without": lambda corpus, facts: corpus.without(facts).spec["corpus"],
}


@pytest.fixture(scope="module")
def asked():
    return Corpus(World(subjects=10, relations=3, objects=7), exposures=2)


@pytest.mark.parametrize("take", _TAKING.values(), ids=_TAKING)
@pytest.mark.parametrize("frame", [pl.DataFrame, pd.DataFrame])
def test_of_a_frame_the_column_fact_is_taken(asked, take, frame):
    """Its other columns are numbers as well, which would be facts in an array of the frame."""
    given, wanted = take(asked, frame({"exposures": [7, 8], "fact": [3, 5]})), take(asked, [3, 5])
    assert np.array_equal(given, wanted) if isinstance(wanted, np.ndarray) else _same(given, wanted)
    message = "argument 'facts': got a frame without it, allowed: a frame with a column fact, or"
    with pytest.raises(ArgumentError, match=message):
        take(asked, frame({"exposures": [7, 8]}))


def _same(given, wanted):
    return given.equals(wanted) if isinstance(wanted, pl.DataFrame) else given == wanted


@pytest.mark.parametrize("name", [name for name in _TAKING if name != "exposures"])
def test_facts_have_one_dimension(asked, name):
    take, facts = _TAKING[name], np.arange(6).reshape(3, 2)
    message = "argument 'facts': got an array of shape (3, 2), allowed: numbers of facts in one "
    for given in (facts, facts.tolist(), facts.astype(str)):
        with pytest.raises(ArgumentError, match=re.escape(message)):
            take(asked, given)
    one, same = take(asked, 3), take(asked, [3])
    assert np.array_equal(one, same) if isinstance(one, np.ndarray) else _same(one, same)


def test_lists_of_several_lengths_are_no_facts(asked):
    with pytest.raises(ArgumentError, match=r"^argument 'facts': got lists within a list, allowed"):
        asked.ledger([[1], [2, 3]])
    with pytest.raises(ArgumentError, match=r"^argument 'exposures': got lists within a list"):
        Corpus(asked.world, exposures=[[1], [2, 3]])


def test_exposures_keep_the_shape_of_an_array(asked):
    assert asked.exposures(np.arange(6).reshape(3, 2)).shape == (3, 2)
    assert asked.exposures(3).shape == ()
