"""Rank correlations over some pairs, areas, and intervals that hold where few units lie apart."""

import math

import numpy as np
import pytest
from scipy import stats

from behemoth.study.analysis.concordance import LEAST, area, area_interval, kendall


def test_over_all_pairs_it_is_kendalls_tau_b():
    generator = np.random.default_rng(0)
    for _ in range(20):
        one, other = generator.integers(0, 4, (2, 9))
        assert kendall(one, other) == pytest.approx(stats.kendalltau(one, other).statistic)


def test_pairs_are_chosen():
    one, other = [1, 2, 3, 4], [1, 2, 4, 3]
    within = np.zeros((4, 4), bool)
    within[0, 1] = within[2, 3] = True
    assert kendall(one, other, within) == 0  # one pair agrees, and one does not
    assert kendall(one, other, ~within) == 1
    assert math.isnan(kendall(one, other, np.zeros((4, 4), bool)))


def test_infinities_rank_and_what_is_no_number_does_not_count():
    assert kendall([0, 5, math.inf, math.inf], [0, 1, 2, 2]) == 1
    assert kendall([0, 5, math.nan, 7], [0, 1, -9, 2]) == 1
    assert math.isnan(kendall([1, 1], [0, 2])) and math.isnan(kendall([], []))


def test_areas():
    assert area([2, 3], [0, 1]) == 1 and area([0, 1], [2, 3]) == 0 and area([1, 1], [1]) == 0.5
    assert area([math.inf, math.nan], [5]) == 1 and math.isnan(area([], [1]))


def test_intervals_of_areas_have_a_width_at_the_ends():
    low, high = area_interval(1.0, 5, 5)
    assert 0.6 < low < 0.7 and high == 1
    assert area_interval(0.0, 5, 5) == pytest.approx((1 - high, 1 - low))
    assert area_interval(1.0, LEAST - 1, 9) is None and area_interval(math.nan, 9, 9) is None


@pytest.mark.parametrize(("units", "shift"), [(4, 0.0), (8, 0.0), (8, 1.0)])
def test_intervals_of_areas_hold_what_they_say(units, shift):
    generator = np.random.default_rng(units)
    true = stats.norm.cdf(shift / math.sqrt(2))
    missed = 0
    for _ in range(600):
        found = area(generator.normal(shift, size=units), generator.normal(size=units))
        low, high = area_interval(found, units, units)
        missed += not low <= true <= high
    assert missed / 600 < 0.08
