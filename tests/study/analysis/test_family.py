import numpy as np
import pytest

from behemoth.study.analysis.family import gatekept


def test_gates_in_order_and_then_holm():
    # Of the rest 0.004 x 4, then 0.02 x 3, then 0.06 (0.03 x 2 is no more), then 0.5.
    found = gatekept([0.001, 0.01], [0.02, 0.5, 0.004, 0.03])
    assert found == pytest.approx([0.001, 0.01, 0.06, 0.5, 0.016, 0.06])


def test_nothing_passes_a_gate_that_is_shut():
    assert gatekept([0.2, 0.001], [1e-9]) == [0.2, 0.2, 0.2]
    assert gatekept([0.001, 0.4], [1e-9]) == [0.001, 0.4, 0.4]
    assert gatekept([0.01, None], [0.001, None]) == [0.01, 1.0, 1.0, 1.0]


def test_a_family_may_be_its_gates_alone():
    assert gatekept([0.04, 0.03], []) == [0.04, 0.04]


@pytest.mark.parametrize("false", [(), (0,), (0, 1), (0, 1, 2), (0, 1, 3, 5)])
def test_false_alarms_of_the_family_stay_below_the_level(false):
    # True effects have p near 0; in 4,000 families an error rate of 5 % has a standard error of
    # 0.34 %, so that more than 6.4 % come by chance once in 19,000, in each of the four.
    random = np.random.default_rng(len(false))
    alarms = 0
    for _ in range(4000):
        p = random.random(6)
        p[list(false)] = 1e-6
        found = gatekept(p[:2].tolist(), p[2:].tolist())
        alarms += any(found[place] <= 0.05 for place in range(6) if place not in false)
    assert alarms / 4000 < 0.064
