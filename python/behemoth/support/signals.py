"""SIGTERM and SIGUSR1, which schedulers send, handled like Ctrl-C; and none of them is lost.

What a handler raises is lost where Python cannot pass it on (in ``__del__``, in callbacks of weak
references) and where a package catches everything; the program would then go on to its end. So it
is raised again, every second, until the program ends.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

__all__ = ["Stops", "Terminated", "stop_behind"]

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))
_ALARM = getattr(signal, "SIGALRM", None)  # None on Windows
_AGAIN = 1.0  # seconds


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGUSR1 arrived; code that cleans up after Ctrl-C also cleans up after it."""


class Stops:
    """The signal that stopped a process; after `listen`, the signals raise `Terminated`.

    Repeated ones do not disturb the work that cleans up after the first, except for a second
    Ctrl-C.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._heeded: list[int] = []
        self._over = False

    def listen(self) -> None:
        """Handle the signals until `close`.

        Only a program should call this, not a library. A signal that the process was started to
        ignore stays ignored.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        usual: dict[int, Any] = dict.fromkeys(_SIGNALS, signal.SIG_DFL)
        usual[signal.SIGINT] = signal.default_int_handler
        if _ALARM is not None:
            usual[_ALARM] = signal.SIG_DFL
        for number, handler in usual.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, self._hear)
                self._heeded.append(number)

    def close(self, *, finished: bool) -> None:
        """Let no signal change the exit code any more; the process is about to end.

        Parameters
        ----------
        finished : bool
            Whether everything is done: a signal then comes too late and is ignored, since the
            process would otherwise end with 143 and nothing left to do. If not, one ends it.
            Python, when it ends, gives signals that a function handles back to the system, which
            would end it as well, and leaves those alone that are ignored.
        """
        self._over = True
        if _ALARM in self._heeded:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number in self._heeded:
            signal.signal(number, signal.SIG_IGN if finished else signal.SIG_DFL)

    def _hear(self, number: int, frame: object) -> None:
        if self._over:
            return
        if number != _ALARM:
            self._number = number
            if _ALARM in self._heeded:
                signal.setitimer(signal.ITIMER_REAL, _AGAIN, _AGAIN)
        if number == signal.SIGINT or not _is_stopping():
            raise KeyboardInterrupt if self._number == signal.SIGINT else Terminated

    def exit_code(self, stop: BaseException | None = None) -> int:
        """Return 128 plus the signal's number, even if `stop` wraps it; 130 for Ctrl-C."""
        number = self._number
        while stop is not None and number is None:
            number = getattr(stop, "signal_number", None)
            stop = stop.__cause__ or stop.__context__
        return 128 + (signal.SIGINT if number is None else number)


def stop_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the stop that an error is or that caused it, or None.

    Until 3.12, Python replaces a stop within ``__set_name__``, as while torch is imported, by a
    RuntimeError, and transformers that by a ModuleNotFoundError.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error


def _is_stopping() -> bool:
    """Return whether this is called while a stop passes through ``except`` or ``finally``."""
    error = sys.exception()
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
