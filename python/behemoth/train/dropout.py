"""What dropout draws from: torch's global generators, which a run begins and gives back.

Models that are made here have no dropout; one that training starts from may have some. It draws
from the generator of the device it computes on, and from nowhere else.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from hashlib import blake2b

import torch

__all__ = ["drawing", "seed_dropout"]


@contextmanager
def drawing(device: torch.device) -> Generator[None]:
    """Leave the generators of the CPU, and of a GPU, as they were before."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_dropout(device: torch.device, seed: int, rank: int, step: int = 0) -> None:
    """Begin the generators of the CPU and of a device.

    Parameters
    ----------
    device : torch.device
    seed : int
        Of the run.
    rank : int
        Processes share a batch, and each drops for its own part of it.
    step : int
        Updates done before.
    """
    text = f"behemoth train/dropout/{seed}/{rank}/{step}"
    key = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
    torch.default_generator.manual_seed(key)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(key)
    elif device.type == "mps":
        torch.mps.manual_seed(key)
