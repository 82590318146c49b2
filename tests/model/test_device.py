"""Devices by name, and what states that memory ran out."""

import pytest
import torch

from behemoth import ArgumentError
from behemoth.model.device import find_device, is_out_of_memory


@pytest.mark.parametrize("name", ["mps", "mps:0", "xpu", torch.device("mps")])
def test_a_device_without_float64_is_refused_where_torch_has_it(name, monkeypatch):
    """As torch on a Mac, which has the device and would make tensors on it."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", lambda *shape, device: torch.ones(shape))
    with pytest.raises(ArgumentError, match=r"got (mps|xpu).*, allowed: auto, cpu \(on"):
        find_device(name)


@pytest.mark.parametrize(
    ("error", "ran_out"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `x`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `x`"), False),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
    ],
)
def test_errors_that_state_that_memory_ran_out_are_known(error, ran_out):
    assert is_out_of_memory(error) is ran_out
