import numpy as np
import polars as pl
import pytest

from behemoth.recall.ragged import Ragged


def test_rows_are_padded_on_the_right():
    rows = Ragged.of([[1, 2, 3], [], [4], [5, 6]])
    assert len(rows) == 4
    found = rows.padded(np.array([3, 1, 0]), 4, 9)
    assert found.tolist() == [[5, 6, 9, 9], [9, 9, 9, 9], [1, 2, 3, 9]]
    assert rows.padded(np.array([0]), 2, 9).tolist() == [[1, 2]], "cut to the width"


@pytest.mark.parametrize("rows", [[[1, 2, 3], [], [4], [5, 6]], [[]], []])
def test_a_column_of_lists_is_the_same_rows(rows):
    column = pl.Series(rows, dtype=pl.List(pl.UInt32))
    found, expected = Ragged.of_lists(column), Ragged.of(rows)
    assert found.flat.tolist() == expected.flat.tolist() and found.flat.dtype == np.int64
    assert found.lengths.tolist() == expected.lengths.tolist()


def test_no_rows():
    assert Ragged.of([]).padded(np.array([], int), 3, 0).shape == (0, 3)


def test_chosen_rows_are_those_rows():
    rows = Ragged.of([[1, 2, 3], [], [4], [5, 6]])
    found = rows.chosen(np.array([3, 1, 0, 3]))
    assert found.lengths.tolist() == [2, 0, 3, 2]
    assert found.flat.tolist() == [5, 6, 1, 2, 3, 5, 6]
    assert len(rows.chosen(np.array([], int))) == 0
