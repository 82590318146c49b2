"""Ctrl-C and SIGTERM while training: noted, so that a checkpoint can be saved first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager


class Flag:
    """Something that is true once it was asked to stop."""

    signal_number: int | None = None

    def __bool__(self) -> bool:
        return self.signal_number is not None


@contextmanager
def interruptible() -> Generator[Flag]:
    """Give something that is true once Ctrl-C or SIGTERM came; a second one stops at once."""
    flag = Flag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handler(number: int, frame: object) -> None:
        if flag:
            raise KeyboardInterrupt
        flag.signal_number = number

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, old in before.items():
            signal.signal(number, old)
