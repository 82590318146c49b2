import math

import numpy as np
import pytest

from behemoth.study.gates.conditions import VERDICTS, Condition, power, verdict_of

YES, NO, OPEN = VERDICTS


def outcome(values, bound=0.0, effect=1.0, below=False):
    return Condition("x", values, bound, effect, below=below).judge()


def test_an_interval_on_one_side_decides():
    assert outcome([1.0, 1.1, 0.9]).outcome == "holds"
    assert outcome([-1.0, -1.1, -0.9]).outcome == "fails"
    assert outcome([-1.0, -1.1, -0.9], below=True).outcome == "holds"
    assert outcome([0.2, 0.3, 0.25], bound=0.5, below=True).outcome == "holds"
    assert outcome([0.7, 0.8, 0.75], bound=0.5, below=True).outcome == "fails"
    # Equal in all models: on the bound is not above it.
    assert outcome([0.0, 0.0, 0.0]).outcome == "fails"
    assert outcome([1.0, 1.0, 1.0]).outcome == "holds"


def test_no_spread_is_no_interval():
    held = outcome([1.0, 1.0, 1.0])
    assert (held.mean, held.low, held.high, held.power) == (1.0, None, None, None)
    # The mean of three times 0.1 is not 0.1, nor their spread 0.
    assert outcome([0.1, 0.1, 0.1]).low is None


def test_an_interval_decides_and_is_cut_to_what_is_possible_then():
    values, share = [0.93, 0.99, 0.999], (0.0, 1.0)
    free = Condition("x", values, bound=0.98, effect=0.03).judge()
    cut = Condition("x", values, bound=0.98, effect=0.03, within=share).judge()
    assert free.high > 1.01 and cut.high == 1.0 and cut.low == free.low
    assert (cut.outcome, cut.power, cut.needed) == (free.outcome, free.power, free.needed)
    assert cut.outcome == "open", "it holds the effect before it is cut"
    low = Condition("x", [0.0, 0.02, 0.01], bound=0.5, effect=0.1, below=True, within=share)
    assert low.judge().low == 0.0


def test_the_interval_is_student_s():
    held = outcome([1.0, 2.0, 3.0], bound=-10)
    half = 4.302652729696142 / math.sqrt(3)  # t of 2 degrees of freedom, by table
    assert held.mean == 2.0
    assert held.low == pytest.approx(2 - half)
    assert held.high == pytest.approx(2 + half)


def test_an_interval_that_leaves_out_every_effect_that_counts_fails_and_another_is_open():
    missed = outcome([-0.05, 0.1, 0.02])
    assert missed.low < 0 < missed.high < 1
    assert missed.outcome == "fails"
    assert missed.power > 0.8
    assert missed.needed <= 3
    # The test would have power enough if the spread of three were the true one; the interval
    # holds the effect all the same.
    inside = outcome([0.03, 0.06, 0.075], effect=0.1)
    assert inside.low < 0 and inside.high > 0.1
    assert inside.power > 0.8
    assert inside.outcome == "open"
    # Much spread: it had not.
    unsure = outcome([-2.0, 3.0, 0.5])
    assert unsure.outcome == "open"
    assert unsure.power < 0.8
    assert unsure.needed > 3
    assert power(1.0, float(np.std([-2.0, 3.0, 0.5], ddof=1)), unsure.needed) >= 0.8
    assert outcome([-2.0, 3.0, 0.5], effect=1e-3).needed is None, "more than are tried"


def test_what_is_called_a_failure_is_seldom_an_effect_that_counts():
    # Half of a two-sided 5%: of 2,000 true effects of the size that counts, at most 2.5% and two
    # standard errors of that may be called absent (false alarm 3%).
    generator = np.random.default_rng(5)
    values = generator.normal(1.0, 1.0, size=(2000, 4))
    failed = sum(outcome(list(row)).outcome == "fails" for row in values)
    assert 0 < failed <= 2000 * 0.025 + 2 * math.sqrt(2000 * 0.025 * 0.975)


def test_what_has_no_number_is_not_refuted_and_one_model_decides_nothing():
    missing = outcome([1.0, math.nan, 1.0])
    assert missing.outcome == "open" and missing.missing == 1
    assert outcome([]).outcome == "open"
    assert outcome([1.0]).outcome == "open"


def test_power_is_that_of_the_tables():
    # Two-sided, 5%: Cohen 1988, and 5% of the time without an effect.
    assert power(0.5, 1.0, 34) == pytest.approx(0.80, abs=0.01)
    assert power(0.0, 1.0, 10) == pytest.approx(0.05, abs=1e-6)
    assert power(1.0, 0.0, 3) == 1.0
    assert power(1000.0, 1e-9, 3) == 1.0


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [("hhh", YES), ("hfh", NO), ("hof", NO), ("hoh", OPEN), ("o", OPEN)],
)
def test_verdicts(outcomes, verdict):
    values = {"h": [1.0, 1.1, 0.9], "f": [-1.0, -1.1, -0.9], "o": [-2.0, 3.0, 0.5]}
    assert verdict_of([outcome(values[one]) for one in outcomes]) == verdict
