import pytest

from behemoth.train.config import default_config
from behemoth.train.schedule import learning_rate


def rates(steps=100, **settings):
    config = default_config("nano", learning_rate=1.0, **settings)
    return [learning_rate(config, step, steps) for step in range(steps)]


def test_the_warm_up_rises_to_the_peak_in_equal_steps():
    assert rates(warmup=0.1)[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])


def test_the_cosine_falls_from_the_peak_to_the_final_rate():
    values = rates(warmup=0, final_learning_rate=0.1)
    assert values[0] == 1.0
    assert values[50] == pytest.approx(0.55)
    assert 0.1 < values[-1] < 0.101
    assert values == sorted(values, reverse=True)


def test_wsd_is_constant_and_then_falls_in_equal_steps():
    values = rates(schedule="wsd", warmup=0.1, decay=0.2, final_learning_rate=0)
    assert values[9:80] == [1.0] * 71
    assert values[80:] == pytest.approx([(20 - i) / 20 for i in range(20)])


@pytest.mark.parametrize("schedule", ["cosine", "wsd"])
def test_the_shortest_run_has_a_rate(schedule):
    assert rates(1, schedule=schedule) == [1.0]
