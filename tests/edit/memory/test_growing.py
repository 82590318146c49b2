"""Rows that grow: what one of them sees never changes, whoever goes on from it."""

import torch

from behemoth.edit.memory.growing import GrowingRows


def test_rows_are_those_that_were_added():
    rows = torch.arange(12.0).reshape(6, 2)
    grown = GrowingRows(rows[:1])
    for first in range(1, 6):
        grown = grown.with_more(rows[first : first + 1])
        assert torch.equal(grown.rows, rows[: first + 1]) and len(grown) == first + 1


def test_two_that_go_on_from_the_same_rows_do_not_meet():
    first = GrowingRows(torch.zeros(1, 2)).with_more(torch.ones(1, 2))
    seen = first.rows
    left, right = first.with_more(torch.full((2, 2), 3.0)), first.with_more(torch.full((1, 2), 4.0))
    assert torch.equal(left.rows, torch.tensor([[0, 0], [1, 1], [3, 3], [3, 3]]).float())
    assert torch.equal(right.rows, torch.tensor([[0, 0], [1, 1], [4, 4]]).float())
    assert torch.equal(seen, torch.tensor([[0, 0], [1, 1]]).float())


def test_few_of_many_additions_copy():
    grown, rooms = GrowingRows(torch.zeros(1, 2)), set()
    for number in range(100):
        grown = grown.with_more(torch.full((1, 2), float(number)))
        rooms.add(grown.rows.data_ptr())
    assert len(rooms) < 10
