"""What may end a run before its time."""

from __future__ import annotations


class TrainError(RuntimeError):
    """A run failed: the loss diverged, memory ran out, or a checkpoint is damaged."""


class ElsewhereError(TrainError):
    """Another process of the run ended it, and says why."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGUSR1; the message says what was saved.

    Attributes
    ----------
    signal_number : int
        Which of the three.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
