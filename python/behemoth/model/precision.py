"""How precise arithmetic on a model's numbers is: never less than float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["wide_type", "widened"]


def wide_type(dtype: torch.dtype) -> torch.dtype:
    """Give float32 for the short types, and every other type as it is."""
    import torch

    return torch.promote_types(dtype, torch.float32)


def widened(tensor: Tensor) -> Tensor:
    """Give the values in float32, or as they are in float64.

    Logarithms and sums lose too much in the short types. A model in float64 stays in float64:
    then what is worked out holds no rounding that an optimiser could make something of.
    """
    return tensor.to(wide_type(tensor.dtype))
