"""Reusable memory for batches."""

from __future__ import annotations

import sys
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


class BufferPool:
    """A pool of tensors, whose memory is reused once no reference to any part of it is left.

    New memory for every batch would cost more than its tokens, because the kernel clears it. A
    tensor made by `torch.from_numpy` keeps its array alive through all its views and through what
    autograd saves of them, so the array's reference count tells whether it is in use.

    Several threads may call `take` at the same time.

    Page-locked memory is requested from torch each time: torch caches it, and knows which copies to
    a GPU are still pending.

    Parameters
    ----------
    kept : int
        Maximum number of arrays of one size and dtype to keep.
    pinned : bool
        Whether to use page-locked memory.
    """

    def __init__(self, kept: int, pinned: bool = False) -> None:
        self._kept, self._pinned = kept, pinned
        self._lock = Lock()
        self._arrays: dict[tuple[int, type], list[NDArray[Any]]] = {}
        # The reference count of an array that only the list and the loop in `take` refer to; it
        # differs between versions of Python.
        self._unused = 0
        for array in [np.empty(0, np.int64)]:
            self._unused = sys.getrefcount(array)

    def take(self, *shape: int, dtype: type[np.int64] | type[np.int32] = np.int64) -> torch.Tensor:
        """Return a tensor of a shape, with arbitrary content."""
        if self._pinned:
            kind = torch.int64 if dtype is np.int64 else torch.int32
            return torch.empty(shape, dtype=kind, pin_memory=True)
        size = int(np.prod(shape))
        # Locked until the tensor holds a reference to its array.
        with self._lock:
            arrays = self._arrays.setdefault((size, dtype), [])
            for array in arrays:
                if sys.getrefcount(array) == self._unused:
                    break
            else:
                array = np.empty(size, dtype)
                if len(arrays) < self._kept:
                    arrays.append(array)
            tensor = torch.from_numpy(array)
        return tensor.view(shape)
