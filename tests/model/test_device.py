"""Devices by name, and what states that memory ran out."""

import pytest
import torch

from behemoth import ArgumentError
from behemoth.model.device import find_device


@pytest.mark.parametrize("name", ["mps", "mps:0", "xpu", torch.device("mps")])
def test_a_device_without_float64_is_refused_where_torch_has_it(name, monkeypatch):
    """As torch on a Mac, which has the device and would make tensors on it."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", lambda *shape, device: torch.ones(shape))
    with pytest.raises(ArgumentError, match=r"got (mps|xpu).*, allowed: auto, cpu \(on"):
        find_device(name)
