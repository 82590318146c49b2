"""Suite sequence: which edits are asked, and how long they hold."""

import numpy as np
import polars as pl

from behemoth.evaluate.suites.sequence import half_life, sampled_edits


def test_the_half_life_lies_between_the_ages_around_a_half():
    rows = [
        {"place": place, "after": after, "exact_match": after - place - 1 < 8}
        for place in range(4)
        for after in (4, 8, 16, 32)
    ]
    found = half_life(pl.DataFrame(rows))
    assert 4 < found < 12
    # Edits that were looked at but once held by choice: they say nothing of how long one holds.
    once = [{"place": 4 + n, "after": 32, "exact_match": True} for n in range(28)]
    assert half_life(pl.DataFrame(rows + once)) == found
    held = pl.DataFrame(rows).with_columns(exact_match=pl.lit(True))
    assert half_life(held) is None


def test_a_sample_of_a_long_sequence_has_its_first_edits():
    assert sampled_edits(10).tolist() == list(range(10))
    long = sampled_edits(10_000)
    assert len(long) <= 256 and long[0] == 0 and long[-1] == 9_999
    assert set(range(5)) <= set(long.tolist())
    assert (np.diff(long) > 0).all() and np.diff(long).max() < 100
