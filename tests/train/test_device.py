"""In which type a device trains when nothing is said."""

import pytest
import torch

from behemoth.train import TrainConfig
from behemoth.train.device import Machine


@pytest.mark.parametrize(
    ("amx", "capability", "wanted"),
    [
        (True, "AVX512", torch.bfloat16),
        (True, "AVX2", torch.float32),
        (True, "DEFAULT", torch.float32),
        (False, "AVX512", torch.float32),
    ],
)
def test_auto_is_bfloat16_only_where_its_kernels_are_in_use(monkeypatch, amx, capability, wanted):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert Machine.find(TrainConfig(device="cpu", precision="auto")).dtype is wanted
