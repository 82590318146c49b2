"""The line of progress, and the share of a device's peak rate in it."""

from dataclasses import replace

from behemoth.train.flops import known_peak, utilisation
from behemoth.train.report import Report

REPORT = Report(
    step=5, steps=10, tokens=50, loss=1.5, learning_rate=0.1, gradient_norm=1.0,
    tokens_per_second=10.0, wait_share=0.0, mfu=0.25, seconds_left=5.0,
)  # fmt: skip


def test_a_rate_above_the_measured_peak_is_no_share_of_it():
    assert utilisation(5e9, 1e10) == 0.5
    assert utilisation(1e10, 1e10) == 1.0
    assert utilisation(1.06e10, 1e10) is None


def test_peaks_are_those_of_the_named_gpu():
    for name, peak in (
        ("NVIDIA H100 PCIe", 756), ("NVIDIA H100 80GB HBM3", 989), ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA L40", 181), ("NVIDIA L40S", 362), ("NVIDIA L4", 121), ("NVIDIA A10", 125),
        ("NVIDIA GeForce RTX 4090", 165),
    ):  # fmt: skip
        assert known_peak(name) == peak * 1e12, name
    assert known_peak("NVIDIA RTX A1000") is None


def test_the_line_has_what_is_known():
    assert str(REPORT) == (
        "step 5 of 10, loss 1.500, 10 tokens/s, data wait 0.0%, MFU 25%, 0:00:05 left"
    )
    assert "MFU" not in str(replace(REPORT, mfu=None))
    assert "of 10, no loss, 10 tokens/s" in str(replace(REPORT, loss=None))


def test_the_last_line_has_no_time_left():
    last = replace(REPORT, step=10, seconds_left=0.0)
    assert "left" not in str(last) and str(last).endswith("MFU 25%")
