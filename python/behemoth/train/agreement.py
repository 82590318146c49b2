"""Agreement between the processes of a run: whether it starts, from which step, when it stops.

Processes average gradients with each other, so one that leaves the common order of operations
blocks the others forever. A process that receives a signal therefore stops at a step at which all
of them do, and the first process broadcasts what it alone can see, such as the directory or the
clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from behemoth._gen import digest
from behemoth.support.process import unheard_stdout

from .errors import ElsewhereError

__all__ = ["Agreement"]

# Limit for the others to wait while the first process measures recall or writes.
_PATIENCE = timedelta(hours=6)
_REFUSED = -2


class Agreement:
    """Numbers exchanged between all processes of a run; a single process gets its own back.

    The exchange runs on the CPU, in a separate process group, so that a vote in each step costs no
    GPU time and does not interfere with gradients.

    Parameters
    ----------
    processes : int
        Number of processes.
    rank : int
        Index of this process.

    Attributes
    ----------
    ended : bool
        Whether all processes are known to have ended the run, so that none waits for another.
    """

    def __init__(self, processes: int, rank: int) -> None:
        self._several, self._first = processes > 1, rank == 0
        self.ended = False
        self._group: Any = None
        if self._several:
            with unheard_stdout():
                self._group = dist.new_group(backend="gloo", timeout=_PATIENCE)
        # The pending operation, None once it is complete, and its tensor.
        self._asked: tuple[Any, torch.Tensor] | None = None

    @property
    def delay(self) -> int:
        """Number of steps from a `vote` until its result is returned."""
        return int(self._several)

    def differing(self, values: Mapping[str, object]) -> list[str]:
        """Return the names of values that processes differ in; all call this with the same names.

        If there are any, the run is taken to end here, in all processes.

        Parameters
        ----------
        values : mapping
            Values for JSON.
        """
        if not self._several:
            return []
        texts = [json.dumps(value, sort_keys=True).encode() for value in values.values()]
        said = torch.tensor([int(digest(text)[:15], 16) for text in texts])
        ends = torch.stack([said, -said])  # the second, by the maximum of -x, is the minimum
        dist.all_reduce(ends, dist.ReduceOp.MAX, group=self._group)
        same = (ends[0] == -ends[1]).tolist()
        self.ended = not all(same)
        return [name for name, agreed in zip(values, same, strict=True) if not agreed]

    def tell(self, number: int = 0) -> int:
        """Return the first process's number, an int64, in all processes; all must call this.

        Raises
        ------
        ElsewhereError
            In the others, if an error ended `refusing` in the first process.
        """
        if not self._several:
            return number
        said = torch.tensor([number])
        dist.broadcast(said, src=0, group=self._group)
        heard = int(said)
        self.ended = heard == _REFUSED
        if self.ended and not self._first:
            raise ElsewhereError("the first process of the run refused it, and says why")
        return heard

    @contextmanager
    def refusing(self) -> Generator[Callable[[int], None]]:
        """Report a refusal to the others if an error ends this context before a number is told."""
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

    @contextmanager
    def together(self) -> Generator[None]:
        """End this context in all processes if an error ends it in one; all must enter it.

        Raises
        ------
        ElsewhereError
            In the processes without an error of their own.
        """
        try:
            yield
        except BaseException:
            with suppress(RuntimeError):  # others that have ended are not the reason
                self._fails(True)
            raise
        if self._fails(False):
            raise ElsewhereError("another process of the run refused it, and says why")

    def end(self) -> None:
        """Wait for the other processes, all of which end the run here."""
        self.wait()
        self.ended = True

    def close(self) -> None:
        """Free the connections and threads of the exchange; processes that wait in it then fail.

        They are told that the connection is closed, which a run reports as an `ElsewhereError`.
        """
        self._asked = None  # a vote that is under way holds the connections, too
        if self._group is not None:
            dist.destroy_process_group(self._group)
            self._group = None

    def vote(self, *wishes: int) -> tuple[int, ...]:
        """Return the maximum of each wish over all processes; all call this in each step.

        With several processes it returns the result of the previous step (zeros at first), so that
        a process waits only for others that are a complete step behind.
        """
        if not self._several:
            return wishes
        heard = self._heard() or (0,) * len(wishes)
        said = torch.tensor(wishes)
        work = dist.all_reduce(said, dist.ReduceOp.MAX, group=self._group, async_op=True)
        self._asked = (work, said)
        return heard

    def wait(self) -> None:
        """Wait for the other processes, for hours if necessary.

        The result of the last `vote` is still returned by the next one.
        """
        if self._asked is not None:
            self._asked = (None, self._said(*self._asked))
        if self._several:
            dist.barrier(group=self._group)

    def _fails(self, here: bool) -> bool:
        """Return whether one of the processes fails."""
        if not self._several:
            return False
        said = torch.tensor([int(here)])
        dist.all_reduce(said, dist.ReduceOp.MAX, group=self._group)
        self.ended = bool(said)
        return self.ended

    def _heard(self) -> tuple[int, ...] | None:
        if self._asked is None:
            return None
        asked, self._asked = self._asked, None
        return tuple(self._said(*asked).tolist())

    def _said(self, work: Any, said: torch.Tensor) -> torch.Tensor:
        if work is not None:
            work.wait()
        return said
