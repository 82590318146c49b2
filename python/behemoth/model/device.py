"""Devices by name, refused in one line if they are not available, and their memory."""

from __future__ import annotations

import torch

from behemoth.support.errors import ArgumentError

__all__ = ["find_device", "is_out_of_memory"]


def find_device(device: torch.device | str | None) -> torch.device:
    """Return a device, also by its name; auto, or None, is cuda if available, else cpu.

    Others that torch knows are refused. On mps, Apple's, nothing would end: recall, statistics and
    tracing compute in float64, which it lacks.

    Raises
    ------
    ArgumentError
        If the device is neither a CPU nor a CUDA device, or is not available.
    """
    name = "auto" if device is None else str(device)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
        if found.type not in ("cpu", "cuda"):
            raise RuntimeError("not supported")
        if found.type == "cpu" and found.index:  # torch takes any number
            raise RuntimeError("there is one")
        torch.zeros(1, device=found).item()
    except (RuntimeError, AssertionError) as error:
        there = ["auto", "cpu"]
        there += ["cuda"] if torch.cuda.is_available() else []
        raise ArgumentError("device", name, f"{', '.join(there)} (on this machine)") from error
    return found


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, torch or the allocator states that memory ran out."""
    words = (
        "out of memory", "not enough memory", "can't allocate memory",
        "cannot allocate memory",  # of the operating system, which torch and safetensors quote
        # Of CUDA's libraries, whose status torch quotes: CUBLAS_STATUS_ALLOC_FAILED and, in cuDNN
        # from version 9 on, CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED.
        "_alloc_failed", "_allocation_failed",
    )  # fmt: skip
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        word in str(error).lower() for word in words
    )
