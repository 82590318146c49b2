"""Memory for batches, used again and again."""

from __future__ import annotations

import sys
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray


class BufferPool:
    """Tensors of int64, whose memory is handed out again once nobody holds any part of it.

    Fresh memory for every batch would cost more than its tokens, for the kernel clears it. A
    tensor made by `torch.from_numpy` keeps the array alive through all its views, and through
    what autograd saved of them, so that the array's reference count says whether it is in use.

    Several threads may take at once.

    Page-locked memory is asked for anew each time: torch keeps it, and knows which copies to a
    GPU are still under way.

    Parameters
    ----------
    kept : int
        How many arrays of a size to keep.
    pinned : bool
        Whether the memory is to be page-locked.
    """

    def __init__(self, kept: int, pinned: bool = False) -> None:
        self._kept, self._pinned = kept, pinned
        self._lock = Lock()
        self._arrays: dict[int, list[NDArray[np.int64]]] = {}
        # What the count is when only the list and the loop in `take` know an array; it is not
        # the same number in every version of Python.
        self._unused = 0
        for array in [np.empty(0, np.int64)]:
            self._unused = sys.getrefcount(array)

    def take(self, *shape: int) -> torch.Tensor:
        """An int64 tensor of a shape, its content left over from earlier use."""
        if self._pinned:
            return torch.empty(shape, dtype=torch.int64, pin_memory=True)
        size = int(np.prod(shape))
        # Held until the tensor is one more reference to its array.
        with self._lock:
            arrays = self._arrays.setdefault(size, [])
            for array in arrays:
                if sys.getrefcount(array) == self._unused:
                    break
            else:
                array = np.empty(size, np.int64)
                if len(arrays) < self._kept:
                    arrays.append(array)
            tensor = torch.from_numpy(array)
        return tensor.view(shape)
