"""Device, precision and processes of a run."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from behemoth.model.device import find_device
from behemoth.support.errors import ArgumentError
from behemoth.support.process import unheard_stdout
from behemoth.support.provenance import cores, processor

from .agreement import Agreement
from .config import TrainConfig
from .group import OWN

# Below this number of floating-point operations compiling takes longer than it saves.
_WORTH_COMPILING = 3e16


# torch's deterministic mode warns of cuBLAS without it. Its size is read once, when a process first
# uses cuBLAS, and stays: also in a process that has edited or evaluated before it trains.
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"

# Numbers that torch reads from the environment: name, usual value and minimum.
_LAUNCHED = (("RANK", 0, 0), ("LOCAL_RANK", 0, 0), ("MASTER_PORT", 29500, 1))


@dataclass(frozen=True)
class Machine:
    """The device and process of a run: a single process, or one of several that share each batch.

    Parameters
    ----------
    device : torch.device
    dtype : torch.dtype
        Type of the matrix products.
    threads : int
        Number of CPU threads of this process.
    rank, world_size : int
        Index of this process, and number of processes.
    local_rank, local_world_size : int
        Index of this process on this machine, and number of processes on it.
    accelerator : accelerate.Accelerator, optional
        Set if there are several processes.
    agreement : Agreement
        Exchange of numbers between the processes.
    """

    device: torch.device
    dtype: torch.dtype
    threads: int
    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    accelerator: Any = None
    agreement: Agreement = field(default_factory=lambda: Agreement(1, 0))

    @classmethod
    def find(cls, config: TrainConfig) -> Machine:
        """Determine it from the settings and the variables of the launcher of this process.

        Raises
        ------
        ArgumentError
            If the device is not available, or a variable that launchers set is not a number.
        TrainError
            If an earlier run has left a group of processes that cannot be made again.
        """
        world_size = _launched("WORLD_SIZE", 1)
        accelerator = None
        name = config.device
        if world_size > 1 and name == "cuda":
            # This process's own GPU, since testing another one would allocate memory on it.
            # Where a launcher shows each process one GPU, that is number 0 for all of them.
            name = f"cuda:{_launched('LOCAL_RANK', 0, least=0) % max(1, torch.cuda.device_count())}"
        device = find_device(name)
        if world_size > 1:
            for variable, usual, least in _LAUNCHED:
                _launched(variable, usual, least=least)
            from accelerate import Accelerator

            with OWN.made(), unheard_stdout():
                accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="no")
            device = accelerator.device
        rank = 0 if accelerator is None else accelerator.process_index
        processes = 1 if accelerator is None else accelerator.num_processes
        local_world_size = _launched("LOCAL_WORLD_SIZE", world_size)
        return cls(
            device=device,
            dtype=_dtype(config.precision, device),
            threads=config.threads or max(1, cores() // local_world_size),
            rank=rank,
            world_size=processes,
            local_rank=_launched("LOCAL_RANK", 0, least=0) if world_size > 1 else 0,
            local_world_size=local_world_size,
            accelerator=accelerator,
            agreement=Agreement(processes, rank),
        )

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    @property
    def name(self) -> str:
        """Name of the GPU or the processor."""
        return device_name(self.device)

    @property
    def precision(self) -> str:
        """`dtype` as it is named in the settings."""
        return "bf16" if self.dtype == torch.bfloat16 else "fp32"

    def micro_batch(self, config: TrainConfig) -> int:
        """Return the number of blocks that this process computes at a time.

        Raises
        ------
        ArgumentError
            If the batch cannot be divided evenly.
        """
        parts = self.world_size * config.accumulate
        if config.batch_size % parts:
            raise ArgumentError(
                "batch_size",
                config.batch_size,
                f"a multiple of {parts} ({self.world_size} processes, "
                f"each accumulating {config.accumulate})",
            )
        return config.batch_size // parts

    def compiles(self, config: TrainConfig, flops: float) -> bool:
        """Whether to compile a run of `flops` floating-point operations."""
        if self.shares(config):
            return False
        if config.compile != "auto":
            return config.compile == "on"
        return self.device.type == "cuda" and flops > _WORTH_COMPILING

    def shares(self, config: TrainConfig) -> bool:
        """Whether several processes shard the model, rather than only its batches."""
        return config.fully_shard and self.world_size > 1

    def prepare(self, module: nn.Module) -> nn.Module:
        """Move a module to the device; with several processes, it then averages gradients."""
        module.to(self.device)
        if self.world_size == 1:
            return module
        # Not by accelerate, which takes LOCAL_RANK for the number of the GPU: where a launcher
        # shows each process one GPU, that is number 0 for all of them.
        ids = None if self.device.type == "cpu" else [self.device]
        return nn.parallel.DistributedDataParallel(module, device_ids=ids)

    @contextmanager
    def accumulating(self, module: nn.Module) -> Generator[None]:
        """Accumulate gradients in this process, without averaging over the others."""
        if self.accelerator is None:
            yield
        elif (sync := getattr(module, "set_requires_gradient_sync", None)) is not None:
            sync(False)  # of a sharded module
            try:
                yield
            finally:
                sync(True)
        elif isinstance(module, nn.parallel.DistributedDataParallel):
            with module.no_sync():
                yield
        else:
            yield

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a value over all processes."""
        return value if self.accelerator is None else self.accelerator.reduce(value, "sum")

    def wait(self) -> None:
        """Wait for the other processes, for hours if necessary.

        Call it after work that only the first process does: in the group that averages gradients
        the others would wait no longer than torch's default of 10 or 30 minutes.
        """
        self.agreement.wait()

    def close(self, *, failed: bool) -> None:
        """End the exchange with the other processes, at the end of a run.

        After an error of this process alone, for which the others wait, it also leaves the group of
        processes. After a run that all of them have ended, well or not, the group stays until the
        process ends, for another run. One that was there before the first run is the caller's, and
        stays: others that average gradients in it wait until its own limit.
        """
        if self.accelerator is None:
            return
        self.agreement.close()  # first: in the caller's group it is all that frees the others
        if failed and not self.agreement.ended:
            OWN.leave(self.accelerator)

    @contextmanager
    def settings(self) -> Generator[None]:
        """Set torch's threads, and on a GPU its deterministic kernels, while this is entered.

        On a GPU, weights may differ in their bits between two runs all the same: of operations
        without such a kernel torch only warns, and with that setting also of the backward pass of
        memory-efficient attention, which may be what computes attention inside documents. To refuse
        them (``warn_only=False``) would end the runs that need one.
        """
        threads = torch.get_num_threads()
        deterministic = torch.are_deterministic_algorithms_enabled()
        warns = torch.is_deterministic_algorithms_warn_only_enabled()
        memory: Any = torch.utils.deterministic  # a module whose class has the attribute
        fills = memory.fill_uninitialized_memory
        torch.set_num_threads(self.threads)
        on_gpu = self.device.type == "cuda"
        workspace = os.environ.get(_WORKSPACE)
        if on_gpu:
            os.environ.setdefault(_WORKSPACE, ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
            # The mode would also write NaN to all memory that is given out.
            memory.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            if on_gpu and workspace is None:
                os.environ.pop(_WORKSPACE, None)
            if on_gpu:  # elsewhere this only loads torch's compiler, which takes two seconds
                torch.use_deterministic_algorithms(deterministic, warn_only=warns)
                memory.fill_uninitialized_memory = fills


def _launched(name: str, default: int, *, least: int = 1) -> int:
    """Read a number that a launcher sets in the environment."""
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and int(text) >= least):
        raise ArgumentError(name, text, f"a whole number from {least}, as launchers set it")
    return int(text)


def device_name(device: torch.device) -> str:
    """Return the name of a GPU or the processor, such as ``NVIDIA H100 80GB HBM3``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def _dtype(precision: str, device: torch.device) -> torch.dtype:
    if precision == "auto":
        if device.type == "cuda":
            able = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            # Measured to be faster with AMX, from nano on. Without AMX a CPU emulates most of it,
            # also if it has AMX but is set not to use it (58 times slower for one product).
            capped = torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")
            able = device.type == "cpu" and torch.cpu._is_amx_tile_supported() and not capped
        return torch.bfloat16 if able else torch.float32
    return torch.bfloat16 if precision == "bf16" else torch.float32
