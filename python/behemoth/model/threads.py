"""The number of torch's threads on a CPU, for a while."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["threads"]


@contextmanager
def threads(count: int) -> Generator[None]:
    """Set torch's threads while this is entered: results depend on them in their last bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
