"""Ctrl-C, SIGTERM and SIGUSR1 during training: recorded, so that a checkpoint can be saved first.

SIGUSR1 is the signal that Slurm can be set to send before the time limit of a job.
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
# Seconds in which a second Ctrl-C counts as the first one repeated: the terminal sends it to a
# launcher as well, which forwards it.
_ECHO = 2.0


class Flag:
    """A flag that is true once a signal has arrived."""

    signal_number: int | None = None
    since: float = 0.0

    def __bool__(self) -> bool:
        return self.signal_number is not None


@contextmanager
def interruptible() -> Generator[Flag]:
    """Yield a flag that is true once one of the signals has arrived.

    A Ctrl-C more than two seconds after the first signal stops immediately. Other signals have no
    effect when repeated: schedulers and launchers repeat them, and kill a process that takes too
    long. A signal that is ignored stays ignored, as Ctrl-C is in background jobs of a shell script.
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

    # None: the handler was not installed from Python, and could not be restored.
    heard = [n for n in _SIGNALS if signal.getsignal(n) not in (None, signal.SIG_IGN)]
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield flag
    finally:
        for number, old in before.items():
            signal.signal(number, old)
