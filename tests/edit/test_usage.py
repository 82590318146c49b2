"""Peak memory that the record of an edit states."""

import numpy as np
import torch

from behemoth.edit.usage import PeakMemory


def test_the_peak_is_that_since_the_start():
    held = np.ones(1 << 24)  # 128 MiB
    del held
    before = PeakMemory(torch.device("cpu"))
    first = before.bytes()
    after = PeakMemory(torch.device("cpu"))
    held = np.ones(1 << 24)
    assert after.bytes() >= first + (1 << 26) and held.any()


def test_a_system_that_does_not_report_it(tmp_path):
    assert PeakMemory(torch.device("cpu"), tmp_path / "none").bytes() is None
    assert PeakMemory(torch.device("cpu"), tmp_path).bytes() is None
