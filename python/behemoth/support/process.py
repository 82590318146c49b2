"""How a process that trains or edits on a CPU is set up, before torch is loaded.

The commands call `prepare`. It is not done at import, nor by the functions themselves: what a
process does with its threads and its memory is for the program that owns it to say.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys

from .lean import lean

# What libraries read once, when they are loaded.
ENVIRONMENT = {
    # Threads of libgomp wait for each other in a loop, for milliseconds; where others want the
    # cores that made runs a hundred times slower.
    "GOMP_SPINCOUNT": "1000",
    # torch then asks for huge pages: 2 to 7% of a step of training.
    "THP_MEM_ALLOC_ENABLE": "1",
}

# Of malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = 1 << 30  # bytes; larger than any tensor of a model that is trained on a CPU


def prepare() -> None:
    """Set up this process; call it before torch is imported.

    What the environment says already stays. With glibc, memory that was freed stays with the
    process: given back, it is cleared by the kernel before it comes again, which took a tenth of
    a step of training. torch and transformers load only what is used (`behemoth.support.lean`).
    """
    lean()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for name in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            libc.mallopt(name, _NEVER)


def rank() -> int:
    """Which of the processes of a run this is, as `torchrun` and its like say; 0 where alone."""
    number = os.environ.get("RANK", "")
    return int(number) if number.isdecimal() else 0
