"""The noise of causal tracing: that of each fact is its own, whichever others are traced."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["fact_noise"]

# Between the numbers that seed the noise of a fact with successive seeds.
_STEP = 1_000_003


def fact_noise(shape: tuple[int, ...], seed: int, fact: int) -> Tensor:
    """Return standard normal numbers, which differ between seeds and between facts.

    Parameters
    ----------
    shape : tuple of int
    seed, fact : int

    Returns
    -------
    Tensor
        float32 of the shape, on the CPU.
    """
    number = seed * _STEP + fact
    if fact < _STEP and number < 2**64:
        return torch.randn(shape, generator=torch.Generator().manual_seed(number))
    # From there on, the number would be that of another fact with a higher seed; and torch refuses
    # more than 64 bits, and uses only the lower 32.
    drawn = np.random.default_rng([seed, fact]).standard_normal(shape, np.float32)
    return torch.from_numpy(drawn)
