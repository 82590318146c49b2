import numpy as np
import pytest

from behemoth import ArgumentError
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
        ([2**70], "object"),
        (1.0, "1.0"),
        ("7", "'7'"),
        ([True], "bool"),
    ],
)
def test_nothing_wraps_or_rounds(values, got):
    with pytest.raises(
        ArgumentError, match=f"argument 'x': got .*{got}.*, allowed: whole numbers 0 to 4294967295"
    ):
        whole(values, "x", np.uint32)
