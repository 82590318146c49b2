"""Precision of arithmetic on a model's numbers: never less than float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["wide_type", "widened"]


def wide_type(dtype: torch.dtype) -> torch.dtype:
    """Return float32 for narrower float types, and other float types unchanged."""
    import torch

    return torch.promote_types(dtype, torch.float32)


def widened(tensor: Tensor) -> Tensor:
    """Return the values in float32, or unchanged if they are float64.

    Logarithms and sums are too inexact in narrower types. A model in float64 stays in float64:
    rounding of the results is then too small for an optimiser to exploit.
    """
    return tensor.to(wide_type(tensor.dtype))
