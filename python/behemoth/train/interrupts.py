"""Ctrl-C, SIGTERM and SIGUSR1 while training: noted, so that a checkpoint can be saved first.

SIGUSR1 is what Slurm is told to send before a job's time is over.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)
# Seconds in which a second Ctrl-C is the first one once more: the terminal sends it to a launcher
# as well, which passes it on.
_ECHO = 2.0


class Flag:
    """Something that is true once it was asked to stop."""

    signal_number: int | None = None
    since: float = 0.0

    def __bool__(self) -> bool:
        return self.signal_number is not None


@contextmanager
def interruptible() -> Generator[Flag]:
    """Give something that is true once one of the signals came.

    A second Ctrl-C stops at once. Schedulers and launchers send their signals again, and kill who
    takes too long: a second one of those changes nothing.
    """
    flag = Flag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handler(number: int, frame: object) -> None:
        if not flag:
            flag.signal_number, flag.since = number, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - flag.since > _ECHO:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield flag
    finally:
        for number, old in before.items():
            signal.signal(number, old)
