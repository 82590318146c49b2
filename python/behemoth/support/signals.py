"""SIGTERM as Ctrl-C is: what schedulers send first is answered like what people press."""

from __future__ import annotations

import signal
import threading

__all__ = ["Terminated", "exit_code", "stop_on_sigterm"]


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever cleans up after Ctrl-C does so after it, too."""


def stop_on_sigterm() -> None:
    """Have SIGTERM raise `Terminated`, for the rest of this process.

    It is for programs to ask for, not for a library. A process that was started to ignore it goes on
    doing so.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _raise)


def _raise(number: int, frame: object) -> None:
    raise Terminated


def exit_code(stop: BaseException) -> int:
    """130 after Ctrl-C, 143 after SIGTERM, whatever was made of it on the way out."""
    seen: BaseException | None = stop
    while seen is not None:
        if isinstance(seen, Terminated) or getattr(seen, "signal_number", None) == signal.SIGTERM:
            return 128 + signal.SIGTERM
        seen = seen.__cause__ or seen.__context__
    return 128 + signal.SIGINT
