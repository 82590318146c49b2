"""Devices by name, refused in one line if they are not available, and their memory."""

from __future__ import annotations

import torch

from behemoth.support.errors import ArgumentError

__all__ = ["find_device", "is_out_of_memory"]


def find_device(device: torch.device | str | None) -> torch.device:
    """Return a device, also by its name; auto, or None, is cuda if available, else cpu.

    Raises
    ------
    ArgumentError
        If the device is not available.
    """
    name = "auto" if device is None else str(device)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(name)
        torch.zeros(1, device=found).item()  # refuses meta, which stores no numbers
        if found.type == "cpu" and found.index:  # torch takes any number
            raise RuntimeError("there is one")
    except (RuntimeError, AssertionError) as error:
        there = ["auto", "cpu"]
        there += ["cuda"] if torch.cuda.is_available() else []
        there += ["mps"] if torch.backends.mps.is_available() else []
        raise ArgumentError("device", name, f"{', '.join(there)} (on this machine)") from error
    return found


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, torch or the allocator states that memory ran out."""
    # The last is of the operating system, which torch and safetensors quote.
    words = ("out of memory", "not enough memory", "can't allocate memory",
             "cannot allocate memory")  # fmt: skip
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        word in str(error).lower() for word in words
    )
