import numpy as np
import pytest

from behemoth.delta.tiles import tiles


@pytest.mark.parametrize("batch_size", [1, 7, 64, 10_000])
def test_every_row_is_there_and_edits_have_equally_many(batch_size):
    generator = np.random.default_rng(0)
    widths = generator.integers(4, 30, 1000)
    rows = np.split(np.arange(1000), [40, 41, 500])
    seen = [set() for _ in rows]
    for tile in tiles(rows, widths, batch_size):
        assert tile.shape[0] == 4
        assert tile.size <= max(batch_size, 4)
        for own, line, allowed in zip(seen, tile, rows, strict=True):
            assert set(line) <= set(allowed)
            own |= set(line)
    assert [len(own) for own in seen] == [len(own) for own in rows]


def test_lengths_are_not_mixed_where_there_are_rows_enough():
    widths = np.tile([5, 9], 2000)
    rows = np.split(np.arange(4000), 4)
    shapes = []
    for tile in tiles(rows, widths, 4096):
        assert len(np.unique(widths[tile])) == 1
        shapes.append(tile.shape)
    assert shapes == [(4, 500), (4, 500)]
