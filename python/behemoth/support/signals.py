"""SIGTERM as Ctrl-C is: what schedulers send first is answered like what people press."""

from __future__ import annotations

import signal
import threading

__all__ = ["Stops", "Terminated"]


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever cleans up after Ctrl-C does so after it, too."""


class Stops:
    """What a process was stopped by; from `listen` on SIGTERM raises `Terminated`."""

    def __init__(self) -> None:
        self._terminated = False

    def listen(self) -> None:
        """Answer SIGTERM, for the rest of this process.

        It is for programs to ask for, not for a library. A process that was started to ignore the
        signal goes on doing so.
        """
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, number: int, frame: object) -> None:
        self._terminated = True
        raise Terminated

    def exit_code(self, stop: BaseException | None = None) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, whatever was made of it on the way out."""
        terminated = self._terminated
        while stop is not None and not terminated:
            terminated = getattr(stop, "signal_number", None) == signal.SIGTERM
            stop = stop.__cause__ or stop.__context__
        return 128 + (signal.SIGTERM if terminated else signal.SIGINT)
