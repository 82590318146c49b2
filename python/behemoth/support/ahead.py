"""Work on other threads, some pieces ahead of the one that is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

__all__ = ["ahead"]

_Piece = TypeVar("_Piece")
_Made = TypeVar("_Made")


def ahead(
    make: Callable[[_Piece], _Made],
    pieces: Iterable[_Piece],
    threads: int,
    stop: Event | None = None,
) -> Iterator[_Made]:
    """Yield what is made of each piece, in order, while the next ones are being made.

    If the caller stops or fails, pieces that were not begun are left.

    Parameters
    ----------
    make : callable
        Called on other threads; it should release the interpreter.
    pieces : iterable
    threads : int
        Number of pieces that are made at a time, while an earlier one is used.
    stop : Event, optional
        Set at the end, before the pieces that were begun are waited for, so that `make` can leave
        a long one.
    """
    pool = ThreadPoolExecutor(threads, "behemoth-ahead")
    try:
        waiting = deque[Future[_Made]]()
        for piece in pieces:
            waiting.append(pool.submit(make, piece))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        if stop is not None:
            stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
