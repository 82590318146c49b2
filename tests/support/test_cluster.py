"""A connection to a Ray cluster; the engines of corpora and studies are tested with theirs."""

import signal
import sys

import pytest

from behemoth.support.cluster import ray_cluster
from behemoth.support.signals import Stops, Terminated


@pytest.fixture
def listening():
    """A program that stops at SIGTERM, as the command line does."""
    usual = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stops = Stops()
    stops.listen()
    yield
    stops.close(finished=False)
    for number, handler in usual.items():
        signal.signal(number, handler)


def start(log_to_driver):
    """What Ray does with the signal when it starts."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))


@pytest.mark.parametrize("early", [True, False], ids=["while Ray starts", "later"])
def test_sigterm_stops_a_program_as_without_ray(fake_ray, listening, early):
    def starting(log_to_driver):
        start(log_to_driver)
        if early:
            signal.raise_signal(signal.SIGTERM)

    fake_ray.init = starting
    with pytest.raises(Terminated), ray_cluster():
        signal.raise_signal(signal.SIGTERM)
    assert fake_ray.calls == ([] if early else ["shutdown"])


def test_a_program_without_a_handler_has_that_of_ray(fake_ray):
    fake_ray.init = start
    with pytest.raises(SystemExit), ray_cluster():
        signal.raise_signal(signal.SIGTERM)
    assert fake_ray.calls == ["shutdown"]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
