"""SIGTERM and SIGUSR1 as Ctrl-C is: what schedulers send is answered like what people press."""

from __future__ import annotations

import signal
import threading

__all__ = ["Stops", "Terminated"]

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGUSR1: whatever cleans up after Ctrl-C does so after it, too."""


class Stops:
    """What a process was stopped by; from `listen` on the signals raise `Terminated`."""

    def __init__(self) -> None:
        self._number: int | None = None

    def listen(self) -> None:
        """Answer the signals, for the rest of this process.

        It is for programs to ask for, not for a library. A process that was started to ignore one
        goes on doing so.
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
        """128 and the signal's number, whatever was made of it on the way out; 130 of Ctrl-C."""
        number = self._number
        while stop is not None and number is None:
            number = getattr(stop, "signal_number", None)
            stop = stop.__cause__ or stop.__context__
        return 128 + (signal.SIGINT if number is None else number)
