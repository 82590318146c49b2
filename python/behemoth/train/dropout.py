"""Random numbers of dropout: torch's global generators, which a run seeds and restores.

Models that are initialised here have no dropout; one that training starts from may have some. It
uses only the generator of the device it computes on.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from hashlib import blake2b

import torch

__all__ = ["drawing", "seed_dropout"]


@contextmanager
def drawing(device: torch.device) -> Generator[None]:
    """Restore the state of the generators of the CPU, and of a GPU, afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_dropout(device: torch.device, seed: int, rank: int, step: int = 0) -> None:
    """Seed the generators of the CPU and of a device.

    Parameters
    ----------
    device : torch.device
    seed : int
        Seed of the run.
    rank : int
        Index of the process: each draws dropout for its own share of a batch.
    step : int
        Number of updates done before.
    """
    text = f"behemoth train/dropout/{seed}/{rank}/{step}"
    key = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
    torch.default_generator.manual_seed(key)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(key)
