"""Peak memory that the record of an edit states."""

import numpy as np
import torch

from behemoth.edit.usage import peak_memory

CPU = torch.device("cpu")


def test_the_peak_is_that_of_the_process_so_far():
    before = peak_memory(CPU)
    held = np.ones(before // 8)  # as much again
    after = peak_memory(CPU)
    assert after >= 1.5 * before > 0 and held.any()
    del held
    assert peak_memory(CPU) >= after


def test_a_system_that_does_not_report_it(tmp_path):
    assert peak_memory(CPU, tmp_path / "none") is None
    (tmp_path / "status").write_text("Name:\tpython\nVmRSS:\t  12 kB\n")
    assert peak_memory(CPU, tmp_path / "status") is None
    (tmp_path / "status").write_text("VmRSS:\t  12 kB\nVmHWM:\t  34 kB\n")
    assert peak_memory(CPU, tmp_path / "status") == 34 * 1024
