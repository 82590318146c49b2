"""The line of progress, and the share of a device's peak rate in it."""

from dataclasses import replace

from behemoth.train.flops import utilisation
from behemoth.train.report import Report

REPORT = Report(
    step=5, steps=10, tokens=50, loss=1.5, learning_rate=0.1, gradient_norm=1.0,
    tokens_per_second=10.0, wait_share=0.0, mfu=0.25, seconds_left=5.0,
)  # fmt: skip


def test_a_rate_above_the_measured_peak_is_no_share_of_it():
    assert utilisation(5e9, 1e10) == 0.5
    assert utilisation(1e10, 1e10) == 1.0
    assert utilisation(1.06e10, 1e10) is None


def test_the_line_has_what_is_known():
    assert str(REPORT) == (
        "step 5 of 10, loss 1.500, 10 tokens/s, data wait 0.0%, MFU 25%, 0:00:05 left"
    )
    assert "MFU" not in str(replace(REPORT, mfu=None))


def test_the_last_line_has_no_time_left():
    last = replace(REPORT, step=10, seconds_left=0.0)
    assert "left" not in str(last) and str(last).endswith("MFU 25%")
