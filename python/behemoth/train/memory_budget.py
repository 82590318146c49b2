"""Memory estimates that refuse a run or a model before anything is allocated."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from behemoth.model.architectures import is_pythias
from behemoth.model.device import find_device
from behemoth.model.memory import LOADED, training_bytes
from behemoth.support.errors import ArgumentError
from behemoth.support.files import check_regular
from behemoth.support.memory import halves, limit_of
from behemoth.support.text import bytes_text

from .config import TrainConfig
from .model_source import weight_files

if TYPE_CHECKING:
    import torch


__all__ = [
    "ROWS", "file_bytes", "loaded_bytes", "model_bytes", "recall_rows", "require_recall",
    "require_room", "require_weights", "step_bytes",
]  # fmt: skip

ROWS = 512
"""Usual number of rows per pass of recall."""

# Recall: bytes of a fact (its probe and its row), and bytes of a row of a pass per word of the
# vocabulary (the logits of its answer's tokens, and copies of them).
_OF_A_FACT, _OF_A_WORD = 500, 32

# Bytes for each weight of all that is trained: the weight, its gradient, AdamW's two moments; and
# beside weights in bfloat16 also a copy in float32, with a gradient of its own.
_TRAINED = {"fp32": 16, "bf16": 20}
# Of weights that only low-rank changes reach: the weight, its value before, and its gradient.
_CHANGED = 3
_OF_A_NUMBER = {"fp32": 4, "bf16": 2}


def step_bytes(config: TrainConfig, vocabulary: int, tokens: int, processes: int = 1) -> int:
    """Estimate the peak memory of a training step on a CPU, in bytes, beyond the process's own.

    Parameters
    ----------
    config : TrainConfig
    vocabulary : int
        Number of token ids of the corpus; a model to start from may have more rows for them.
    tokens : int
        Number of tokens of a micro-batch.
    processes : int
        Number of processes that share a batch; a single one has nothing to shard.
    """
    vocabulary = _rows(config, vocabulary)
    plain = config.compile == "on" or (config.fully_shard and processes > 1)
    return training_bytes(
        config.size,
        vocabulary,
        tokens,
        weights=_weights_bytes(config, vocabulary),
        rows=config.document_mask and not plain,
        fused=not plain and _is_fused(config),
    )


def model_bytes(config: TrainConfig, vocabulary: int, facts: int, rows: int = ROWS) -> int:
    """Return the peak memory of training a model on a CPU and of measuring its recall, in bytes.

    Parameters
    ----------
    config : TrainConfig
    vocabulary : int
    facts : int
        Number of facts that recall is measured on.
    rows : int
        Number of rows per pass of recall.
    """
    step = step_bytes(config, vocabulary, config.held_tokens)
    return max(step, _recall_bytes(config, vocabulary, facts, rows))


def recall_rows(config: TrainConfig, vocabulary: int, facts: int, memory: int) -> int:
    """Return the number of rows per pass of recall that fit beside what is trained; 0 for none.

    Parameters
    ----------
    config, vocabulary, facts
        See `model_bytes`.
    memory : int
        Bytes that may be used.
    """
    fits = (n for n in halves(ROWS) if _recall_bytes(config, vocabulary, facts, n) <= memory)
    return next(fits, 0)


def require_recall(
    config: TrainConfig,
    vocabulary: int,
    facts: int,
    memory: int | None = None,
    local_processes: int = 1,
) -> int:
    """Return the number of rows per pass of recall that fit on a CPU while a model is trained.

    Parameters
    ----------
    config, vocabulary, facts
        See `model_bytes`.
    memory, local_processes
        See `require_room`.

    Raises
    ------
    ArgumentError
        If not even one row fits.
    """
    free = _free_of(memory, local_processes)
    if free is None:
        return ROWS
    rows = recall_rows(config, vocabulary, facts, free)
    if not rows:
        needed = bytes_text(_recall_bytes(config, vocabulary, facts, 1))
        raise ArgumentError(
            "model",
            f"{config.size.name}, whose recall needs about {needed} of memory",
            f"what fits into {bytes_text(free)}: a smaller model, or fewer facts",
        )
    return rows


def _recall_bytes(config: TrainConfig, vocabulary: int, facts: int, rows: int) -> int:
    # What is trained stays in memory meanwhile, with the moments of the optimiser.
    asked = _OF_A_FACT * facts + _OF_A_WORD * _rows(config, vocabulary) * min(rows, facts)
    return step_bytes(config, vocabulary, 0) + asked


def _free_of(memory: int | None, local_processes: int) -> int | None:
    free = limit_of(memory)
    return free if memory is not None or free is None else free // local_processes


def _rows(config: TrainConfig, vocabulary: int) -> int:
    """Return the number of rows of the embedding and of the head, without padding."""
    own = config.architecture.get("vocab_size") if config.start and config.architecture else None
    return max(vocabulary, own) if isinstance(own, int) else vocabulary


def _is_fused(config: TrainConfig) -> bool:
    """Return whether the model has the fused blocks of `training_loss`, as far as settings tell.

    A new model has no dropout, whatever its configuration has.
    """
    size = config.size
    own = config.architecture if config.start and config.architecture else size.settings
    return config.weights == "fp32" and size.family == "gpt_neox" and is_pythias(own)


def _weights_bytes(config: TrainConfig, vocabulary: int) -> int:
    """Return the bytes of the weights, of what is trained in their place, and of its optimiser."""
    size, rank = config.size, config.lora_rank
    every = size.parameters_with(vocabulary)
    if rank is None:
        return _TRAINED[config.weights] * every
    own = _OF_A_NUMBER[config.weights]
    # The factors of queries, keys, values and output, of up to three matrices of an MLP.
    ends = 4 * (size.width + size.all_heads) + 3 * (size.width + size.hidden)
    factors = size.layers * rank * ends
    held = own * (every + (_CHANGED - 1) * size.parameters) + _TRAINED["fp32"] * factors
    return max(held, LOADED * own * every)


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
        See `step_bytes`.
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
    free = _free_of(memory, local_processes)
    if free is None:
        return

    def takes(blocks: int) -> int:
        return step_bytes(config, vocabulary, blocks * config.block_length, processes)

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
    if find_device(device).type != "cpu":
        return
    free = limit_of(memory)
    needed = beside + file_bytes(directory) + loaded_bytes(directory)
    if free is not None and needed > free:
        raise ArgumentError(
            name,
            f"{directory}, which needs about {bytes_text(needed)} of memory to {work}",
            f"what fits into {bytes_text(free)}: a smaller model",
        )


def file_bytes(directory: Path) -> int:
    """Return the bytes of the weights' files in the directory of a model.

    Raises
    ------
    CorpusError
        If one of the files is a pipe, or another thing that is not a regular file.
    """
    files = weight_files(directory)
    for file in files:
        check_regular(file)
    return sum(file.stat().st_size for file in files)


def loaded_bytes(directory: Path) -> int:
    """Return the bytes of a model's weights once they are loaded, in float32 whatever they were.

    Raises
    ------
    CorpusError
        If one of the files is a pipe, or another thing that is not a regular file.
    """
    numbers = 0
    for part in weight_files(directory):
        check_regular(part)
        try:
            with safe_open(part, framework="np") as file:
                names = file.keys()
                numbers += sum(prod(file.get_slice(name).get_shape()) for name in names)
        except (OSError, SafetensorError):  # it is refused by name when it is loaded
            return file_bytes(directory)
    return _OF_A_NUMBER["fp32"] * numbers
