"""Peak memory that the record of an edit states."""

import subprocess
import sys

import pytest
import torch

from behemoth.edit.usage import peak_memory

CPU = torch.device("cpu")


PEAKS = """
from types import SimpleNamespace

from behemoth.edit.usage import peak_memory

cpu = SimpleNamespace(type="cpu")
before = peak_memory(cpu)
held = b"x" * (2 * before)
after = peak_memory(cpu)
del held
print(before, after, peak_memory(cpu))
"""


def test_the_peak_is_that_of_the_process_so_far(peaks):
    """In a process of its own: one that has run other tests would have to allocate gigabytes."""
    if not peaks:
        pytest.skip("the system does not say what a process took at most")
    ran = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, check=True, text=True)
    before, after, last = map(int, ran.stdout.split())
    # Linux counts pages by thread, and reports a little less at times.
    assert after >= 2 * before > 0 and last >= 0.99 * after


def test_a_system_that_does_not_report_it(tmp_path):
    assert peak_memory(CPU, tmp_path / "none") is None
    (tmp_path / "status").write_text("Name:\tpython\nVmRSS:\t  12 kB\n")
    assert peak_memory(CPU, tmp_path / "status") is None
    (tmp_path / "status").write_text("VmRSS:\t  12 kB\nVmHWM:\t  34 kB\n")
    assert peak_memory(CPU, tmp_path / "status") == 34 * 1024


def test_this_system_reports_it_if_it_can(peaks):
    assert (peak_memory(CPU) is not None) == peaks
