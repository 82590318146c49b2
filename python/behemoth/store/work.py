"""Many files at once, in threads that nobody has to wait for.

Threads of `concurrent.futures` are joined when Python ends, so that Ctrl-C would wait for whatever
is on its way. These are waited for half a second, in which the engine stops: what they have half
sent is no object yet, and what they have half brought has a name of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

from behemoth.support.progress import Advance

from .place import Moved

__all__ = ["WORKERS", "carry_out", "carry_out_in_turn"]

WORKERS = 8
"""Files that are on their way at once."""

Job = TypeVar("Job")
_LOOK = 0.1  # seconds between looks at how far it is
_PATIENCE = 0.5  # seconds that threads have to stop


class _Halted(BaseException):
    """Another job has failed; no `Exception`, which would be taken for one of a library."""


def _nothing(size: int) -> None:
    """Say nothing of bytes."""


def carry_out(
    jobs: Sequence[Job],
    work: Callable[[Job, Moved], object],
    *,
    workers: int,
    told: Callable[[int], object] = _nothing,
) -> None:
    """Do some work for each of `jobs`, a few at once.

    Parameters
    ----------
    jobs : sequence
    work : callable
        Is called with a job and what it tells of bytes that it moves, which raises when it is to
        stop.
    workers : int
    told : callable
        Is called in this thread with all bytes that were moved so far; what it raises stops the
        work, as what a job raises does.
    """
    waiting: SimpleQueue[Job] = SimpleQueue()
    ended: SimpleQueue[BaseException | None] = SimpleQueue()
    for job in jobs:
        waiting.put(job)
    stop, lock, total = threading.Event(), threading.Lock(), 0

    def moved(size: int) -> None:
        nonlocal total
        if stop.is_set():
            raise _Halted
        with lock:
            total += size

    def run() -> None:
        while not stop.is_set():
            try:
                job = waiting.get_nowait()
            except Empty:
                return
            try:
                work(job, moved)
            except BaseException as error:  # which the caller raises
                ended.put(error)
                return
            ended.put(None)

    threads = [
        threading.Thread(target=run, daemon=True) for _ in range(min(workers, len(jobs)))
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    left = len(jobs)
    try:
        while left:
            try:
                error = ended.get(timeout=_LOOK)
            except Empty:
                told(total)
                continue
            if error is not None:
                raise error
            left -= 1
            told(total)
    finally:
        stop.set()
        until = time.monotonic() + _PATIENCE
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))


def carry_out_in_turn(
    groups: Iterable[Sequence[str]],
    work: Callable[[str, Moved], object],
    size_of: Callable[[str], int],
    step: Advance,
    total: int,
    before: int = 0,
) -> None:
    """Do some work for files in groups, each of which is whole before the next is begun.

    Parameters
    ----------
    groups : iterable of sequence of str
        As of `in_order`.
    work : callable
        As of `carry_out`.
    size_of : callable
        Bytes of a file.
    step : callable
        Is told of bytes that are done, of `total`.
    total, before : int
        Bytes of all, and of what is done already.
    """
    for group in groups:

        def told(moved: int, before: int = before) -> None:
            step(before + moved, total)

        carry_out(group, work, workers=WORKERS, told=told)
        before += sum(map(size_of, group))
