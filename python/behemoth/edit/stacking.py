"""The number of independent plans that run side by side, by the memory available."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from .protocol import EditMethod, answers

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["MOST", "most_stacked", "stack_size"]

MOST = {"cpu": 64, "cuda": 512}
"""Largest useful stack, by type of device."""
_BYTES = 1 << 30  # on a CPU
_SHARE = 0.4  # of a GPU's free memory


def most_stacked(model: nn.Module) -> int:
    """Return the largest useful stack on the model's device: more plans do not make it faster."""
    return MOST.get(_device(model).type, 64)


def stack_size(method: EditMethod, model: nn.Module, most: int | None = None) -> int:
    """Return the number of plans of one edit that a method applies at a time.

    Parameters
    ----------
    method : EditMethod
    model : nn.Module
        On the device that it is edited on.
    most : int, optional
        Maximum number of plans; by default `most_stacked`.

    Returns
    -------
    int
        At least 1, and 1 for a method that does not stack.
    """
    if not method.info.stacks:
        return 1
    said = answers(method)
    counts = range(1, (most_stacked(model) if most is None else most) + 1)
    room = _room(model)
    return max(1, bisect_right(counts, room, key=lambda count: said.stack_bytes(model, count)))


def _room(model: nn.Module) -> float:
    import torch

    device = _device(model)
    if device.type != "cuda":
        return _BYTES
    # What torch keeps of earlier work is free to torch alone: to the driver it is in use.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return _SHARE * (torch.cuda.mem_get_info(device)[0] + kept)


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
