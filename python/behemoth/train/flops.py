"""Floating-point operations: cost per token of a model, and peak rate of a device."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from behemoth.model.sizes import Size

if TYPE_CHECKING:
    import torch

# Dense bfloat16, in 1e12 per second, as published by the makers.
_PEAKS = {
    "B200": 2250.0, "H200": 989.0, "H100 PCIe": 756.0, "H100": 989.0, "A100": 312.0,
    "L40S": 362.0, "L40": 181.0, "L4": 121.0, "A10G": 70.0, "A10": 125.0, "RTX 4090": 165.0,
    "RTX 3090": 71.0,
}  # fmt: skip


def token_flops(size: Size, vocabulary: int, block_length: int) -> float:
    """Return the number of operations of training on one token.

    It is 6 for each parameter in a matrix product, and 12 x layers x width of all heads x
    block_length for attention, as counted for PaLM (arXiv 2204.02311, appendix B).
    """
    products = size.parameters + vocabulary * size.width
    return 6.0 * products + 12.0 * size.layers * size.all_heads * block_length


def utilisation(rate: float, peak: float) -> float | None:
    """Return the share of a peak rate that a rate is; None if it is above the peak.

    The measured peak of a machine on which other work ran at that time is too low, and then a share
    of it says nothing. To measure for longer would not help: the other work can last. It would also
    delay every run.
    """
    share = rate / peak
    return None if share > 1 else share


def known_peak(name: str) -> float | None:
    """Return the published peak rate of a GPU by its name, in operations per second.

    Names are compared by words: an L40 is no L4, and an RTX A1000 no A100.
    """
    for known, peak in _PEAKS.items():
        if re.search(rf"\b{known}\b", name):
            return peak * 1e12
    return None


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Return the peak number of operations per second of a device.

    For bfloat16 on known GPUs it is the published rate; otherwise the rate of a large matrix
    product, measured in a few milliseconds.
    """
    import torch

    known = None
    if device.type == "cuda" and dtype == torch.bfloat16:
        known = known_peak(torch.cuda.get_device_name(device))
    if known is not None:
        return known
    size = 1024 if device.type == "cpu" else 4096
    left, right = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        product = left @ right
        float(product[0, 0])  # waits for the device
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best
