"""Set-up of a process that trains or edits on a CPU, before torch is loaded.

The commands call `prepare`. Neither the import nor the functions themselves do it: the settings of
threads and memory are up to the program that owns the process.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager

from .lean import lean

# Variables that libraries read once, when they are loaded.
ENVIRONMENT = {
    # Threads of libgomp wait for each other in a busy loop, for milliseconds; when other processes
    # needed the cores, this made runs a hundred times slower.
    "GOMP_SPINCOUNT": "1000",
    # torch then requests huge pages, which saves 2 to 7% of a training step.
    "THP_MEM_ALLOC_ENABLE": "1",
}
# What a launcher tells its own processes.
LAUNCHED = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
)  # fmt: skip

# From malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = 1 << 30  # bytes; larger than any tensor of a model that is trained on a CPU
_LARGEST_OLD = 32 << 20  # bytes; HEAP_MAX_SIZE / 2 on 64 bits


def prepare() -> None:
    """Set up this process; call it before torch is imported.

    Environment variables that are already set stay. With glibc, freed memory stays with the
    process: if it were returned, the kernel would clear it before the next use, which took a tenth
    of a training step. torch and transformers load only what is used (`behemoth.support.lean`).
    """
    lean()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        # Any call switches off the growth of the threshold of mmap, which begins at 128 KiB: if it
        # is refused, as older versions refuse more than 32 MiB, the other one must not be made.
        if libc.mallopt(_MMAP_THRESHOLD, _NEVER) or libc.mallopt(_MMAP_THRESHOLD, _LARGEST_OLD):
            libc.mallopt(_TRIM_THRESHOLD, _NEVER)


def leave_launcher(environment: MutableMapping[str, str]) -> None:
    """Remove what a launcher told: with it, a worker would join a run of several processes."""
    for name in LAUNCHED:
        environment.pop(name, None)


@contextmanager
def unheard_stdout() -> Generator[None]:
    """Drop what libraries write to the process's stdout, which is for the result.

    torch 2.8 to 2.11 write lines of their own there when processes are connected.
    """
    try:
        kept = os.dup(1)
    except OSError:  # there is no stdout
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def rank() -> int:
    """Return the rank of this process as `torchrun` and similar launchers set it; 0 by default."""
    number = os.environ.get("RANK", "")
    return int(number) if number.isdecimal() else 0
