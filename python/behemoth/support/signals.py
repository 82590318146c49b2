"""SIGTERM and SIGUSR1, which schedulers send, handled like Ctrl-C."""

from __future__ import annotations

import signal
import threading

__all__ = ["Stops", "Terminated"]

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGUSR1 arrived; code that cleans up after Ctrl-C also cleans up after it."""


class Stops:
    """The signal that stopped a process; after `listen`, the signals raise `Terminated`."""

    def __init__(self) -> None:
        self._number: int | None = None

    def listen(self) -> None:
        """Handle the signals, for the rest of this process.

        Only a program should call this, not a library. A signal that the process was started to
        ignore stays ignored.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, self._terminate)

    def _terminate(self, number: int, frame: object) -> None:
        self._number = number
        raise Terminated

    def exit_code(self, stop: BaseException | None = None) -> int:
        """Return 128 plus the signal's number, even if `stop` wraps it; 130 for Ctrl-C."""
        number = self._number
        while stop is not None and number is None:
            number = getattr(stop, "signal_number", None)
            stop = stop.__cause__ or stop.__context__
        return 128 + (signal.SIGINT if number is None else number)
