"""Concurrent transfers of files in daemon threads.

Threads of `concurrent.futures` are joined when Python exits, so that Ctrl-C would wait for every
transfer under way. These threads are waited for at most half a second: a file that is partly sent
is not yet an object, and a file that is partly fetched has a temporary name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import TypeVar

from behemoth.support.progress import Advance

from .place import Moved

__all__ = ["WORKERS", "carry_out", "carry_out_in_turn"]

WORKERS = 8
"""Number of files transferred at a time."""

Job = TypeVar("Job")
_LOOK = 0.1  # seconds between reports of progress
_PATIENCE = 0.5  # seconds to wait for threads to stop


class _Halted(BaseException):
    """Another job has failed; not an `Exception`, which `about` would convert."""


def _nothing(size: int) -> None:
    """Ignore the number of bytes."""


def carry_out(
    jobs: Sequence[Job],
    work: Callable[[Job, Moved], object],
    *,
    workers: int,
    told: Callable[[int], object] = _nothing,
) -> None:
    """Call `work` for each of `jobs`, at most `workers` at a time.

    Parameters
    ----------
    jobs : sequence
    work : callable
        Called with a job and a function to call with each number of bytes transferred, which
        raises if the job has to stop.
    workers : int
    told : callable
        Called in this thread with the total of bytes transferred so far; an error raised by it or
        by a job stops the work, and is raised.
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
            except BaseException as error:  # raised again in the calling thread
                ended.put(error)
                return
            ended.put(None)

    threads = [
        threading.Thread(target=copy_context().run, args=(run,), daemon=True)
        for _ in range(min(workers, len(jobs)))
    ]
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
    """Call `work` for files in groups, each of which is completed before the next is started.

    Parameters
    ----------
    groups : iterable of sequence of str
        See `in_order`.
    work : callable
        See `carry_out`.
    size_of : callable
        Returns the bytes of a file.
    step : callable
        Called with the bytes done and `total`.
    total, before : int
        Bytes of all files, and of those already done.
    """
    for group in groups:

        def told(moved: int, before: int = before) -> None:
            step(before + moved, total)

        carry_out(group, work, workers=WORKERS, told=told)
        before += sum(map(size_of, group))
