"""The share of pairs in which one kind is above the other, against counting them."""

import numpy as np
import pytest

from behemoth.evaluate.mann_whitney import weighted_area


def test_pairs_count_as_often_as_both_rows_do():
    generator = np.random.default_rng(0)
    values = generator.integers(0, 6, 40).astype(float)  # with ties
    values[:2] = np.inf, -np.inf
    high = generator.random(40) < 0.4
    weights = generator.integers(0, 4, (5, 40)).astype(float)
    found = weighted_area(values, high, weights)
    apart = np.sign(values[high][:, None] - values[~high])
    for own, area in zip(weights, found, strict=True):
        pairs = own[high][:, None] * own[~high]
        assert area == pytest.approx((pairs * (1 + apart) / 2).sum() / pairs.sum())


def test_rows_of_one_kind_alone_have_no_area():
    values, weights = np.arange(3.0), np.ones(3)
    for high in (np.ones(3, bool), np.zeros(3, bool)):
        assert np.isnan(weighted_area(values, high, weights))
    assert np.isnan(weighted_area(values[:0], high[:0], weights[:0]))
