"""What the processes of a run agree on: whether it begins, where it goes on from, when it stops.

A process that leaves the common order of things has the others wait for good: they average
gradients with it. So one that was told to stop does so at a step at which all of them do, and what
the first process alone can see, such as the directory or the clock, it tells the others.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from .errors import ElsewhereError

__all__ = ["Agreement"]

# While the first process measures recall or writes, the others wait here.
_PATIENCE = timedelta(hours=6)
_REFUSED = -2


class Agreement:
    """Numbers that all processes of a run hear; of one process, what it says itself.

    It goes over the CPU, in a group of its own: what is asked each step then costs a GPU nothing,
    and comes between no gradients.

    Parameters
    ----------
    processes : int
    rank : int
        Which of them this is.
    """

    def __init__(self, processes: int, rank: int) -> None:
        self._several, self._first = processes > 1, rank == 0
        self._group: Any = (
            dist.new_group(backend="gloo", timeout=_PATIENCE) if self._several else None
        )
        # What is under way, which is None once it is done, and what it is about.
        self._asked: tuple[Any, torch.Tensor] | None = None

    @property
    def delay(self) -> int:
        """Steps between what a process wishes in a `vote` and that it is heard."""
        return int(self._several)

    def tell(self, number: int = 0) -> int:
        """Give everyone the first process' number, an int64; all processes call this.

        Raises
        ------
        ElsewhereError
            In the others, when the first process has `refused`.
        """
        if not self._several:
            return number
        said = torch.tensor([number])
        dist.broadcast(said, src=0, group=self._group)
        heard = int(said)
        if heard == _REFUSED and not self._first:
            raise ElsewhereError("the first process of the run refused it, and says why")
        return heard

    @contextmanager
    def refusing(self) -> Generator[Callable[[int], None]]:
        """Tell the others that there is no run, if an error ends this before a number is told."""
        told = False

        def tell(number: int) -> None:
            nonlocal told
            told = True
            self.tell(number)

        try:
            yield tell
        except BaseException:
            if not told:
                self.tell(_REFUSED)
            raise

    def vote(self, *wishes: int) -> tuple[int, ...]:
        """Give the largest of what all processes wish, each by itself; all call this each step.

        Of several processes it is what they wished the step before, so that none waits for the
        others but by a whole step.
        """
        if not self._several:
            return wishes
        heard = self._heard() or (0,) * len(wishes)
        said = torch.tensor(wishes)
        work = dist.all_reduce(said, dist.ReduceOp.MAX, group=self._group, async_op=True)
        self._asked = (work, said)
        return heard

    def wait(self) -> None:
        """Wait for the other processes, for hours if need be.

        What was wished in the last `vote` is still to be heard in the next one.
        """
        if self._asked is not None:
            self._asked = (None, self._said(*self._asked))
        if self._several:
            dist.barrier(group=self._group)

    def _heard(self) -> tuple[int, ...] | None:
        if self._asked is None:
            return None
        asked, self._asked = self._asked, None
        return tuple(self._said(*asked).tolist())

    def _said(self, work: Any, said: torch.Tensor) -> torch.Tensor:
        if work is not None:
            work.wait()
        return said
