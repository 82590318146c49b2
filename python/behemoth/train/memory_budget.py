"""Memory estimates that refuse a run or a model before anything is allocated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from behemoth.model.memory import LOADED, training_bytes
from behemoth.support.errors import ArgumentError
from behemoth.support.memory import limit_of
from behemoth.support.text import bytes_text

from .config import TrainConfig
from .device import find_device
from .model_source import weight_files

if TYPE_CHECKING:
    import torch

__all__ = ["file_bytes", "require_room", "require_weights"]


def require_room(
    config: TrainConfig,
    vocabulary: int,
    processes: int = 1,
    memory: int | None = None,
    local_processes: int = 1,
) -> None:
    """Refuse a run on a CPU that is estimated to need more memory than is available.

    Parameters
    ----------
    config : TrainConfig
    vocabulary : int
        Number of rows of the embedding and of the head.
    processes : int
        Number of processes that share a batch.
    memory : int, optional
        Bytes that this process may use; by default its share of what the machine or the container
        has free.
    local_processes : int
        Number of processes on this machine, which share what is free.

    Raises
    ------
    ArgumentError
        If it does not fit; names the largest batch that does, or the `accumulate` this one needs.
    """
    free = limit_of(memory)
    if free is None:
        return
    if memory is None:
        free //= local_processes

    def takes(blocks: int) -> int:
        return training_bytes(config.size, vocabulary, blocks * config.block_length)

    shares = [
        config.batch_size // (processes * times)
        for times in range(config.accumulate, config.batch_size + 1)
        if config.batch_size % (processes * times) == 0
    ]
    if not shares or takes(shares[0]) <= free:
        return
    need = f"needs about {bytes_text(takes(shares[0]))} of memory while {bytes_text(free)} is"
    alone = " free" if local_processes == 1 else f" free for each of {local_processes} processes"
    need += alone if memory is None else " allowed"
    fits = next((blocks for blocks in shares if takes(blocks) <= free), 0)
    if not fits:
        raise ArgumentError(
            "model",
            f"{config.size.name}, which with one block of {config.block_length:,} tokens needs "
            f"about {bytes_text(takes(1))} of memory",
            f"what fits into {bytes_text(free)}: a smaller model, or shorter blocks",
        )
    raise ArgumentError(
        "batch_size",
        f"{config.batch_size:,}, which {need}",
        f"up to {processes * config.accumulate * fits:,}, or accumulate = "
        f"{config.batch_size // (processes * fits)} with this one",
    )


def require_weights(
    directory: Path,
    device: torch.device | str | None,
    memory: int | None = None,
    name: str = "run",
    *,
    beside: int = 0,
    work: str = "load",
) -> None:
    """Refuse a model that needs more memory to load than is available, before it is loaded.

    Parameters
    ----------
    directory : Path
        Directory of the model.
    device : optional
        Target device, as for `ModelSource.load_model`; nothing is refused on a GPU.
    memory : int, optional
        Bytes that this process may use; by default what the machine or the container has free.
    name : str
        Name of the argument, for errors.
    beside : int
        Bytes that are needed in addition to those of loading it.
    work : str
        What is done with the model, for errors.

    Raises
    ------
    ArgumentError
        If it does not fit.
    """
    if find_device("auto" if device is None else str(device)).type != "cpu":
        return
    free = limit_of(memory)
    needed = beside + LOADED * file_bytes(directory)
    if free is not None and needed > free:
        raise ArgumentError(
            name,
            f"{directory}, which needs about {bytes_text(needed)} of memory to {work}",
            f"what fits into {bytes_text(free)}: a smaller model",
        )


def file_bytes(directory: Path) -> int:
    """Return the bytes of the weights' files in the directory of a model."""
    return sum(file.stat().st_size for file in weight_files(directory))
