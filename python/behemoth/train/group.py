"""The group of processes that the runs of this process share.

torch has one group per process, so who made it and who may leave it is known per process, too.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch.distributed as dist

from .errors import TrainError

__all__ = ["OWN"]


class _OwnGroup:
    """The group of processes that the first run of this process has made, if it made one."""

    def __init__(self) -> None:
        self._group: Any = None
        self._left = False

    @contextmanager
    def made(self) -> Generator[None]:
        """Take a group that is made in this context as the own one; one that is there stays.

        Raises
        ------
        TrainError
            If a run has left its group, and the launcher has no room for another one.
        """
        there = dist.is_initialized()
        # The store of torchrun outlives a group, and the next one would find its addresses there.
        if self._left and not there and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            raise TrainError(
                "the processes of an earlier run were separated by an error, and torchrun cannot "
                "connect them again: start them anew"
            )
        yield
        if not there:
            self._group = dist.group.WORLD
            atexit.register(self._destroy)  # torch asks for it

    def leave(self, accelerator: Any) -> None:
        """Leave the group, so that no other process waits for this one; not that of the caller."""
        if self._is_there():
            from accelerate.state import AcceleratorState

            accelerator.end_training()
            AcceleratorState._reset_state(reset_partial_state=True)
            self._group, self._left = None, True

    def _is_there(self) -> bool:
        return dist.is_initialized() and dist.group.WORLD is self._group

    def _destroy(self) -> None:
        if self._is_there():
            dist.destroy_process_group()


OWN = _OwnGroup()
