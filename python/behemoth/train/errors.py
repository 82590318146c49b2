"""What may end a run before its time."""

from __future__ import annotations


class TrainError(RuntimeError):
    """A run failed: the loss diverged, memory ran out, or a checkpoint is damaged."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; the message says what was saved.

    Attributes
    ----------
    signal_number : int
        Which of the two.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
